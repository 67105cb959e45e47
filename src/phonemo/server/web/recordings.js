/** The recordings of this visit: where they come from, and whose answer is shown. */

import { byId, calm } from "./dom.js";
import { FileList } from "./filelist.js";
import { bytes, plain } from "./format.js";
import { t } from "./language.js";
import { alarm, clearAlarms, tell } from "./messages.js";
import { Problem, ServerProblem } from "./problems.js";
import { showProgress } from "./progress.js";
import { isOpen, Queue } from "./queue.js";
import { ResultView } from "./result.js";
import { limits, showKey } from "./server.js";

/**
 * @typedef {import("./types.js").Job} Job
 * @typedef {{name: string, blob: Blob, origin: Job["origin"]}} Item
 */

export class Recordings {
  #queue = new Queue();
  #files = new FileList((job) => this.#choose(job));
  #result = new ResultView();
  /** @type {Job | null} whose answer is shown, or will be when it comes */
  #wanted = null;
  #takes = 0;

  /** @param {() => void} onSettled called when a recording was recognized and none is under way */
  constructor(onSettled) {
    this.onSettled = onSettled;
    this.#queue.addEventListener("change", (event) =>
      this.#changed(/** @type {CustomEvent<Job>} */ (event).detail),
    );
  }

  /** All of this visit, the oldest first. */
  get jobs() {
    return this.#queue.jobs;
  }

  /** The job whose answer is shown. */
  get shown() {
    return this.#result.job;
  }

  /** The first of them is shown when its answer is there. @param {Item[]} items */
  add(items) {
    clearAlarms();
    const fit = [];
    for (const { name, ...rest } of items) {
      const item = { ...rest, name: plain(name) };
      const problem = unfit(item.blob);
      if (problem) this.#queue.addUnfit(item, problem);
      else fit.push(item);
    }
    this.#want(this.#queue.add(fit)[0] ?? this.#wanted);
  }

  /** What the microphone gave. @param {Blob} blob @param {"recording" | "live"} origin */
  addTake(blob, origin) {
    this.add([{ name: this.#takeName(origin), blob, origin }]);
  }

  /** What was answered while it was spoken. @param {import("./live.js").Heard} heard */
  addHeard(heard) {
    clearAlarms();
    const job = this.#queue.addAnswered({ ...heard, name: this.#takeName("live"), origin: "live" });
    this.#want(job);
    this.#present(job);
  }

  /** What comes from now on goes to the list: nothing is put before somebody who speaks. */
  stepBack() {
    clearAlarms();
    this.#result.pause();
    this.#want(null);
  }

  cancel() {
    this.#queue.cancel();
    tell(t("cancelled"));
  }

  clear() {
    this.#queue.clear();
    this.#files.clear();
    this.#result.clear();
    this.stepBack();
    byId("main").focus({ preventScroll: true });
  }

  /** Those that wanted a key. */
  retryRefused() {
    const { refused } = this.#queue;
    if (!refused.length) return;
    this.#want(refused[0]);
    this.#queue.retry(refused);
  }

  /** In the language of the page. */
  render() {
    this.#files.render();
    this.redraw();
    showProgress(this.#queue.jobs, this.#wanted);
  }

  /** In the colours of the page. */
  redraw() {
    this.#result.render();
  }

  /** @param {"recording" | "live"} origin */
  #takeName(origin) {
    this.#takes += 1;
    return `${t(`${origin}.name`)}-${this.#takes}.wav`;
  }

  /** @param {Job | null} job */
  #want(job) {
    this.#wanted = job;
    this.#files.mark(job?.id ?? 0);
    showProgress(this.#queue.jobs, job);
  }

  /** @param {Job} job clicked in the list */
  #choose(job) {
    clearAlarms();
    this.#want(job);
    if (job.state === "done") this.#present(job);
    else if (job.state === "unfit") alarm(job.problem, job.name);
    else if (!isOpen(job)) this.#queue.retry([job]);
  }

  /** @param {Job} job */
  #changed(job) {
    if (!this.#queue.jobs.includes(job)) return;
    this.#files.update(job);
    showProgress(this.#queue.jobs, this.#wanted);
    if (job.state === "failed" || job.state === "unfit") this.#failed(job);
    if (job.state === "done" && job === this.#wanted && this.shown !== job) this.#present(job);
    if (["done", "failed"].includes(job.state) && !this.#queue.jobs.some(isOpen)) this.onSettled();
  }

  /** @param {Job} job */
  #failed(job) {
    alarm(job.problem, job.name);
    if (job.problem instanceof ServerProblem && job.problem.status === 401) askKey();
    const next = this.#queue.jobs.find(isOpen);
    if (job === this.#wanted && next) this.#want(next);
  }

  /** @param {Job} job */
  #present(job) {
    this.#result.show(job);
    const words = { label: byId("result-label").textContent, percent: byId("result-percent").textContent };
    tell(t("done", { name: job.name, ...words }));
    if (document.activeElement === byId("key-input")) return;
    byId("result-label").focus({ preventScroll: true });
    byId("result").scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "start" });
  }
}

/** @param {Blob} blob @returns {Problem | null} */
function unfit(blob) {
  if (!blob.size) return new Problem("error.empty");
  const most = limits().body_bytes;
  return blob.size > most ? new Problem("error.big", { size: bytes(blob.size), most: bytes(most) }) : null;
}

export function askKey() {
  showKey();
  byId("key-input").focus();
}
