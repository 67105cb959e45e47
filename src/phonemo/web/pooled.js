/** Selects recordings for the session profile: the newest that fit into one request. */

import { hasNoSpeech } from "./answers.js";

const HEADROOM_BYTES = 65_536;

/** @typedef {import("./types.js").Job} Job */

/**
 * Synthetic samples have another source, and silent recordings contain no speech.
 * @param {Job} job
 */
const isUsable = (job) =>
  job.state === "done" && job.origin !== "sample" && !(job.prediction && hasNoSpeech(job.prediction));

/**
 * @param {Job[]} jobs oldest first
 * @param {{body_bytes: number, profile_files: number, profile_seconds: number}} limits
 * @returns {Job[]}
 */
export function selectForProfile(jobs, limits) {
  /** @type {Job[]} */
  const selected = [];
  let bytes = HEADROOM_BYTES;
  let seconds = 0;
  for (const job of jobs.filter(isUsable).reverse()) {
    bytes += job.blob.size + 1000;
    seconds += job.prediction?.seconds ?? 0;
    const isTooLarge = bytes > limits.body_bytes || seconds > limits.profile_seconds;
    if (isTooLarge || selected.length === limits.profile_files) break;
    selected.push(job);
  }
  return selected;
}
