/** Records the microphone to a WAV file. */

import { closeCapturePanel, openCapturePanel, setCaptureText, showElapsed, showLevel } from "./capture.js";
import { formatLength } from "./format.js";
import { t } from "./language.js";
import { openMicrophone } from "./microphone.js";
import { LocalizedError } from "./problems.js";
import { maxRecordingSeconds, RecordingBuffer } from "./tape.js";

export class Recorder {
  /** @type {import("./microphone.js").Microphone | null} */
  #microphone = null;
  /** @type {RecordingBuffer | null} */
  #buffer = null;
  /** @type {LocalizedError | null} */
  #notice = null;
  #attempt = 0;
  #stopping = false;

  /**
   * @param {() => import("./types.js").Limits} limits
   * @param {(blob: Blob) => void} onDone
   * @param {(error: unknown) => void} onError
   */
  constructor(limits, onDone, onError) {
    this.limits = limits;
    this.onDone = onDone;
    this.onError = onError;
  }

  async start() {
    const attempt = ++this.#attempt;
    this.#notice = null;
    openCapturePanel("recording", t("mic.waiting"), "");
    try {
      const microphone = await openMicrophone(
        (chunk) => this.#onChunk(chunk, attempt),
        () => this.#stopWithNotice("recording.lost"),
      );
      if (attempt !== this.#attempt) return void (await microphone.stop());
      this.#onMicrophone(microphone);
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(error);
    }
  }

  /** Stop and pass on the recording, or cancel while the browser still asks for permission. */
  async stop() {
    if (this.#stopping) return;
    const [microphone, buffer] = [this.#microphone, this.#buffer];
    this.#stopping = true;
    this.#microphone = null;
    // The last 0.1 s has not arrived yet.
    if (microphone) await microphone.stop();
    this.#stopping = false;
    this.#attempt += 1;
    this.#buffer = null;
    closeCapturePanel();
    if (this.#notice) this.onError(this.#notice);
    if (buffer?.keptSeconds) this.onDone(buffer.wav());
    else if (microphone) this.onError(new LocalizedError("recording.empty"));
  }

  /** Discard the recording because the page was left. */
  async discard() {
    if (!this.#microphone) return;
    const microphone = this.#microphone;
    this.#microphone = null;
    this.#attempt += 1;
    closeCapturePanel();
    await microphone.stop();
    this.onError(new LocalizedError("recording.left"));
  }

  /** @param {import("./microphone.js").Microphone} microphone */
  #onMicrophone(microphone) {
    this.#microphone = microphone;
    this.#buffer = new RecordingBuffer(microphone.rate, maxRecordingSeconds(this.limits(), microphone.rate));
    setCaptureText(t("recording"), t("recording.hint", { time: formatLength(this.#buffer.maxSeconds) }));
  }

  /** @param {import("./microphone.js").Chunk} chunk @param {number} attempt */
  #onChunk({ pcm, peak }, attempt) {
    if (attempt !== this.#attempt || !this.#buffer) return;
    this.#buffer.add(pcm);
    showLevel(peak);
    showElapsed(this.#buffer.seconds);
    if (this.#buffer.isFull) this.#stopWithNotice("recording.full");
  }

  /** @param {string} key */
  #stopWithNotice(key) {
    if (!this.#microphone || !this.#buffer) return;
    this.#notice = new LocalizedError(key, { time: formatLength(this.#buffer.maxSeconds) });
    this.stop();
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#attempt += 1;
    closeCapturePanel();
    this.onError(error);
  }
}
