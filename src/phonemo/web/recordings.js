/** The recordings of this session, and which result is shown. */

import { byId, prefersReducedMotion } from "./dom.js";
import { FailureView, hasFailed } from "./failure.js";
import { FileList } from "./filelist.js";
import { formatBytes, sanitizeName } from "./format.js";
import { t } from "./language.js";
import { limits } from "./limits.js";
import { announce, clearErrors, showError } from "./messages.js";
import { ApiError, LocalizedError } from "./problems.js";
import { renderProgress } from "./progress.js";
import { isOpen, Queue } from "./queue.js";
import { ResultView } from "./result.js";
import { showKeyForm } from "./server.js";
import { session } from "./session.js";
import { SessionTable } from "./sessiontable.js";
import { verdictSentence } from "./verdict.js";

/**
 * @typedef {import("./types.js").Job} Job
 * @typedef {{name: string, blob: Blob, origin: Job["origin"]}} Item
 */

// What a user may be busy with when a result arrives: it takes no focus then.
const CHOICES = new Set(["key-input", "channel-select", "speech-select"]);

export class Recordings {
  #queue = new Queue();
  #fileList = new FileList((job) => this.#onChoose(job));
  #resultView = new ResultView((job, channels) => this.#onChannels(job, channels));
  #table = new SessionTable(
    () => this.jobs,
    (job) => this.#onChoose(job),
  );
  #failureView = new FailureView((job) => this.#onRetry(job));
  /** @type {Job | null} the job whose result is shown, or will be once it arrives */
  #selected = null;
  #captureCount = 0;

  /** @param {() => void} onIdle called when the last job in progress has ended */
  constructor(onIdle) {
    this.onIdle = onIdle;
    this.#queue.addEventListener("change", (event) =>
      this.#onChange(/** @type {CustomEvent<Job>} */ (event).detail),
    );
  }

  /** All jobs, oldest first. */
  get jobs() {
    return this.#queue.jobs;
  }

  /** The job whose result is shown. */
  get shown() {
    return this.#resultView.job;
  }

  /** Add recordings; the result of the first one is shown. @param {Item[]} items */
  add(items) {
    clearErrors();
    const accepted = [];
    const rejected = [];
    for (const { name, ...rest } of items) {
      const item = { ...rest, name: sanitizeName(name) };
      const error = checkSize(item.blob);
      if (error) rejected.push(this.#queue.addRejected(item, error));
      else accepted.push(item);
    }
    this.#select(this.#queue.add(accepted)[0] ?? rejected[0] ?? this.#selected);
    for (const job of rejected) this.#onFailure(job);
  }

  /** Add audio from the microphone. @param {Blob} blob @param {"recording" | "live"} origin */
  addCapture(blob, origin) {
    this.add([{ name: this.#captureName(origin), blob, origin }]);
  }

  /** Add the result of a live session. @param {import("./live.js").LiveResult} result */
  addLiveResult(result) {
    clearErrors();
    const job = this.#queue.addDone({ ...result, name: this.#captureName("live"), origin: "live" });
    this.#select(job);
    this.#showResult(job);
  }

  /** Select no job, so that no result interrupts a recording. */
  deselect() {
    clearErrors();
    this.#resultView.pause();
    this.#select(null);
  }

  cancel() {
    this.#queue.cancel();
    announce(t("cancelled"));
  }

  clear() {
    this.#queue.clear();
    this.#fileList.clear();
    this.#table.render();
    this.#resultView.clear();
    this.deselect();
    byId("main").focus({ preventScroll: true });
  }

  /** Retry the jobs that failed without a valid API key. */
  retryUnauthorized() {
    const { unauthorized } = this.#queue;
    if (!unauthorized.length) return;
    this.#select(unauthorized[0]);
    this.#queue.retry(unauthorized);
  }

  /** Recognize the selected recording again, for the spoken language that was chosen. */
  recognizeSpeech() {
    const job = this.#selected;
    if (!job || job.origin === "live" || !(isOpen(job) || ["done", "failed"].includes(job.state))) return;
    clearErrors();
    this.#queue.recognizeAgain(job, { decoding: session.decoding });
  }

  /** Render in the current language. */
  render() {
    this.#fileList.render();
    this.#table.render();
    this.#failureView.render();
    this.redraw();
    renderProgress(this.#queue.jobs, this.#selected);
  }

  /** Render in the current colors. */
  redraw() {
    this.#resultView.render();
  }

  /** @param {"recording" | "live"} origin */
  #captureName(origin) {
    this.#captureCount += 1;
    return `${t(`${origin}.name`)}-${this.#captureCount}.wav`;
  }

  /** @param {Job | null} job */
  #select(job) {
    this.#selected = job;
    this.#fileList.setCurrent(job?.id ?? 0);
    this.#table.setCurrent(job?.id ?? 0);
    this.#failureView.show(job && hasFailed(job) ? job : null);
    renderProgress(this.#queue.jobs, job);
  }

  /** @param {Job} job clicked in the list */
  #onChoose(job) {
    clearErrors();
    this.#select(job);
    if (job.state === "done") this.#showResult(job);
    else if (hasFailed(job)) this.#showFailure(job);
  }

  /** @param {Job} job */
  #onRetry(job) {
    clearErrors();
    this.#queue.retry([job]);
    this.#select(job);
    byId("main").focus({ preventScroll: true });
  }

  /** What is chosen for one recording is used for those that follow. @param {Job} job @param {string} channels */
  #onChannels(job, channels) {
    clearErrors();
    session.channels = channels === "split" ? "split" : "mix";
    this.#select(job);
    this.#queue.recognizeAgain(job, { channels });
  }

  /** @param {Job} job */
  #onChange(job) {
    if (!this.#queue.jobs.includes(job)) return;
    this.#fileList.update(job);
    this.#table.update(job);
    if (job === this.#selected) this.#onSelectedChange(job);
    if (job === this.shown) this.#resultView.update();
    renderProgress(this.#queue.jobs, this.#selected);
    if (job.state === "failed") this.#onFailure(job);
    if (job.state === "done" && job === this.#selected && !this.#resultView.isShown(job)) this.#showResult(job);
    if (["done", "failed"].includes(job.state) && !this.#queue.jobs.some(isOpen)) this.onIdle();
  }

  /** @param {Job} job */
  #onSelectedChange(job) {
    this.#failureView.show(hasFailed(job) ? job : null);
    if (job.state === "cancelled") this.#resultView.clear();
  }

  /** @param {Job} job */
  #onFailure(job) {
    if (job === this.#selected) this.#showFailure(job);
    else showError(job.error, job.name);
    if (job.error instanceof ApiError && job.error.status === 401) promptForKey();
  }

  /** Show the reason in the place of the result. @param {Job} job */
  #showFailure(job) {
    this.#resultView.clear();
    this.#failureView.show(job);
    if (document.activeElement !== byId("key-input")) this.#failureView.focus();
  }

  /** @param {Job} job */
  #showResult(job) {
    this.#resultView.show(job);
    const prediction = /** @type {import("./types.js").Prediction} */ (job.prediction);
    announce(t("result.announcement", { name: job.name, text: verdictSentence(prediction, job.origin === "sample") }));
    if (CHOICES.has(document.activeElement?.id ?? "")) return;
    byId("result-label").focus({ preventScroll: true });
    byId("result").scrollIntoView({ behavior: prefersReducedMotion() ? "auto" : "smooth", block: "start" });
  }
}

/** @param {Blob} blob @returns {LocalizedError | null} */
function checkSize(blob) {
  if (!blob.size) return new LocalizedError("error.empty");
  const limit = limits().body_bytes;
  return blob.size > limit
    ? new LocalizedError("error.big", { size: formatBytes(blob.size), limit: formatBytes(limit) })
    : null;
}

export function promptForKey() {
  showKeyForm();
  byId("key-input").focus();
}
