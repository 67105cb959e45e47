/** The recordings that a growing profile is made of: the newest that the server takes at once. */

const HEADROOM_BYTES = 65_536;

/** @typedef {import("./types.js").Job} Job */

/**
 * Sample voices are not of the visitor's source, and silence holds nothing of it.
 * @param {Job} job
 */
const counts = (job) =>
  job.state === "done" && job.origin !== "sample" && !job.answer?.warnings.includes("no_speech");

/**
 * @param {Job[]} jobs the oldest first
 * @param {{body_bytes: number, profile_files: number, profile_seconds: number}} most
 * @returns {Job[]}
 */
export function pooled(jobs, most) {
  /** @type {Job[]} */
  const taken = [];
  let bytes = HEADROOM_BYTES;
  let seconds = 0;
  for (const job of jobs.filter(counts).reverse()) {
    bytes += job.blob.size + 1000;
    seconds += job.answer?.seconds ?? 0;
    if (bytes > most.body_bytes || seconds > most.profile_seconds || taken.length === most.profile_files)
      break;
    taken.push(job);
  }
  return taken;
}
