/** The segments of a prediction, sorted by start; one for the whole where there are none. */

/**
 * @param {import("../types.js").Prediction} prediction
 * @returns {import("../types.js").Segment[]}
 */
export function segmentsOf({ segments, label, scores, seconds, warnings }) {
  if (segments.length) return [...segments].sort((left, right) => left.start - right.start);
  if (label === null || warnings.includes("no_speech")) return [];
  return [{ start: 0, end: seconds, label, scores, unsure: warnings.includes("unsure") }];
}
