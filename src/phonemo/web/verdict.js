/** The heading of the result: the emotion, or the doubt in it, a mixture, or that of each channel. */

import { hasNoSpeech } from "./answers.js";
import { channelName, isSplit, knownChannels, partsOf } from "./channels.js";
import { byId, createElement } from "./dom.js";
import { formatPercent } from "./format.js";
import { emotionName, t } from "./language.js";

/** @typedef {import("./types.js").Prediction} Prediction */
/** @typedef {{emotion: string, text: string, detail: string}} Verdict `emotion`: whose color it has, or none */

const NAMED_IN_MIXTURE = 2;

/** @param {Prediction} prediction @param {boolean} synthetic whether a machine made the voice */
export function renderVerdict(prediction, synthetic) {
  const split = isSplit(prediction);
  const { emotion, text, detail } = verdictOf(prediction, synthetic);
  const label = byId("result-label");
  byId("result").dataset.emotion = split ? "" : emotion;
  byId("result").classList.toggle("no-speech", hasNoSpeech(prediction));
  label.classList.toggle("channel-verdicts", split);
  label.classList.toggle("in-doubt", !split && !emotion);
  label.classList.toggle("synthetic", synthetic);
  if (split) label.replaceChildren(...channelVerdicts(prediction));
  else label.textContent = text;
  byId("result-percent").textContent = split ? "" : detail;
}

/** The verdict as one line of text. @param {Prediction} prediction @param {boolean} [synthetic] @returns {string} */
export function verdictSentence(prediction, synthetic = false) {
  if (isSplit(prediction)) return channelSentences(prediction).join(t("channel.separator"));
  const { text, detail } = verdictOf(prediction, synthetic);
  return detail ? t("state.done", { label: text, detail }) : text;
}

/**
 * The emotion whose color the recording has: none in doubt.
 * @param {Prediction} prediction
 * @param {boolean} [synthetic]
 */
export const verdictEmotion = (prediction, synthetic = false) =>
  isSplit(prediction) ? "" : verdictOf(prediction, synthetic).emotion;

/**
 * What a label and its score say, if they are in doubt or not; also of a window of live speech.
 * @param {string} label
 * @param {number} score
 * @param {boolean} unsure
 * @returns {Verdict}
 */
export function scoredVerdict(label, score, unsure) {
  const values = { label: emotionName(label), percent: formatPercent(score) };
  if (unsure) return { emotion: "", text: t("verdict.unsure"), detail: t("verdict.closest", values) };
  return { emotion: label, text: emotionName(label), detail: t("verdict.score", values) };
}

/** @param {Prediction} prediction @param {boolean} synthetic @returns {Verdict} */
function verdictOf(prediction, synthetic) {
  const { label, scores, mixture } = prediction;
  if (hasNoSpeech(prediction) || label === null) return { emotion: "", text: t("no_speech"), detail: "" };
  const verdict = scoredVerdict(label, scores[label] ?? 0, isUnsure(prediction));
  const mixed = mixture ? { emotion: "", text: t("verdict.mixed"), detail: mixtureText(mixture) } : verdict;
  if (!synthetic) return mixed;
  const closest = t("verdict.closest", { label: emotionName(label), percent: formatPercent(scores[label] ?? 0) });
  return { emotion: "", text: t("verdict.synthetic"), detail: mixture ? mixed.detail : closest };
}

/** "anger 28 % of the time, happiness 21 %". @param {Record<string, number>} mixture largest share first */
function mixtureText(mixture) {
  const [first, ...others] = Object.entries(mixture).slice(0, NAMED_IN_MIXTURE);
  const named = (/** @type {[string, number]} */ [label, share]) => ({
    label: emotionName(label),
    percent: formatPercent(share),
  });
  const texts = [t("verdict.mixed.first", named(first)), ...others.map((other) => t("verdict.mixed.other", named(other)))];
  return texts.join(t("summary.separator"));
}

/** @param {Prediction} prediction */
function channelSentences(prediction) {
  const count = knownChannels(prediction);
  return partsOf(prediction).map((part) =>
    t("channel.text", { name: channelName(part.channel ?? 1, count), text: verdictSentence(part) }),
  );
}

/** @param {Prediction} prediction */
export const isUnsure = (prediction) => prediction.warnings.includes("unsure");

/** @param {Prediction} prediction */
function channelVerdicts(prediction) {
  const count = knownChannels(prediction);
  return partsOf(prediction).map((part) => {
    const { emotion, text, detail } = verdictOf(part, false);
    return createElement(
      "span",
      { className: "channel-verdict", data: { testid: "channel-verdict", emotion } },
      createElement("span", {
        className: "channel-verdict-name",
        textContent: channelName(part.channel ?? 1, count),
      }),
      ` ${text} `,
      createElement("span", { className: "channel-verdict-percent", textContent: detail }),
    );
  });
}
