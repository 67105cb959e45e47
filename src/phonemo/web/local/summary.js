/** The summary of a recording by channel, as call_summary.py computes it. */

const TREND_PARTS = 6;
const LEAST_PART_SECONDS = 3;
const LEAST_SPEECH_SECONDS = 0.1;
const STRONGEST = 3;
const CALM = "neutral";

/** @typedef {import("../types.js").Segment} Segment */

/** @param {any} prediction @returns {import("../types.js").CallSummary} */
export function summarize(prediction) {
  return { parties: (prediction.channels ?? [prediction]).map(summarizeParty) };
}

/** @param {any} prediction */
function summarizeParty(prediction) {
  const segments = segmentsOf(prediction);
  const { seconds, channel, speech_ratio: speech } = prediction;
  const share = speech ?? 0;
  return {
    ...(channel ? { channel } : {}),
    seconds,
    speech_share: share,
    silence_share: 1 - share,
    emotions: emotionShares(prediction, segments),
    mean_confidence: meanConfidence(segments),
    strongest: strongest(segments),
    trend: trendOf(seconds, segments),
    change: changeOf(seconds, segments),
  };
}

/** One for the whole where there are none. @param {any} prediction @returns {Segment[]} */
function segmentsOf({ segments, label, scores, seconds }) {
  if (segments.length) return segments.filter((/** @type {Segment} */ segment) => segment.label !== null);
  return label === null ? [] : [{ start: 0, end: seconds, label, scores }];
}

const lengthOf = (/** @type {Segment} */ { start, end }) => end - start;
const topScore = (/** @type {Segment} */ { scores }) => Math.max(...Object.values(scores));
const sum = (/** @type {number[]} */ values) => values.reduce((total, value) => total + value, 0);

/** @param {any} prediction @param {Segment[]} segments @returns {Record<string, number>} */
function emotionShares({ scores }, segments) {
  const total = sum(segments.map(lengthOf));
  if (!(total > 0)) return {};
  const seconds = (/** @type {string} */ name) => sum(segments.filter(({ label }) => label === name).map(lengthOf));
  return Object.fromEntries(Object.keys(scores).map((name) => [name, seconds(name) / total]));
}

/** @param {Segment[]} segments */
function meanConfidence(segments) {
  const total = sum(segments.map(lengthOf));
  return total > 0 ? sum(segments.map((segment) => lengthOf(segment) * topScore(segment))) / total : null;
}

/** @param {Segment[]} segments */
function strongest(segments) {
  const marked = segments.filter(({ label }) => label !== CALM);
  const ranked = [...(marked.length ? marked : segments)].sort((left, right) => right.scores[right.label] - left.scores[left.label]);
  return ranked.slice(0, STRONGEST).map(({ start, end, label, scores }) => ({ start, end, label, score: scores[label] }));
}

/** @param {number} seconds @param {Segment[]} segments */
function trendOf(seconds, segments) {
  const count = Math.max(1, Math.min(TREND_PARTS, Math.floor(seconds / LEAST_PART_SECONDS)));
  const parts = Array.from({ length: count }, (_, index) => [(seconds * index) / count, (seconds * (index + 1)) / count]);
  return parts.flatMap(([start, end]) => {
    const scores = meanScores(segments, start, end);
    return scores ? [{ start, end, label: bestOf(scores), scores }] : [];
  });
}

/** From the first third to the last. @param {number} seconds @param {Segment[]} segments */
function changeOf(seconds, segments) {
  const first = meanScores(segments, 0, seconds / 3);
  const last = meanScores(segments, (seconds * 2) / 3, seconds);
  if (!first || !last || segments.length < 2) return null;
  return Object.fromEntries(Object.keys(last).map((name) => [name, last[name] - first[name]]));
}

/** Weighted by seconds within two times; null without speech. @param {Segment[]} segments @param {number} start @param {number} end */
function meanScores(segments, start, end) {
  const weights = segments.map((segment) => Math.max(0, Math.min(segment.end, end) - Math.max(segment.start, start)));
  const total = sum(weights);
  if (total < LEAST_SPEECH_SECONDS) return null;
  const mean = (/** @type {string} */ name) => sum(segments.map(({ scores }, index) => weights[index] * (scores[name] ?? 0))) / total;
  return Object.fromEntries(Object.keys(segments[0].scores).map((name) => [name, mean(name)]));
}

/** @param {Record<string, number>} scores */
const bestOf = (scores) => Object.keys(scores).reduce((best, name) => (scores[name] > scores[best] ? name : best));
