/** Live mode: the emotion while somebody speaks. */

import { session } from "./api.js";
import { closePanel, openPanel, say, showElapsed, showLevel } from "./capture.js";
import { span } from "./format.js";
import { t } from "./language.js";
import { LiveSocket } from "./livesocket.js";
import { LiveView } from "./liveview.js";
import { openMicrophone } from "./microphone.js";
import { Problem } from "./problems.js";
import { longest, Tape } from "./tape.js";

const FINAL_MS = 30_000;

/**
 * @typedef {{answer: import("./types.js").Answer, blob: Blob, kept: number | null, roundTrip: number | null,
 *   profile: import("./types.js").Applied | null}} Heard
 */

export class Live {
  /** @type {import("./microphone.js").Microphone | null} */
  #microphone = null;
  /** @type {LiveSocket | null} */
  #socket = null;
  /** @type {Tape | null} */
  #tape = null;
  #stopped = 0;
  #take = 0;

  /**
   * @param {() => import("./types.js").Limits} limits
   * @param {(heard: Heard) => void} onDone
   * @param {(problem: unknown, rescued: Blob | null) => void} onProblem
   * @param {import("./profiles.js").Profiles} profiles
   */
  constructor(limits, onDone, onProblem, profiles) {
    this.limits = limits;
    this.onDone = onDone;
    this.onProblem = onProblem;
    this.profiles = profiles;
    this.view = new LiveView();
  }

  async start() {
    const take = ++this.#take;
    this.#stopped = 0;
    openPanel("live", t("mic.waiting"), "");
    this.view.clear();
    try {
      const microphone = await openMicrophone(
        (chunk) => this.#hear(chunk, take),
        () => this.stop(),
      );
      if (take !== this.#take) return void (await microphone.stop());
      this.#begin(microphone, take);
    } catch (problem) {
      if (take === this.#take) this.#fail(problem);
    }
  }

  /** Asks for the final answer; before the server is ready, gives up. */
  async stop() {
    const take = this.#take;
    if (this.#stopped) return;
    if (!this.#microphone || !this.#socket) return this.#close();
    this.#stopped = performance.now();
    say(t("live.finishing"), "");
    await this.#microphone.stop();
    this.#microphone = null;
    if (take !== this.#take) return;
    if (!this.#socket.finish()) return this.#close();
    setTimeout(() => take === this.#take && this.#fail(new Problem("live.lost")), FINAL_MS);
  }

  /** The page was left. */
  abandon() {
    if (this.#microphone || this.#socket) this.#fail(new Problem("live.hidden"), false);
  }

  /** Forgets what the windows so far adapt. */
  resetProfile() {
    this.#socket?.reset();
  }

  /** In the language of the page. */
  render() {
    this.view.render();
  }

  /** @param {import("./microphone.js").Microphone} microphone @param {number} take */
  #begin(microphone, take) {
    const most = longest(this.limits(), microphone.rate);
    this.#microphone = microphone;
    this.#tape = new Tape(microphone.rate, most);
    const { profile } = session;
    const hearer = {
      onReady: (/** @type {any} */ told) => this.view.ready(told.window_seconds),
      onWindow: (/** @type {any} */ told) => this.#window(told),
      onSegment: (/** @type {any} */ told) => this.view.segment(told.segment),
      onFinal: (/** @type {import("./types.js").Answer} */ answer, /** @type {object | null} */ grown) =>
        take === this.#take && this.#finish(answer, grown ? { text: JSON.stringify(grown) } : profile),
      onProblem: (/** @type {Error} */ problem) => take === this.#take && this.#fail(problem),
    };
    this.#socket = new LiveSocket(microphone.rate, hearer, { profile, adapt: this.profiles.grows });
    this.profiles.liveBegan();
    say(t("live.title"), t("live.words.kept", { time: span(most) }));
  }

  /** @param {any} told */
  #window(told) {
    this.view.window(told.segment, told.speech_ratio);
    this.profiles.liveApplied(told.profile);
  }

  /** @param {import("./microphone.js").Chunk} chunk @param {number} take */
  #hear({ pcm, peak }, take) {
    if (take !== this.#take || !this.#tape) return;
    this.#tape.add(pcm);
    this.#socket?.send(pcm);
    showLevel(peak);
    showElapsed(this.#tape.seconds);
    this.view.elapsed(this.#tape.seconds);
    if (this.#tape.seconds >= this.limits().stream_seconds - 1) this.stop();
  }

  /** @param {import("./types.js").Answer} answer @param {import("./types.js").Applied | null} profile */
  #finish(answer, profile) {
    const tape = /** @type {Tape} */ (this.#tape);
    const kept = tape.kept < tape.seconds ? tape.kept : null;
    const roundTrip = this.#stopped ? (performance.now() - this.#stopped) / 1000 : null;
    this.#close();
    this.onDone({ answer, blob: tape.wav(), kept, roundTrip, profile });
  }

  /** @param {unknown} problem @param {boolean} [rescue] whether what was said is heard as a recording */
  #fail(problem, rescue = true) {
    const tape = this.#tape;
    this.#close();
    this.onProblem(problem, rescue && tape && tape.kept >= 1 ? tape.wav() : null);
  }

  #close() {
    this.#take += 1;
    this.#microphone?.stop();
    this.#socket?.close();
    this.#microphone = this.#socket = this.#tape = null;
    this.profiles.liveEnded();
    closePanel();
  }
}
