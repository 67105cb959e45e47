/** Notes below the emotion: the warnings of the server, and what the page adds. */

import { hasNoSpeech } from "./answers.js";
import { partsOf } from "./channels.js";
import { createElement } from "./dom.js";
import { formatLength, formatPercent } from "./format.js";
import { hasTranslation, t } from "./language.js";

const MEASURED_MODEL = "phonemo-small";
const SERIOUS = new Set(["unsure", "timeline_differs", "no_speech", "silent", "truncated", "channels_differ", "unused_bytes"]);
const LOW_SPEECH_RATIO = 0.5;

/** @typedef {import("./types.js").Job} Job */

/** @param {HTMLElement} list @param {Job} job @param {() => void} onSplit recognizes each channel on its own */
export function renderNotes(list, job, onSplit) {
  const prediction = /** @type {import("./types.js").Prediction} */ (job.prediction);
  const synthetic = job.origin === "sample";
  const warnings = warningNotes(prediction).filter(([name]) => !(synthetic && name === "unsure"));
  const notes = [...warnings, ...doubtNotes(job, prediction), ...pageNotes(job, prediction)];
  list.replaceChildren(...notes.map(([name, text]) => noteElement(name, text, job, onSplit)));
}

/** @param {import("./types.js").Prediction} prediction @returns {[string, string][]} names and texts */
function warningNotes(prediction) {
  const silent = hasNoSpeech(prediction);
  const all = new Set([prediction, ...partsOf(prediction)].flatMap(({ warnings }) => warnings));
  const names = [...all].filter((name) => !(silent && name === "unsure"));
  return names.map((name) => [name, warningText(name)]);
}

/** Some warnings have an amount, as in "unused_bytes=1234". @param {string} warning */
function warningText(warning) {
  const [name, count = ""] = warning.split("=");
  return hasTranslation(`warning.${name}`) ? t(`warning.${name}`, { count }) : t("warning.other", { name: warning });
}

/**
 * An answer without the warning is not a sure one: what was measured. A machine's voice acts no emotion.
 * @param {Job} job
 * @param {import("./types.js").Prediction} prediction
 * @returns {[string, string][]}
 */
function doubtNotes(job, prediction) {
  const parts = partsOf(prediction);
  if (job.origin === "sample") return [["synthetic", t("warning.synthetic")]];
  if (parts.every(({ label, warnings }) => label === null || warnings.includes("unsure"))) return [];
  return [["measured", t(prediction.model === MEASURED_MODEL ? "warning.measured" : "warning.not_measured")]];
}

/** @param {Job} job @param {import("./types.js").Prediction} prediction @returns {[string, string][]} */
function pageNotes(job, prediction) {
  /** @type {[string, string][]} */
  const notes = [];
  const ratio = prediction.speech_ratio;
  if (ratio !== null && ratio > 0 && ratio < LOW_SPEECH_RATIO && !prediction.channels)
    notes.push(["quiet", t("warning.quiet", { percent: formatPercent(ratio) })]);
  if (prediction.profile) notes.push(["profile", t("result.profile", { count: prediction.profile.count })]);
  if (job.origin === "live") notes.push(["live", t("warning.live")]);
  if (job.converted) notes.push(["converted", t(job.converted.mixed ? "result.converted.mixed" : "result.converted")]);
  if (job.keptSeconds !== null)
    notes.push(["not_kept", t("warning.not_kept", { time: formatLength(job.keptSeconds) })]);
  return notes;
}

/** @param {string} warning @param {string} text @param {Job} job @param {() => void} onSplit */
function noteElement(warning, text, job, onSplit) {
  const [name] = warning.split("=");
  const className = SERIOUS.has(name) ? "note serious" : "note";
  const note = createElement("li", { className, data: { warning: name } });
  note.append(createElement("p", { textContent: text }));
  if (name === "measured" || name === "unsure") note.append(measuredLink());
  if (name === "channels_differ" && job.origin !== "live") note.append(splitButton(onSplit));
  return note;
}

/** To what was measured, at the foot of the page. */
const measuredLink = () =>
  createElement("a", { href: "#measured", data: { testid: "measured-link" }, textContent: t("measured.link") });

/** @param {() => void} onSplit */
function splitButton(onSplit) {
  const data = { testid: "channel-split" };
  const button = createElement("button", { type: "button", className: "button", data, textContent: t("channels.analyze") });
  button.addEventListener("click", onSplit);
  return button;
}
