/** What live mode shows: the last window, its scores, and the timeline so far. */

import { segmentWords } from "./details.js";
import { byId, eachFrame, make } from "./dom.js";
import { decimal, percent } from "./format.js";
import { emotionName, t } from "./language.js";
import { showScores } from "./scores.js";

const SHORTEST_STRIP_SECONDS = 20;
const QUIET_RATIO = 0.05;
const ROWS = 4;

/** @typedef {import("./types.js").Segment} Segment */

export class LiveView {
  /** @type {Segment[]} */
  #segments = [];
  /** @type {{segment: Segment, quiet: boolean}[]} */
  #windows = [];
  #seconds = 0;
  #windowSeconds = 3;
  #draw = eachFrame(() => this.#strip());

  clear() {
    this.#segments = [];
    this.#windows = [];
    this.#seconds = 0;
    this.render();
  }

  /** @param {number} windowSeconds */
  ready(windowSeconds) {
    this.#windowSeconds = windowSeconds;
    this.render();
  }

  /** @param {number} seconds */
  elapsed(seconds) {
    this.#seconds = seconds;
    this.#draw();
  }

  /** @param {Segment} segment @param {number | null} ratio */
  window(segment, ratio) {
    this.#windows.push({ segment, quiet: ratio !== null && ratio < QUIET_RATIO });
    this.render();
  }

  /** @param {Segment} segment */
  segment(segment) {
    this.#segments.push(segment);
    this.#windows = this.#windows.filter(
      (one, at, all) => one.segment.end > segment.end || at === all.length - 1,
    );
    this.#draw();
  }

  render() {
    const last = this.#windows.at(-1);
    if (last) this.#now(last);
    else this.#waiting();
    this.#strip();
  }

  #waiting() {
    byId("live-label").textContent = t("live.waiting", { seconds: decimal(this.#windowSeconds, 0) });
    byId("live-label").dataset.emotion = "";
    byId("live-window").textContent = "";
    byId("live-scores").replaceChildren();
  }

  /** @param {{segment: Segment, quiet: boolean}} last */
  #now({ segment, quiet }) {
    const { label, scores, start, end } = segment;
    byId("live-label").textContent = quiet
      ? t("live.quiet")
      : `${emotionName(label)} ${percent(scores[label] ?? 0)}`;
    byId("live-label").dataset.emotion = quiet ? "" : label;
    byId("live-window").textContent = t("live.window", { start: decimal(start, 1), end: decimal(end, 1) });
    showScores(byId("live-scores"), quiet ? {} : scores, ROWS);
  }

  #strip() {
    const parts = [...this.#segments.map((one) => ({ ...one, sure: true })), ...this.#provisional()];
    byId("live-strip").replaceChildren(...parts.map((one) => this.#block(one)));
    byId("live-strip").setAttribute("role", "img");
    byId("live-strip").setAttribute(
      "aria-label",
      t("live.strip", { words: parts.map(segmentWords).join("; ") }),
    );
  }

  /** Windows overlap: each is shown until the next begins, behind the final stretches. */
  #provisional() {
    const settled = this.#segments.at(-1)?.end ?? 0;
    const parts = this.#windows
      .map(({ segment, quiet }, at, all) => ({
        ...segment,
        quiet,
        sure: false,
        start: Math.max(settled, segment.start),
        end: all[at + 1]?.segment.start ?? segment.end,
      }))
      .filter((one) => !one.quiet && one.end > one.start);
    return joined(parts);
  }

  /** @param {Segment & {sure: boolean}} part */
  #block(part) {
    const whole = Math.max(SHORTEST_STRIP_SECONDS, this.#seconds);
    const style = { "--from": String(part.start / whole), "--wide": String((part.end - part.start) / whole) };
    const name = emotionName(part.label);
    const settings = {
      className: part.sure ? "block" : "block maybe",
      title: name,
      style,
      data: { emotion: part.label },
    };
    return make("span", settings, make("span", { textContent: name }));
  }
}

/**
 * Neighbours of one emotion as one stretch.
 * @template {Segment} Part
 * @param {Part[]} parts
 * @returns {Part[]}
 */
function joined(parts) {
  /** @type {Part[]} */
  const made = [];
  for (const part of parts) {
    const last = made.at(-1);
    if (last?.label === part.label && last.end >= part.start) last.end = part.end;
    else made.push(part);
  }
  return made;
}
