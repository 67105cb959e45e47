/** What the table of recordings shows of a job, and the order of its rows. */

import { hasNoSpeech, sortByScore } from "./answers.js";
import { isSplit, knownChannels, partsOf } from "./channels.js";
import { formatClock, formatPercent } from "./format.js";
import { emotionName, hasTranslation, language, t } from "./language.js";
import { canRetry, errorMessage } from "./problems.js";

const TOP = 3;
const DOUBTS = ["unsure", "no_speech", "timeline_differs"];

/**
 * @typedef {import("./types.js").Job} Job
 * @typedef {import("./types.js").Prediction} Prediction
 * @typedef {{id: string, text: (job: Job) => string, value: (job: Job) => string | number | null}} Column
 */

/** `text` is shown, `value` is sorted by; null is last in any order. @type {Column[]} */
export const COLUMNS = [
  { id: "name", text: ({ name }) => name, value: ({ name }) => name },
  { id: "seconds", text: lengthText, value: ({ prediction }) => prediction?.seconds ?? null },
  { id: "label", text: labelText, value: (job) => labelText(job) || null },
  { id: "score", text: scoreText, value: ({ prediction }) => (prediction ? scoreOf(prediction) : null) },
  { id: "doubt", text: doubtText, value: (job) => doubtText(job) || null },
  { id: "channels", text: channelsText, value: (job) => channelsText(job) || null },
  { id: "top", text: topText, value: (job) => topText(job) || null },
  { id: "problem", text: problemText, value: (job) => problemText(job) || null },
];

/** Whether the label is not to be relied on. @param {Job} job */
export const isDoubtful = ({ prediction }) =>
  prediction !== null && [prediction, ...partsOf(prediction)].some(isInDoubt);

/** @param {Prediction} prediction a recording, or one of its channels */
const isInDoubt = ({ label, mixture, warnings }) =>
  label === null || Boolean(mixture) || DOUBTS.some((name) => warnings.includes(name));

/** @param {Prediction} prediction */
const scoreOf = (prediction) => (hasNoSpeech(prediction) ? null : (prediction.scores[prediction.label ?? ""] ?? null));

/** @param {Job} job */
function lengthText({ prediction }) {
  return prediction ? formatClock(prediction.seconds) : "";
}

/** The emotion, "unsure" or "no speech", or why there is none. @param {Job} job */
function labelText(job) {
  const { prediction } = job;
  if (!prediction || job.state !== "done") return progressText(job);
  if (hasNoSpeech(prediction)) return t("no_speech");
  if (job.origin === "sample") return t("verdict.synthetic");
  if (prediction.mixture) return t("verdict.mixed");
  const name = emotionName(prediction.label ?? "");
  return prediction.warnings.includes("unsure") ? t("table.unsure.label", { label: name }) : name;
}

/** @param {Job} job */
function scoreText({ prediction }) {
  const score = prediction && scoreOf(prediction);
  return score === null ? "" : formatPercent(score);
}

/** @param {Job} job */
function doubtText({ prediction }) {
  const names = (prediction?.warnings ?? []).map((warning) => warning.split("=")[0]);
  return names
    .filter((name) => hasTranslation(`doubt.${name}`))
    .map((name) => t(`doubt.${name}`))
    .join(t("legend.separator"));
}

/** @param {Job} job */
function channelsText({ prediction }) {
  if (!prediction) return "";
  const count = knownChannels(prediction);
  if (isSplit(prediction)) return t("table.channels.split", { count: prediction.channels?.length ?? 0 });
  if (prediction.channel !== undefined) return t("channel.name", { number: prediction.channel });
  return count > 1 ? t("table.channels.mix") : "";
}

/** @param {Job} job */
function topText({ prediction }) {
  if (!prediction || hasNoSpeech(prediction)) return "";
  const top = sortByScore(prediction.scores).slice(0, TOP);
  return top.map(([name, score]) => `${emotionName(name)} ${formatPercent(score)}`).join(t("legend.separator"));
}

/** @param {Job} job */
function problemText({ error }) {
  return error ? errorMessage(error) : "";
}

/** @param {Job} job without a result */
function progressText(job) {
  if (job.state === "failed" && !canRetry(job.error)) return t("state.refused");
  return t(`state.${job.state}`, { percent: formatPercent(job.progress), seconds: job.wait });
}

/**
 * Sorted copy; rows without a value are last, equal ones in the order in which they were added.
 * @param {Job[]} jobs
 * @param {Column["value"]} value
 * @param {boolean} descending
 */
export function sortJobs(jobs, value, descending) {
  const collator = new Intl.Collator(language(), { numeric: true });
  const sign = descending ? -1 : 1;
  const keyed = jobs.map((job) => ({ job, key: value(job) }));
  keyed.sort((left, right) => compare(left.key, right.key, collator, sign) || left.job.id - right.job.id);
  return keyed.map(({ job }) => job);
}

/**
 * @param {string | number | null} left
 * @param {string | number | null} right
 * @param {Intl.Collator} collator
 * @param {number} sign
 */
function compare(left, right, collator, sign) {
  if (left === null || right === null) return Number(left === null) - Number(right === null);
  if (typeof left === "number" && typeof right === "number") return sign * (left - right);
  return sign * collator.compare(String(left), String(right));
}
