/** The result: emotion, score, warnings, scores, timeline and latency. */

import { byId, createElement } from "./dom.js";
import { formatLength, formatPercent, formatWorkTime } from "./format.js";
import { emotionName, hasTranslation, t } from "./language.js";
import { renderScores } from "./scores.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./types.js").Job} Job */

const SERIOUS = new Set(["unsure", "no_speech", "silent", "truncated"]);
const LOW_SPEECH_RATIO = 0.5;

export class ResultView {
  /** @type {Job | null} */
  #job = null;
  timeline = new Timeline();

  get job() {
    return this.#job;
  }

  /** @param {Job} job with an answer */
  show(job) {
    this.#job = job;
    byId("result").hidden = false;
    this.#renderSummary(job);
    this.timeline.show(/** @type {import("./types.js").Prediction} */ (job.prediction), job.blob);
  }

  /** Pause playback, so that it is not recorded. */
  pause() {
    this.timeline.player.pause();
  }

  clear() {
    this.#job = null;
    byId("result").hidden = true;
    this.timeline.clear();
  }

  /** Render in the current language. */
  render() {
    if (this.#job) this.#renderSummary(this.#job);
    this.timeline.render();
  }

  /** @param {Job} job */
  #renderSummary(job) {
    const prediction = /** @type {import("./types.js").Prediction} */ (job.prediction);
    const silent = prediction.warnings.includes("no_speech");
    byId("result").dataset.emotion = silent ? "" : prediction.label;
    byId("result").classList.toggle("no-speech", silent);
    byId("result-file").textContent = t("result.file", { name: job.name });
    byId("result-label").textContent = silent ? t("no_speech") : emotionName(prediction.label);
    byId("result-percent").textContent = silent ? "" : formatPercent(prediction.scores[prediction.label] ?? 0);
    byId("notes").replaceChildren(...collectNotes(job, prediction).map(noteElement));
    renderScores(byId("scores"), prediction.scores);
    byId("latency").textContent = latencyText(job, prediction);
    for (const id of ["json", "csv", "textgrid"])
      byId(`download-${id}`).setAttribute("aria-label", t(`download.${id}`));
  }
}

/**
 * @param {Job} job
 * @param {import("./types.js").Prediction} prediction
 * @returns {[string, string][]} names and texts
 */
function collectNotes(job, prediction) {
  const silent = prediction.warnings.includes("no_speech");
  const warnings = prediction.warnings.filter((name) => !(silent && name === "unsure"));
  const notes = warnings.map((name) => [
    name,
    hasTranslation(`warning.${name}`) ? t(`warning.${name}`) : t("warning.other", { name }),
  ]);
  const ratio = prediction.speech_ratio;
  if (ratio !== null && ratio > 0 && ratio < LOW_SPEECH_RATIO)
    notes.push(["quiet", t("warning.quiet", { percent: formatPercent(ratio) })]);
  if (prediction.profile) notes.push(["profile", t("result.profile", { count: prediction.profile.count })]);
  if (job.keptSeconds !== null)
    notes.push(["not_kept", t("warning.not_kept", { time: formatLength(job.keptSeconds) })]);
  return /** @type {[string, string][]} */ (notes);
}

/** @param {[string, string]} named */
function noteElement([name, text]) {
  return createElement("li", {
    className: SERIOUS.has(name) ? "note serious" : "note",
    data: { warning: name },
    textContent: text,
  });
}

/** @param {Job} job @param {import("./types.js").Prediction} prediction */
function latencyText(job, prediction) {
  if (job.roundTrip === null) return "";
  const total = formatWorkTime(job.roundTrip);
  const timings = prediction.timings;
  if (!timings || !Number.isFinite(timings.total)) return t("latency", { total });
  const parts = {
    server: formatWorkTime(timings.total),
    network: formatWorkTime(timings.network ?? 0),
    decode: formatWorkTime(timings.decode ?? 0),
  };
  return t("latency.server", { total, ...parts });
}
