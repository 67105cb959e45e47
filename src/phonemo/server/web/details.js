/** The sentences about an emotion or a phoneme in time. */

import { decimal, percent, points } from "./format.js";
import { emotionName, t } from "./language.js";
import { direction } from "./shares.js";

/** @param {import("./types.js").Segment} segment */
export function segmentWords(segment) {
  const { label, start, end, scores, speaker } = segment;
  const times = { start: decimal(start, 1), end: decimal(end, 1) };
  const words = t("segment.detail", {
    label: emotionName(label),
    ...times,
    percent: percent(scores[label] ?? 0),
  });
  return speaker ? t("segment.speaker", { name: speaker, words }) : words;
}

/** @param {import("./types.js").Span} span @param {import("./types.js").Answer} answer */
export function phonemeWords(span, answer) {
  const way = direction(span);
  const values = { points: points(span.share ?? 0), label: winner(answer) };
  const share = way ? t(`share.${way}`, values) : "";
  const times = { start: decimal(span.start, 2), end: decimal(span.end, 2) };
  return t("phoneme.detail", { symbol: span.symbol, ...times, percent: percent(span.confidence), share });
}

/**
 * In a long recording each window has a winner of its own, and shares are of that one.
 * @param {import("./types.js").Answer} answer
 */
export function winner(answer) {
  return answer.warnings.includes("windowed") ? t("share.around") : emotionName(answer.label);
}
