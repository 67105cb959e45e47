/** Live mode: recognition while the user speaks. */

import { backend } from "./backend.js";
import { closeCapturePanel, openCapturePanel, setCaptureText, showElapsed, showLevel } from "./capture.js";
import { formatLength } from "./format.js";
import { t } from "./language.js";
import { LiveView } from "./liveview.js";
import { openMicrophone } from "./microphone.js";
import { supportedLanguage } from "./models.js";
import { LocalizedError } from "./problems.js";
import { session } from "./session.js";
import { maxRecordingSeconds, RecordingBuffer } from "./tape.js";

const FINAL_TIMEOUT_MS = 30_000;

/**
 * @typedef {{prediction: import("./types.js").Prediction, blob: Blob, keptSeconds: number | null,
 *   roundTrip: number | null, profile: import("./types.js").AppliedProfile | null, decoding: string}} LiveResult
 */

export class Live {
  /** @type {import("./microphone.js").Microphone | null} */
  #microphone = null;
  /** @type {import("./types.js").Stream | null} */
  #stream = null;
  /** @type {RecordingBuffer | null} */
  #buffer = null;
  #stoppedAt = 0;
  #attempt = 0;

  /**
   * @param {() => import("./types.js").Limits} limits
   * @param {(result: LiveResult) => void} onDone
   * @param {(error: unknown, rescued: Blob | null) => void} onError
   * @param {import("./profiles.js").Profiles} profiles
   */
  constructor(limits, onDone, onError, profiles) {
    this.limits = limits;
    this.onDone = onDone;
    this.onError = onError;
    this.profiles = profiles;
    this.view = new LiveView();
  }

  async start() {
    const attempt = ++this.#attempt;
    this.#stoppedAt = 0;
    openCapturePanel("live", t("mic.waiting"), "");
    this.view.clear();
    try {
      const microphone = await openMicrophone(
        (chunk) => this.#onChunk(chunk, attempt),
        () => this.stop(),
      );
      if (attempt !== this.#attempt) return void (await microphone.stop());
      this.#onMicrophone(microphone, attempt);
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(error);
    }
  }

  /** Request the final prediction, or close when the server is not ready yet. */
  async stop() {
    const attempt = this.#attempt;
    if (this.#stoppedAt) return;
    if (!this.#microphone || !this.#stream) return this.#close();
    this.#stoppedAt = performance.now();
    setCaptureText(t("live.finishing"), "");
    await this.#microphone.stop();
    this.#microphone = null;
    if (attempt !== this.#attempt) return;
    if (!this.#stream.finish()) return this.#close();
    const onTimeout = () => attempt === this.#attempt && this.#fail(new LocalizedError("live.lost"));
    setTimeout(onTimeout, FINAL_TIMEOUT_MS);
  }

  /** End the session because the page was left. */
  discard() {
    if (this.#microphone || this.#stream) this.#fail(new LocalizedError("live.hidden"), false);
  }

  /** Reset the profile that adapts to this session. */
  resetProfile() {
    this.#stream?.reset();
  }

  /** Render in the current language. */
  render() {
    this.view.render();
  }

  /** @param {import("./microphone.js").Microphone} microphone @param {number} attempt */
  #onMicrophone(microphone, attempt) {
    const maxSeconds = maxRecordingSeconds(this.limits(), microphone.rate);
    this.#microphone = microphone;
    this.#buffer = new RecordingBuffer(microphone.rate, maxSeconds);
    const { profile } = session;
    const decoding = supportedLanguage(session.decoding);
    const options = { profile, decoding, adapt: this.profiles.adapts };
    const handlers = {
      onReady: (/** @type {any} */ event) => this.view.setWindowSeconds(event.window_seconds),
      onWindow: (/** @type {any} */ event) => this.#onWindow(event),
      onSegment: (/** @type {any} */ event) => this.view.addSegment(event.segment),
      onFinal: (/** @type {import("./types.js").Prediction} */ prediction, /** @type {object | null} */ adapted) =>
        attempt === this.#attempt &&
        this.#finish(prediction, adapted ? { text: JSON.stringify(adapted) } : profile, decoding),
      onError: (/** @type {Error} */ error) => attempt === this.#attempt && this.#fail(error),
    };
    this.#stream = backend.openStream(microphone.rate, handlers, options);
    this.profiles.onLiveStart();
    setCaptureText(t("live.title"), t("live.kept", { time: formatLength(maxSeconds) }));
  }

  /** @param {any} event */
  #onWindow(event) {
    this.view.addWindow(event.segment, event.speech_ratio);
    this.profiles.onLiveProfile(event.profile);
  }

  /** @param {import("./microphone.js").Chunk} chunk @param {number} attempt */
  #onChunk({ pcm, peak }, attempt) {
    if (attempt !== this.#attempt || !this.#buffer) return;
    this.#buffer.add(pcm);
    this.#stream?.send(pcm);
    showLevel(peak);
    showElapsed(this.#buffer.seconds);
    this.view.setElapsed(this.#buffer.seconds);
    if (this.#buffer.seconds >= this.limits().stream_seconds - 1) this.stop();
  }

  /**
   * @param {import("./types.js").Prediction} prediction
   * @param {import("./types.js").AppliedProfile | null} profile
   * @param {string} decoding
   */
  #finish(prediction, profile, decoding) {
    const buffer = /** @type {RecordingBuffer} */ (this.#buffer);
    const keptSeconds = buffer.keptSeconds < buffer.seconds ? buffer.keptSeconds : null;
    const roundTrip = this.#stoppedAt ? (performance.now() - this.#stoppedAt) / 1000 : null;
    this.#close();
    this.onDone({ prediction, blob: buffer.wav(), keptSeconds, roundTrip, profile, decoding });
  }

  /** @param {unknown} error @param {boolean} [rescue] whether the audio so far is recognized as a recording */
  #fail(error, rescue = true) {
    const buffer = this.#buffer;
    this.#close();
    this.onError(error, rescue && buffer && buffer.keptSeconds >= 1 ? buffer.wav() : null);
  }

  #close() {
    this.#attempt += 1;
    this.#microphone?.stop();
    this.#stream?.close();
    this.#microphone = this.#stream = this.#buffer = null;
    this.profiles.onLiveEnd();
    closeCapturePanel();
  }
}
