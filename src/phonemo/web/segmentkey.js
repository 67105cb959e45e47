/** Key of the segments (color, pattern, letters) with their share of time: zoomed out, segments are too narrow for labels. */

import { sortByScore } from "./answers.js";
import { emotionMark } from "./details.js";
import { byId, createElement } from "./dom.js";
import { formatPercent } from "./format.js";
import { emotionName, t } from "./language.js";

/** @typedef {import("./types.js").Segment} Segment */

/** @param {Segment[]} segments */
export function renderSegmentKey(segments) {
  const totals = sortByScore(secondsByLabel(segments));
  const total = totals.reduce((sum, [, seconds]) => sum + seconds, 0);
  byId("segment-key").hidden = totals.length < 2;
  byId("segment-key").setAttribute("aria-label", t("segments.key"));
  byId("segment-key").replaceChildren(
    ...totals.map(([label, seconds]) => keyEntry(label, total ? seconds / total : 0)),
  );
}

/** @param {Segment[]} segments @returns {Record<string, number>} */
function secondsByLabel(segments) {
  /** @type {Record<string, number>} */
  const totals = {};
  for (const { label, start, end } of segments) totals[label] = (totals[label] ?? 0) + end - start;
  return totals;
}

/** @param {string} label @param {number} share */
function keyEntry(label, share) {
  const swatch = createElement("span", { className: "swatch", aria: { hidden: "true" } });
  const mark = createElement("span", { className: "key-mark", aria: { hidden: "true" }, textContent: emotionMark(label) });
  const text = t("segments.key.entry", { label: emotionName(label), percent: formatPercent(share) });
  return createElement("li", { data: { emotion: label } }, swatch, mark, text);
}
