/** Recordings on their way to the server, two at a time. */

import { checked } from "./answers.js";
import { hear, parsed, session } from "./api.js";
import { Problem, ServerProblem } from "./problems.js";

const AT_ONCE = 2;
const TRIES = 5;
const LONGEST_WAIT = 30;
const OPEN = new Set(["waiting", "uploading", "listening", "retrying"]);

/** @typedef {import("./types.js").Job} Job */

/** Too much at once, or it starts or stops. @param {ServerProblem} problem */
const isBusy = ({ status }) => status === 429 || status === 503;

/** @param {Job} job */
export const isOpen = (job) => OPEN.has(job.state);

export class Queue extends EventTarget {
  /** @type {Job[]} */
  jobs = [];
  /** @type {Map<Job, AbortController>} */
  #running = new Map();
  #next = 1;

  /**
   * Emits "change" with the job as its detail.
   * @param {{name: string, blob: Blob, origin: Job["origin"]}[]} items
   */
  add(items) {
    const made = items.map((item) => this.#made(item));
    this.jobs.push(...made);
    made.forEach((job) => this.#tell(job));
    this.#pump();
    return made;
  }

  /** A job that another way already answered. @param {Partial<Job>} item */
  addAnswered(item) {
    return this.#ended({ ...this.#made(item), state: "done" });
  }

  /** A job that is not even sent. @param {Partial<Job>} item @param {Error} problem */
  addUnfit(item, problem) {
    return this.#ended({ ...this.#made(item), state: "unfit", problem });
  }

  /** @param {Job[]} jobs that failed or were cancelled */
  retry(jobs) {
    for (const job of jobs) this.#set(job, { state: "waiting", problem: null, progress: 0 });
    this.#pump();
  }

  /** Those that the server refused for want of a key. */
  get refused() {
    return this.jobs.filter((job) => job.problem instanceof ServerProblem && job.problem.status === 401);
  }

  cancel() {
    for (const job of this.jobs.filter(isOpen)) this.#set(job, { state: "cancelled" });
    for (const controller of this.#running.values()) controller.abort();
  }

  clear() {
    this.cancel();
    this.jobs = [];
  }

  /** @param {Partial<Job>} item @returns {Job} */
  #made(item) {
    const unknown = { answer: null, problem: null, roundTrip: null, kept: null, profile: null };
    const empty = { progress: 0, wait: 0, ...unknown };
    return /** @type {Job} */ ({ ...empty, ...item, id: this.#next++, state: "waiting" });
  }

  /** @param {Job} job */
  #ended(job) {
    this.jobs.push(job);
    this.#tell(job);
    return job;
  }

  /** @param {Job} job @param {Partial<Job>} changes */
  #set(job, changes) {
    Object.assign(job, changes);
    this.#tell(job);
  }

  /** @param {Job} job */
  #tell(job) {
    this.dispatchEvent(new CustomEvent("change", { detail: job }));
  }

  #pump() {
    for (const job of this.jobs) {
      if (this.#running.size >= AT_ONCE) return;
      if (job.state === "waiting" && !this.#running.has(job)) this.#run(job);
    }
  }

  /** @param {Job} job */
  async #run(job) {
    const controller = new AbortController();
    this.#running.set(job, controller);
    try {
      const changes = await this.#answered(job, controller.signal);
      if (!controller.signal.aborted) this.#set(job, changes);
    } catch (problem) {
      if (!controller.signal.aborted)
        this.#set(job, { state: "failed", problem: /** @type {Error} */ (problem) });
    } finally {
      this.#running.delete(job);
      this.#pump();
    }
  }

  /** @param {Job} job @param {AbortSignal} signal @returns {Promise<Partial<Job>>} */
  async #answered(job, signal) {
    for (let tries = 1; ; tries += 1) {
      try {
        const { text, seconds } = await this.#sent(job, signal);
        return { state: "done", answer: checked(parsed(text)), roundTrip: seconds };
      } catch (problem) {
        if (!(problem instanceof ServerProblem) || !isBusy(problem) || tries === TRIES || signal.aborted)
          throw problem;
        await this.#rest(job, Math.min(problem.wait, LONGEST_WAIT), signal);
      }
    }
  }

  /** @param {Job} job @param {AbortSignal} signal */
  async #sent(job, signal) {
    await checkReadable(job.blob);
    const { profile } = session;
    this.#set(job, { state: "uploading", progress: 0, profile });
    const sending = {
      signal,
      onProgress: (/** @type {number} */ progress) => this.#set(job, { progress }),
      onSent: () => this.#set(job, { state: "listening" }),
    };
    return hear(job.blob, job.name, "verbose_json", sending, profile);
  }

  /** @param {Job} job @param {number} seconds @param {AbortSignal} signal */
  async #rest(job, seconds, signal) {
    for (let left = Math.ceil(seconds); left > 0; left -= 1) {
      this.#set(job, { state: "retrying", wait: left });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      if (signal.aborted) throw new Problem("error.aborted");
    }
  }
}

/**
 * A folder that was dropped, or a file that is gone, looks like a file until it is read.
 * @param {Blob} blob
 */
async function checkReadable(blob) {
  await blob
    .slice(0, 1)
    .arrayBuffer()
    .catch(() => {
      throw new Problem("error.read");
    });
}
