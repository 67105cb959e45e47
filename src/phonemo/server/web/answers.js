/** Answers without surprises: what is no number is 0, what is no list is empty. */

import { Problem } from "./problems.js";

/** @typedef {import("./types.js").Answer} Answer */

/** @param {any} told @returns {Answer} */
export function checked(told) {
  if (typeof told?.label !== "string" || typeof told.scores !== "object") throw new Problem("error.answer");
  return {
    ...told,
    scores: numbers(told.scores),
    seconds: number(told.seconds),
    warnings: list(told.warnings).map(String),
    segments: list(told.segments).map(timed),
    spans: Array.isArray(told.spans) ? told.spans.map(spanned) : null,
  };
}

/** @param {any} part */
export function timed(part) {
  return {
    ...part,
    start: number(part.start),
    end: number(part.end),
    label: String(part.label),
    scores: numbers(part.scores),
  };
}

/** @param {any} span */
function spanned(span) {
  const share = Number.isFinite(span.share) ? span.share : null;
  const times = { start: number(span.start), end: number(span.end) };
  return { ...times, symbol: String(span.symbol), confidence: number(span.confidence), share };
}

/** Highest first. @param {Record<string, number>} scores @returns {[string, number][]} */
export const ranked = (scores) => Object.entries(scores).sort((one, other) => other[1] - one[1]);

const number = (/** @type {unknown} */ value) => (Number.isFinite(value) ? /** @type {number} */ (value) : 0);
const list = (/** @type {unknown} */ value) => (Array.isArray(value) ? value : []);

/** @param {any} scores @returns {Record<string, number>} */
function numbers(scores) {
  return Object.fromEntries(Object.entries(scores ?? {}).map(([name, value]) => [name, number(value)]));
}
