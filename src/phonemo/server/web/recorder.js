/** Record, stop, and a WAV file is there. */

import { closePanel, openPanel, say, showElapsed, showLevel } from "./capture.js";
import { span } from "./format.js";
import { t } from "./language.js";
import { openMicrophone } from "./microphone.js";
import { Problem } from "./problems.js";
import { longest, Tape } from "./tape.js";

export class Recorder {
  /** @type {import("./microphone.js").Microphone | null} */
  #microphone = null;
  /** @type {Tape | null} */
  #tape = null;
  /** @type {Problem | null} */
  #notice = null;
  #take = 0;
  #stopping = false;

  /**
   * @param {() => import("./types.js").Limits} limits
   * @param {(blob: Blob) => void} onDone
   * @param {(problem: unknown) => void} onProblem
   */
  constructor(limits, onDone, onProblem) {
    this.limits = limits;
    this.onDone = onDone;
    this.onProblem = onProblem;
  }

  async start() {
    const take = ++this.#take;
    this.#notice = null;
    openPanel("recording", t("mic.waiting"), "");
    try {
      const microphone = await openMicrophone(
        (chunk) => this.#hear(chunk, take),
        () => this.#stopFor("recording.lost"),
      );
      if (take !== this.#take) return void (await microphone.stop());
      this.#begin(microphone);
    } catch (problem) {
      if (take === this.#take) this.#fail(problem);
    }
  }

  /** Stops and hands the recording on; while the browser still asks for permission, gives up. */
  async stop() {
    if (this.#stopping) return;
    const [microphone, tape] = [this.#microphone, this.#tape];
    this.#stopping = true;
    this.#microphone = null;
    // The last tenth of a second is still on its way.
    if (microphone) await microphone.stop();
    this.#stopping = false;
    this.#take += 1;
    this.#tape = null;
    closePanel();
    if (this.#notice) this.onProblem(this.#notice);
    if (tape?.kept) this.onDone(tape.wav());
    else if (microphone) this.onProblem(new Problem("recording.empty"));
  }

  /** The page was left: nothing is sent. */
  async abandon() {
    if (!this.#microphone) return;
    const microphone = this.#microphone;
    this.#microphone = null;
    this.#take += 1;
    closePanel();
    await microphone.stop();
    this.onProblem(new Problem("recording.left"));
  }

  /** @param {import("./microphone.js").Microphone} microphone */
  #begin(microphone) {
    this.#microphone = microphone;
    this.#tape = new Tape(microphone.rate, longest(this.limits(), microphone.rate));
    say(t("recording"), t("recording.words", { time: span(this.#tape.most) }));
  }

  /** @param {import("./microphone.js").Chunk} chunk @param {number} take */
  #hear({ pcm, peak }, take) {
    if (take !== this.#take || !this.#tape) return;
    this.#tape.add(pcm);
    showLevel(peak);
    showElapsed(this.#tape.seconds);
    if (this.#tape.full) this.#stopFor("recording.full");
  }

  /** @param {string} key */
  #stopFor(key) {
    if (!this.#microphone || !this.#tape) return;
    this.#notice = new Problem(key, { time: span(this.#tape.most) });
    this.stop();
  }

  /** @param {unknown} problem */
  #fail(problem) {
    this.#take += 1;
    closePanel();
    this.onProblem(problem);
  }
}
