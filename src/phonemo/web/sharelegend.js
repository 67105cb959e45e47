/** Below the phonemes: the scale of their shares, which of them stand out, and the sum. */

import { hasNoSpeech } from "./answers.js";
import { channelName, isSplit, knownChannels, partsOf } from "./channels.js";
import { attributedEmotion } from "./details.js";
import { byId } from "./dom.js";
import { formatNumber, formatPoints, formatSignedPoints } from "./format.js";
import { t } from "./language.js";
import { FULL_SHARE, hasShares, NOTABLE_SHARE, notableSpans, sumOfShares } from "./shares.js";

const MAX_NAMED = 5;

/**
 * @typedef {import("./types.js").Prediction} Prediction
 * @typedef {import("./types.js").Span} Span
 */

/** @param {Prediction} prediction */
export function renderShareLegend(prediction) {
  const parts = partsOf(prediction).filter(
    (part) => hasShares(part.spans ?? []) && !hasNoSpeech(part),
  );
  byId("legend").hidden = !parts.length;
  if (!parts.length) return;
  const points = formatNumber(100 * FULL_SHARE, 0);
  byId("legend-low").textContent = t("legend.low", { points });
  byId("legend-high").textContent = t("legend.high", { points });
  byId("legend-found").textContent = parts.map((part) => foundText(part, prediction)).join(" ");
  byId("legend-text").textContent = t("legend.text", { points: notablePoints() });
}

const notablePoints = () => formatNumber(100 * NOTABLE_SHARE, 0);

/** What stands out in a channel or in the mix. @param {Prediction} part @param {Prediction} whole */
function foundText(part, whole) {
  const spans = part.spans ?? [];
  const label = attributedEmotion(part);
  const [carrying, opposing] = [notableSpans(spans, 1), notableSpans(spans, -1)];
  const sentences = [
    carrying.length
      ? t("legend.carried", { label, list: listText(carrying) })
      : t("legend.none", { label, points: notablePoints() }),
    opposing.length ? t("legend.against", { label, list: listText(opposing) }) : "",
    isWindowed(part) ? "" : sumText(spans, part),
  ];
  const text = sentences.filter(Boolean).join(" ");
  if (!isSplit(whole)) return text;
  return t("channel.text", { name: channelName(part.channel ?? 1, knownChannels(whole)), text });
}

/** In windows, shares belong to different emotions and have no sum. @param {Prediction} part */
const isWindowed = ({ warnings }) => warnings.includes("windowed");

/** @param {Span[]} spans @param {Prediction} part */
function sumText(spans, { label, scores }) {
  const values = { count: spans.length, points: formatSignedPoints(sumOfShares(spans)) };
  return t("legend.sum", { ...values, score: formatNumber(100 * (scores[label] ?? 0), 0) });
}

/** @param {Span[]} spans the strongest first */
function listText(spans) {
  const named = spans.slice(0, MAX_NAMED).map(({ symbol, start, share }) =>
    t("legend.phoneme", { symbol, time: formatNumber(start, 2), points: formatPoints(share ?? 0) }),
  );
  const list = named.join(t("legend.separator"));
  return spans.length > MAX_NAMED ? t("legend.more", { list, count: spans.length - MAX_NAMED }) : list;
}
