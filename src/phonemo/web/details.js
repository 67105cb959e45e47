/** Descriptions of segments and phonemes. */

import { hasNoSpeech } from "./answers.js";
import { formatNumber, formatPercent, formatPoints } from "./format.js";
import { emotionName, language, t } from "./language.js";
import { direction } from "./shares.js";

/** @param {import("./types.js").Segment} segment */
export function describeSegment(segment) {
  const { label, start, end, scores, speaker } = segment;
  const times = { start: formatNumber(start, 1), end: formatNumber(end, 1) };
  const text = t(segment.unsure ? "segment.detail.unsure" : "segment.detail", {
    label: emotionName(label),
    ...times,
    percent: formatPercent(scores[label] ?? 0),
  });
  return speaker ? t("segment.speaker", { name: speaker, text }) : text;
}

/** The first letters of an emotion, which no other emotion has. @param {string} label */
export function emotionMark(label) {
  const name = emotionName(label);
  return language().startsWith("zh") ? name.slice(0, 1) : name.slice(0, 1).toUpperCase() + name.slice(1, 2);
}

/** @param {import("./types.js").Span} span @param {import("./types.js").Prediction} prediction */
export function describePhoneme(span, prediction) {
  const effect = hasNoSpeech(prediction) ? null : direction(span);
  const values = { points: formatPoints(span.share ?? 0), label: attributedEmotion(prediction) };
  const share = effect ? t(`share.${effect}`, values) : "";
  const times = { start: formatNumber(span.start, 2), end: formatNumber(span.end, 2) };
  return t("phoneme.detail", { symbol: span.symbol, ...times, percent: formatPercent(span.confidence), share });
}

/**
 * In a long recording each window has its own emotion, and shares refer to that one.
 * @param {import("./types.js").Prediction} prediction
 */
export function attributedEmotion(prediction) {
  return prediction.warnings.includes("windowed") ? t("share.around") : emotionName(prediction.label ?? "");
}
