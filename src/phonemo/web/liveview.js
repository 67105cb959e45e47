/** The live view: the newest window, its scores, and the timeline so far. */

import { describeSegment } from "./details.js";
import { byId, createElement, oncePerFrame } from "./dom.js";
import { formatClock, formatNumber } from "./format.js";
import { emotionName, t } from "./language.js";
import { renderLivePlane } from "./liveplane.js";
import { renderScores } from "./scores.js";
import { scoredVerdict } from "./verdict.js";

const MIN_STRIP_SECONDS = 20;
const QUIET_SPEECH_RATIO = 0.05;
const MAX_ROWS = 4;

/** @typedef {import("./types.js").Segment} Segment */

export class LiveView {
  /** @type {Segment[]} */
  #segments = [];
  /** @type {{segment: Segment, quiet: boolean}[]} */
  #windows = [];
  #seconds = 0;
  #windowSeconds = 3;
  #scheduleStrip = oncePerFrame(() => this.#renderStrip());

  clear() {
    this.#segments = [];
    this.#windows = [];
    this.#seconds = 0;
    this.render();
  }

  /** @param {number} windowSeconds */
  setWindowSeconds(windowSeconds) {
    this.#windowSeconds = windowSeconds;
    this.render();
  }

  /** @param {number} seconds */
  setElapsed(seconds) {
    this.#seconds = seconds;
    this.#scheduleStrip();
  }

  /** @param {Segment} segment @param {number | null} ratio */
  addWindow(segment, ratio) {
    this.#windows.push({ segment, quiet: ratio !== null && ratio < QUIET_SPEECH_RATIO });
    this.render();
  }

  /** @param {Segment} segment */
  addSegment(segment) {
    this.#segments.push(segment);
    this.#windows = this.#windows.filter(
      (window, index, all) => window.segment.end > segment.end || index === all.length - 1,
    );
    this.#scheduleStrip();
    this.#renderPlane();
  }

  render() {
    const last = this.#windows.at(-1);
    if (last) this.#renderWindow(last);
    else this.#renderWaiting();
    this.#renderStrip();
    this.#renderPlane();
  }

  #renderWaiting() {
    byId("live-label").textContent = t("live.waiting", { seconds: formatNumber(this.#windowSeconds, 0) });
    byId("live-label").dataset.emotion = "";
    byId("live-window").textContent = "";
    byId("live-scores").replaceChildren();
  }

  /** @param {{segment: Segment, quiet: boolean}} last */
  #renderWindow({ segment, quiet }) {
    const { label, scores, start, end, unsure } = segment;
    const verdict = quiet
      ? { emotion: "", text: t("live.quiet"), detail: "" }
      : scoredVerdict(label, scores[label] ?? 0, Boolean(unsure));
    const detail = createElement("span", { className: "live-detail", textContent: verdict.detail });
    byId("live-label").replaceChildren(`${verdict.text} `, detail);
    byId("live-label").dataset.emotion = verdict.emotion;
    const times = { start: formatNumber(start, 1), end: formatNumber(end, 1) };
    byId("live-window").textContent = t("live.window", times);
    renderScores(byId("live-scores"), quiet ? {} : scores, MAX_ROWS);
  }

  #renderPlane() {
    renderLivePlane([...this.#segments, ...this.#provisionalSegments()]);
  }

  #renderStrip() {
    const finalSegments = this.#segments.map((segment) => ({ ...segment, final: true }));
    const parts = [...finalSegments, ...mergeAdjacent(this.#provisionalSegments())];
    byId("live-strip").replaceChildren(...parts.map((part) => this.#block(part)));
    byId("live-scale").replaceChildren(
      ...[0, this.#totalSeconds].map((seconds) => createElement("span", { textContent: formatClock(seconds, 0) })),
    );
    byId("live-strip").setAttribute("role", "img");
    byId("live-strip").setAttribute(
      "aria-label",
      t("live.strip", { text: parts.map(describeSegment).join("; ") }),
    );
  }

  /** Windows overlap: each is shown until the next one starts, after the final segments. */
  #provisionalSegments() {
    const finalEnd = this.#segments.at(-1)?.end ?? 0;
    return this.#windows
      .map(({ segment, quiet }, index, all) => ({
        ...segment,
        quiet,
        final: false,
        start: Math.max(finalEnd, segment.start),
        end: all[index + 1]?.segment.start ?? segment.end,
      }))
      .filter((part) => !part.quiet && part.end > part.start);
  }

  /** Seconds that the width of the strip stands for. */
  get #totalSeconds() {
    return Math.max(MIN_STRIP_SECONDS, this.#seconds);
  }

  /** @param {Segment & {final: boolean}} part */
  #block(part) {
    const total = this.#totalSeconds;
    const style = { "--start": String(part.start / total), "--width": String((part.end - part.start) / total) };
    const name = `${emotionName(part.label)}${part.unsure ? "?" : ""}`;
    const settings = {
      className: `block${part.final ? "" : " provisional"}${part.unsure ? " unsure" : ""}`,
      title: name,
      style,
      data: { emotion: part.label },
    };
    return createElement("span", settings, createElement("span", { textContent: name }));
  }
}

/**
 * Merge adjacent segments with the same emotion.
 * @template {Segment} Part
 * @param {Part[]} parts
 * @returns {Part[]}
 */
function mergeAdjacent(parts) {
  /** @type {Part[]} */
  const merged = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (last?.label === part.label && last.unsure === part.unsure && last.end >= part.start) last.end = part.end;
    else merged.push(part);
  }
  return merged;
}
