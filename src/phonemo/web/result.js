/** The result: emotion, score, warnings, scores, channels, timeline, plane, summary and latency. */

import { ChannelChoice } from "./channelchoice.js";
import { isSplit } from "./channels.js";
import { byId } from "./dom.js";
import { formatWorkTime } from "./format.js";
import { t } from "./language.js";
import { renderNotes } from "./notes.js";
import { Plane } from "./plane.js";
import { renderScores } from "./scores.js";
import { languageName } from "./speechchoice.js";
import { renderCallSummary } from "./summaryview.js";
import { Timeline } from "./timeline.js";
import { renderVerdict } from "./verdict.js";

/**
 * @typedef {import("./types.js").Job} Job
 * @typedef {import("./types.js").Prediction} Prediction
 */

export class ResultView {
  /** @type {Job | null} */
  #job = null;
  /** @type {Prediction | null} */
  #prediction = null;
  timeline = new Timeline((segment) => this.plane.mark(segment));
  plane = new Plane({
    onShow: (segment) => this.timeline.mark(segment),
    onReveal: ({ start, end }) => this.timeline.axis.reveal(start, end),
    onPlay: ({ start, end }) => this.timeline.play(start, end),
  });

  /** @param {(job: Job, channels: string) => void} onChannels called when other channels are chosen */
  constructor(onChannels) {
    this.onChannels = onChannels;
    this.choice = new ChannelChoice(onChannels);
  }

  get job() {
    return this.#job;
  }

  /** Whether the latest answer to a job is shown. @param {Job} job */
  isShown(job) {
    return this.#job === job && this.#prediction === job.prediction;
  }

  /** @param {Job} job with an answer */
  async show(job) {
    const prediction = /** @type {Prediction} */ (job.prediction);
    this.#job = job;
    this.#prediction = prediction;
    byId("result").hidden = false;
    this.choice.show(job);
    this.#renderSummary(job, prediction);
    this.plane.show(prediction);
    const channels = await this.timeline.show(withoutPhantoms(prediction), job.blob);
    if (this.isShown(job)) this.choice.setCount(channels);
  }

  /** Pause playback, so that it is not recorded. */
  pause() {
    this.timeline.player.pause();
  }

  clear() {
    this.#job = null;
    this.#prediction = null;
    byId("result").hidden = true;
    this.timeline.clear();
    this.plane.show(null);
  }

  /** Render the state of the job. */
  update() {
    this.choice.render();
  }

  /** Render in the current language. */
  render() {
    if (this.#job && this.#prediction) this.#renderSummary(this.#job, this.#prediction);
    this.choice.render();
    this.timeline.render();
    this.plane.render();
  }

  /** @param {Job} job @param {Prediction} prediction */
  #renderSummary(job, prediction) {
    renderVerdict(prediction, job.origin === "sample");
    byId("result-file").textContent = t("result.file", { name: job.name });
    renderNotes(byId("notes"), job, () => this.onChannels(job, "split"));
    renderScores(byId("scores"), prediction.scores);
    byId("scores-title").className = isSplit(prediction) ? "scores-title" : "visually-hidden";
    byId("scores-title").textContent = t(isSplit(prediction) ? "scores.mean" : "scores");
    const jump = (/** @type {number} */ start, /** @type {number} */ end) => this.timeline.play(start, end);
    renderCallSummary(prediction, this.choice.count, jump);
    const language = job.decoding && prediction.spans ? t("speech.used", { language: languageName(job.decoding) }) : "";
    byId("latency").textContent = [language, latencyText(job, prediction)].filter(Boolean).join(" ");
    for (const id of ["json", "csv", "textgrid"])
      byId(`download-${id}`).setAttribute("aria-label", t(`download.${id}`));
  }
}

/** Phonemes that were recognized where there is no speech are not drawn. @param {Prediction} prediction @returns {Prediction} */
function withoutPhantoms(prediction) {
  return {
    ...prediction,
    spans: prediction.label === null ? null : prediction.spans,
    ...(prediction.channels ? { channels: prediction.channels.map(withoutPhantoms) } : {}),
  };
}

/** @param {Job} job @param {Prediction} prediction */
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
