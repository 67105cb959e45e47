/** Which colour is which emotion, and for how long: from afar the stretches are too narrow for words. */

import { ranked } from "./answers.js";
import { byId, make } from "./dom.js";
import { percent } from "./format.js";
import { emotionName, t } from "./language.js";

/** @typedef {import("./types.js").Segment} Segment */

/** @param {Segment[]} segments */
export function showSegmentKey(segments) {
  const lengths = ranked(lengthsOf(segments));
  const whole = lengths.reduce((sum, [, seconds]) => sum + seconds, 0);
  byId("segment-key").hidden = lengths.length < 2;
  byId("segment-key").setAttribute("aria-label", t("segments.key"));
  byId("segment-key").replaceChildren(
    ...lengths.map(([label, seconds]) => entry(label, whole ? seconds / whole : 0)),
  );
}

/** @param {Segment[]} segments @returns {Record<string, number>} */
function lengthsOf(segments) {
  /** @type {Record<string, number>} */
  const lengths = {};
  for (const { label, start, end } of segments) lengths[label] = (lengths[label] ?? 0) + end - start;
  return lengths;
}

/** @param {string} label @param {number} share */
function entry(label, share) {
  const swatch = make("span", { className: "swatch", aria: { hidden: "true" } });
  return make("li", { data: { emotion: label } }, swatch, `${emotionName(label)} ${percent(share)}`);
}
