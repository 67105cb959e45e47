/** The upload queue: two recordings at a time, with retries. */

import { parseJson, parsePrediction } from "./answers.js";
import { backend } from "./backend.js";
import { convertToWav } from "./convert.js";
import { limits } from "./limits.js";
import { supportedLanguage } from "./models.js";
import { ApiError, LocalizedError } from "./problems.js";
import { session } from "./session.js";

const MAX_PARALLEL = 2;
const MAX_TRIES = 5;
const MAX_WAIT_SECONDS = 30;
const OPEN_STATES = new Set(["waiting", "uploading", "converting", "recognizing", "retrying"]);

/** @typedef {import("./types.js").Job} Job */

/** Whether the server is overloaded, starting or stopping. @param {ApiError} error */
const isBusy = ({ status }) => status === 429 || status === 503;

/** Whether the file holds no audio that the server reads. @param {ApiError} error */
const isUnknownFormat = ({ code, status }) => code === "unsupported_audio" || (status === 415 && code !== "unsupported_media_type");

/** @param {Job} job */
export const isOpen = (job) => OPEN_STATES.has(job.state);

export class Queue extends EventTarget {
  /** @type {Job[]} */
  jobs = [];
  /** @type {Map<Job, AbortController>} */
  #running = new Map();
  #nextId = 1;

  /**
   * Emits "change" with the job as its detail.
   * @param {{name: string, blob: Blob, origin: Job["origin"]}[]} items
   */
  add(items) {
    const jobs = items.map((item) => this.#createJob(item));
    this.jobs.push(...jobs);
    jobs.forEach((job) => this.#emitChange(job));
    this.#startNext();
    return jobs;
  }

  /** Add a job that already has its prediction. @param {Partial<Job>} item */
  addDone(item) {
    return this.#append({ ...this.#createJob(item), state: "done", channels: "mix" });
  }

  /** Add a job that is not sent. @param {Partial<Job>} item @param {Error} error */
  addRejected(item, error) {
    return this.#append({ ...this.#createJob(item), state: "rejected", error });
  }

  /** @param {Job[]} jobs that failed or were cancelled */
  retry(jobs) {
    for (const job of jobs) this.#update(job, { state: "waiting", error: null, progress: 0 });
    this.#startNext();
  }

  /** Recognize a recording again. @param {Job} job @param {{channels?: string, decoding?: string}} choices */
  recognizeAgain(job, choices) {
    Object.assign(job, choices);
    this.#running.get(job)?.abort(); // it runs again with these choices
    this.retry([job]);
  }

  /** Jobs that failed because the API key is missing or wrong. */
  get unauthorized() {
    return this.jobs.filter((job) => job.error instanceof ApiError && job.error.status === 401);
  }

  cancel() {
    for (const job of this.jobs.filter(isOpen)) this.#update(job, { state: "cancelled" });
    for (const controller of this.#running.values()) controller.abort();
  }

  clear() {
    this.cancel();
    this.jobs = [];
  }

  /** @param {Partial<Job>} item @returns {Job} */
  #createJob(item) {
    const results = { prediction: null, error: null, roundTrip: null, keptSeconds: null, profile: null };
    const { channels, decoding } = session;
    const defaults = { progress: 0, wait: 0, channels, decoding, converted: null, ...results };
    return /** @type {Job} */ ({ ...defaults, ...item, id: this.#nextId++, state: "waiting" });
  }

  /** @param {Job} job */
  #append(job) {
    this.jobs.push(job);
    this.#emitChange(job);
    return job;
  }

  /** @param {Job} job @param {Partial<Job>} changes */
  #update(job, changes) {
    Object.assign(job, changes);
    this.#emitChange(job);
  }

  /** @param {Job} job */
  #emitChange(job) {
    this.dispatchEvent(new CustomEvent("change", { detail: job }));
  }

  #startNext() {
    for (const job of this.jobs) {
      if (this.#running.size >= MAX_PARALLEL) return;
      if (job.state === "waiting" && !this.#running.has(job)) this.#run(job);
    }
  }

  /** @param {Job} job */
  async #run(job) {
    const controller = new AbortController();
    this.#running.set(job, controller);
    try {
      const changes = await this.#recognize(job, controller.signal);
      if (!controller.signal.aborted) this.#update(job, changes);
    } catch (error) {
      if (!controller.signal.aborted)
        this.#update(job, { state: "failed", error: /** @type {Error} */ (error) });
    } finally {
      this.#running.delete(job);
      this.#startNext();
    }
  }

  /** @param {Job} job @param {AbortSignal} signal @returns {Promise<Partial<Job>>} */
  async #recognize(job, signal) {
    for (let tries = 1; ; tries += 1) {
      try {
        const { text, seconds } = await this.#upload(job, signal);
        return { state: "done", prediction: parsePrediction(parseJson(text)), roundTrip: seconds };
      } catch (error) {
        if (!signal.aborted && (await this.#convert(job, error))) continue;
        if (!(error instanceof ApiError) || !isBusy(error) || tries === MAX_TRIES || signal.aborted)
          throw error;
        await this.#countDown(job, Math.min(error.wait, MAX_WAIT_SECONDS), signal);
      }
    }
  }

  /**
   * Convert a recording that the server cannot read, if the browser can.
   * @param {Job} job
   * @param {unknown} error
   */
  async #convert(job, error) {
    if (job.converted || !(error instanceof ApiError) || !isUnknownFormat(error)) return false;
    this.#update(job, { state: "converting" });
    job.converted = await convertToWav(job.blob, limits());
    return job.converted !== null;
  }

  /** @param {Job} job @param {AbortSignal} signal */
  async #upload(job, signal) {
    await checkReadable(job.blob);
    if (signal.aborted) throw new LocalizedError("error.aborted");
    const { profile } = session;
    const { channels } = job;
    const decoding = supportedLanguage(job.decoding);
    this.#update(job, { state: "uploading", progress: 0, profile, decoding });
    const handlers = {
      signal,
      onProgress: (/** @type {number} */ progress) => this.#update(job, { progress }),
      onSent: () => this.#update(job, { state: "recognizing" }),
    };
    return backend.recognize(job.converted?.blob ?? job.blob, job.name, handlers, { profile, channels, decoding });
  }

  /** @param {Job} job @param {number} seconds @param {AbortSignal} signal */
  async #countDown(job, seconds, signal) {
    for (let remaining = Math.ceil(seconds); remaining > 0; remaining -= 1) {
      this.#update(job, { state: "retrying", wait: remaining });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      if (signal.aborted) throw new LocalizedError("error.aborted");
    }
  }
}

/**
 * A dropped folder or a deleted file looks like a file until it is read.
 * @param {Blob} blob
 */
async function checkReadable(blob) {
  await blob
    .slice(0, 1)
    .arrayBuffer()
    .catch(() => {
      throw new LocalizedError("error.read");
    });
}
