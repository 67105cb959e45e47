/** In the place of a result: why a recording was not recognized, and whether to try again. */

import { byId, prefersReducedMotion } from "./dom.js";
import { t } from "./language.js";
import { ApiError, canRetry, errorParts } from "./problems.js";

const FAILED_STATES = new Set(["failed", "rejected", "cancelled"]);

/** @typedef {import("./types.js").Job} Job */

/** Whether a job ended without a result. @param {Job} job */
export const hasFailed = ({ state }) => FAILED_STATES.has(state);

export class FailureView {
  /** @type {Job | null} */
  #job = null;

  /** @param {(job: Job) => void} onRetry */
  constructor(onRetry) {
    byId("failure-retry").addEventListener("click", () => {
      if (this.#job) onRetry(this.#job);
    });
  }

  /** Show why a job failed, or nothing. @param {Job | null} job */
  show(job) {
    this.#job = job;
    byId("failure").hidden = !job;
    this.render();
  }

  /** Bring the reason into view, and to the keyboard. */
  focus() {
    byId("failure-title").focus({ preventScroll: true });
    byId("failure").scrollIntoView({ behavior: prefersReducedMotion() ? "auto" : "smooth", block: "nearest" });
  }

  /** Render in the current language. */
  render() {
    const job = this.#job;
    if (!job) return;
    const { text, detail } = reasonOf(job);
    byId("failure-file").textContent = job.name;
    byId("failure-title").textContent = t(job.state === "cancelled" ? "failure.cancelled" : "failure.title");
    byId("failure-reason").textContent = text;
    byId("failure-server").textContent = detail ? t("failure.server", { message: detail }) : "";
    byId("failure-id").textContent = requestText(job.error);
    byId("failure-retry").hidden = !(job.state === "cancelled" || (job.state === "failed" && canRetry(job.error)));
  }
}

/** @param {Job} job @returns {{text: string, detail: string}} */
function reasonOf(job) {
  return job.state === "cancelled" ? { text: t("failure.cancelled.text"), detail: "" } : errorParts(job.error);
}

/** The number of a request helps with faults of the server only. @param {Error | null} error */
function requestText(error) {
  const found = error instanceof ApiError && error.status >= 500 && error.requestId;
  return found ? t("failure.id", { id: found }) : "";
}
