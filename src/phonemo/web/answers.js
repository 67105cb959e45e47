/** Validation of predictions: invalid numbers become 0, missing lists become empty. */

import { LocalizedError } from "./problems.js";

/** @typedef {import("./types.js").Prediction} Prediction */

/** @param {string} text @returns {any} */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new LocalizedError("error.answer");
  }
}

/** @param {any} data @returns {Prediction} */
export function parsePrediction(data) {
  if (!(typeof data?.label === "string" || data?.label === null) || typeof data.scores !== "object")
    throw new LocalizedError("error.answer");
  return {
    ...data,
    scores: toNumbers(data.scores),
    seconds: toNumber(data.seconds),
    warnings: toList(data.warnings).map(String),
    segments: toList(data.segments).map(parseSegment),
    spans: Array.isArray(data.spans) ? data.spans.map(parseSpan) : null,
    ...parseDimensions(data.dimensions),
    ...(data.mixture ? { mixture: toNumbers(data.mixture) } : {}),
    ...(data.channels ? { channels: toList(data.channels).map(parsePrediction) } : {}),
    ...(data.summary ? { summary: { parties: toList(data.summary.parties).map(parseParty) } } : {}),
  };
}

/** @param {any} segment */
export function parseSegment(segment) {
  return {
    ...segment,
    start: toNumber(segment.start),
    end: toNumber(segment.end),
    label: String(segment.label ?? "no_speech"),
    unsure: Boolean(segment.unsure),
    scores: toNumbers(segment.scores),
    ...parseDimensions(segment.dimensions),
  };
}

/** Values within 0 to 1; null for one that is missing. @param {any} data */
function parseDimensions(data) {
  if (data === undefined) return {};
  if (data === null || typeof data !== "object") return { dimensions: undefined };
  const { arousal, valence, dominance, derived } = data;
  const rated = Number.isFinite(dominance) ? { dominance: clamp(dominance) } : {};
  return { dimensions: { arousal: clamp(arousal), valence: clamp(valence), ...rated, derived: derived !== false } };
}

const clamp = (/** @type {any} */ value) => (Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : null);

/** @param {any} span */
function parseSpan(span) {
  const share = Number.isFinite(span.share) ? span.share : null;
  const times = { start: toNumber(span.start), end: toNumber(span.end) };
  return { ...times, symbol: String(span.symbol), confidence: toNumber(span.confidence), share };
}

/** @param {any} party @returns {import("./types.js").Party} */
function parseParty(party) {
  return {
    ...party,
    emotions: toNumbers(party.emotions),
    strongest: toList(party.strongest).map(parseMoment),
    trend: toList(party.trend).map(parseSegment),
    change: party.change ? toNumbers(party.change) : null,
  };
}

/** @param {any} moment @returns {import("./types.js").Moment} */
function parseMoment({ start, end, label, score }) {
  return { start: toNumber(start), end: toNumber(end), label: String(label), score: toNumber(score) };
}

/** Whether there is no label, since nobody speaks. @param {Pick<Prediction, "label" | "warnings">} prediction */
export const hasNoSpeech = ({ label, warnings }) => label === null || warnings.includes("no_speech");

/** Sort scores, highest first. @param {Record<string, number>} scores @returns {[string, number][]} */
export const sortByScore = (scores) => Object.entries(scores).sort((left, right) => right[1] - left[1]);

const toNumber = (/** @type {unknown} */ value) => (Number.isFinite(value) ? /** @type {number} */ (value) : 0);
const toList = (/** @type {unknown} */ value) => (Array.isArray(value) ? value : []);

/** @param {any} scores @returns {Record<string, number>} */
function toNumbers(scores) {
  return Object.fromEntries(Object.entries(scores ?? {}).map(([name, value]) => [name, toNumber(value)]));
}
