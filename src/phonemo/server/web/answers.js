/** Validation of predictions: invalid numbers become 0, missing lists become empty. */

import { LocalizedError } from "./problems.js";

/** @typedef {import("./types.js").Prediction} Prediction */

/** @param {any} data @returns {Prediction} */
export function parsePrediction(data) {
  if (typeof data?.label !== "string" || typeof data.scores !== "object")
    throw new LocalizedError("error.answer");
  return {
    ...data,
    scores: toNumbers(data.scores),
    seconds: toNumber(data.seconds),
    warnings: toList(data.warnings).map(String),
    segments: toList(data.segments).map(parseSegment),
    spans: Array.isArray(data.spans) ? data.spans.map(parseSpan) : null,
  };
}

/** @param {any} segment */
export function parseSegment(segment) {
  return {
    ...segment,
    start: toNumber(segment.start),
    end: toNumber(segment.end),
    label: String(segment.label),
    scores: toNumbers(segment.scores),
  };
}

/** @param {any} span */
function parseSpan(span) {
  const share = Number.isFinite(span.share) ? span.share : null;
  const times = { start: toNumber(span.start), end: toNumber(span.end) };
  return { ...times, symbol: String(span.symbol), confidence: toNumber(span.confidence), share };
}

/** Sort scores, highest first. @param {Record<string, number>} scores @returns {[string, number][]} */
export const sortByScore = (scores) => Object.entries(scores).sort((left, right) => right[1] - left[1]);

const toNumber = (/** @type {unknown} */ value) => (Number.isFinite(value) ? /** @type {number} */ (value) : 0);
const toList = (/** @type {unknown} */ value) => (Array.isArray(value) ? value : []);

/** @param {any} scores @returns {Record<string, number>} */
function toNumbers(scores) {
  return Object.fromEntries(Object.entries(scores ?? {}).map(([name, value]) => [name, toNumber(value)]));
}
