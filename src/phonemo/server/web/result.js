/** An answer: the emotion, how sure, what to mind, when and by which phonemes. */

import { byId, make } from "./dom.js";
import { duration, percent, span } from "./format.js";
import { emotionName, hasPhrase, t } from "./language.js";
import { showScores } from "./scores.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./types.js").Job} Job */

const GRAVE = new Set(["unsure", "no_speech", "silent", "truncated"]);
const LITTLE_SPEECH = 0.5;

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
    this.#head(job);
    this.timeline.show(/** @type {import("./types.js").Answer} */ (job.answer), job.blob);
  }

  /** So that nobody records what is played. */
  pause() {
    this.timeline.player.pause();
  }

  clear() {
    this.#job = null;
    byId("result").hidden = true;
    this.timeline.clear();
  }

  /** In the language of the page. */
  render() {
    if (this.#job) this.#head(this.#job);
    this.timeline.render();
  }

  /** @param {Job} job */
  #head(job) {
    const answer = /** @type {import("./types.js").Answer} */ (job.answer);
    const silent = answer.warnings.includes("no_speech");
    byId("result").dataset.emotion = silent ? "" : answer.label;
    byId("result").classList.toggle("silent", silent);
    byId("result-file").textContent = t("heard.in", { name: job.name });
    byId("result-label").textContent = silent ? t("nothing") : emotionName(answer.label);
    byId("result-percent").textContent = silent ? "" : percent(answer.scores[answer.label] ?? 0);
    byId("notes").replaceChildren(...notes(job, answer).map(note));
    showScores(byId("scores"), answer.scores);
    byId("latency").textContent = latency(job, answer);
    for (const id of ["json", "csv", "textgrid"])
      byId(`download-${id}`).setAttribute("aria-label", t(`download.${id}`));
  }
}

/**
 * @param {Job} job
 * @param {import("./types.js").Answer} answer
 * @returns {[string, string][]} names and words
 */
function notes(job, answer) {
  const silent = answer.warnings.includes("no_speech");
  const told = answer.warnings.filter((name) => !(silent && name === "unsure"));
  const found = told.map((name) => [
    name,
    hasPhrase(`warning.${name}`) ? t(`warning.${name}`) : t("warning.other", { name }),
  ]);
  const ratio = answer.speech_ratio;
  if (ratio !== null && ratio > 0 && ratio < LITTLE_SPEECH)
    found.push(["quiet", t("warning.quiet", { percent: percent(ratio) })]);
  if (answer.profile) found.push(["profile", t("result.profile", { count: answer.profile.count })]);
  if (job.kept !== null) found.push(["unkept", t("warning.unkept", { time: span(job.kept) })]);
  return /** @type {[string, string][]} */ (found);
}

/** @param {[string, string]} named */
function note([name, words]) {
  return make("li", {
    className: GRAVE.has(name) ? "note grave" : "note",
    data: { warning: name },
    textContent: words,
  });
}

/** @param {Job} job @param {import("./types.js").Answer} answer */
function latency(job, answer) {
  if (job.roundTrip === null) return "";
  const total = duration(job.roundTrip);
  const told = answer.timings;
  if (!told || !Number.isFinite(told.total)) return t("latency", { total });
  const parts = {
    server: duration(told.total),
    network: duration(told.network ?? 0),
    decode: duration(told.decode ?? 0),
  };
  return t("latency.server", { total, ...parts });
}
