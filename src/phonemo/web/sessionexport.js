/** One CSV and one JSON of all recordings of the session. */

import { hasNoSpeech } from "./answers.js";
import { partsOf } from "./channels.js";
import { csvText } from "./csv.js";
import { byId } from "./dom.js";
import { saveBlob } from "./downloads.js";
import { t } from "./language.js";
import { announce } from "./messages.js";
import { ApiError, LocalizedError, errorMessage } from "./problems.js";

const STEM = "phonemo-session";
const COLUMNS = ["file", "state", "seconds", "channel", "label", "unsure", "mixture"];
const MORE_COLUMNS = ["score", "speech_ratio", "warnings", "origin"];
const DIMENSIONS = /** @type {const} */ (["arousal", "valence", "derived"]);
const LAST_COLUMNS = ["model", "profile", "error_code", "error"];

/**
 * @typedef {import("./types.js").Job} Job
 * @typedef {import("./types.js").Prediction} Prediction
 */

/** @param {() => Job[]} jobs of the session */
export function initSessionExport(jobs) {
  byId("session-csv").addEventListener("click", () => save(sessionCsv(jobs()), "csv", "text/csv;charset=utf-8"));
  byId("session-json").addEventListener("click", () => save(sessionJson(jobs()), "json", "application/json"));
}

/** @param {string} text @param {string} extension @param {string} type */
function save(text, extension, type) {
  const name = `${STEM}.${extension}`;
  saveBlob(new Blob([text], { type }), name);
  announce(t("download.done", { name }));
}

/** A row for each recording and, if its channels were recognized apart, one for each channel. @param {Job[]} jobs */
export function sessionCsv(jobs) {
  const emotions = [...new Set(jobs.flatMap((job) => Object.keys(job.prediction?.scores ?? {})))].sort();
  const scores = emotions.map((name) => `score_${name}`);
  const header = [...COLUMNS, ...MORE_COLUMNS, ...scores, ...DIMENSIONS, ...LAST_COLUMNS];
  const rows = jobs.flatMap((job) => predictionsOf(job).map((prediction) => csvRow(job, prediction, emotions)));
  return csvText([header, ...rows]);
}

/** @param {Job} job @returns {(Prediction | null)[]} the recording, and its channels */
function predictionsOf({ prediction }) {
  if (!prediction) return [null];
  return prediction.channels?.length ? [prediction, ...partsOf(prediction)] : [prediction];
}

/** @param {Job} job @param {Prediction | null} prediction @param {string[]} emotions */
function csvRow(job, prediction, emotions) {
  const whole = job.prediction;
  const scores = prediction?.scores ?? {};
  const label = prediction && !hasNoSpeech(prediction) ? prediction.label : null;
  const { code, message } = errorOf(job) ?? {};
  return [
    ...[job.name, job.state, prediction?.seconds, prediction?.channel, label],
    prediction && (label === null || prediction.warnings.includes("unsure")),
    mixtureOf(prediction),
    label ? scores[label] : null,
    ...[prediction?.speech_ratio, prediction?.warnings.join(" "), job.origin],
    ...emotions.map((name) => scores[name]),
    ...DIMENSIONS.map((name) => (label ? prediction?.dimensions?.[name] : null)),
    ...[whole?.model, whole?.profile?.hash, code, message],
  ];
}

/** "anger=0.28 happiness=0.21": shares of time where no emotion has most of it. @param {Prediction | null} prediction */
const mixtureOf = (prediction) =>
  Object.entries(prediction?.mixture ?? {})
    .map(([name, share]) => `${name}=${share}`)
    .join(" ");

/** @param {Job[]} jobs */
export function sessionJson(jobs) {
  const rows = jobs.map((job) => {
    const { name: file, state, origin, prediction } = job;
    return { file, state, origin, prediction, error: errorOf(job) };
  });
  return `${JSON.stringify(rows, null, 2)}\n`;
}

/** @param {Job} job @returns {{code: string, message: string} | null} */
function errorOf({ error }) {
  if (!error) return null;
  const code = error instanceof ApiError ? error.code : error instanceof LocalizedError ? error.key : "";
  return { code, message: error instanceof ApiError && error.message ? error.message : errorMessage(error) };
}
