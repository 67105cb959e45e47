/** The heading of the result: the emotion, or that of each channel. */

import { channelName, isSplit, knownChannels, partsOf } from "./channels.js";
import { byId, createElement } from "./dom.js";
import { formatPercent } from "./format.js";
import { emotionName, t } from "./language.js";

/** @typedef {import("./types.js").Prediction} Prediction */

/** @param {Prediction} prediction */
export function renderVerdict(prediction) {
  const silent = hasNoSpeech(prediction);
  const split = isSplit(prediction);
  const label = byId("result-label");
  byId("result").dataset.emotion = silent ? "" : prediction.label;
  byId("result").classList.toggle("no-speech", silent);
  label.classList.toggle("channel-verdicts", split);
  if (split) label.replaceChildren(...channelVerdicts(prediction));
  else label.textContent = verdictText(prediction);
  byId("result-percent").textContent = silent || split ? "" : percentText(prediction);
}

/** The emotion as one line of text. @param {Prediction} prediction @returns {string} */
export function verdictSentence(prediction) {
  if (isSplit(prediction)) return channelSentences(prediction).join(t("channel.separator"));
  if (hasNoSpeech(prediction)) return t("no_speech");
  return t("state.done", { label: verdictText(prediction), percent: percentText(prediction) });
}

/** @param {Prediction} prediction */
function channelSentences(prediction) {
  const count = knownChannels(prediction);
  return partsOf(prediction).map((part) =>
    t("channel.text", { name: channelName(part.channel ?? 1, count), text: verdictSentence(part) }),
  );
}

/** @param {Prediction} prediction */
const hasNoSpeech = (prediction) => prediction.warnings.includes("no_speech");

/** @param {Prediction} prediction */
const verdictText = (prediction) =>
  hasNoSpeech(prediction) ? t("no_speech") : emotionName(prediction.label);

/** @param {Prediction} prediction */
const percentText = (prediction) =>
  hasNoSpeech(prediction) ? "" : formatPercent(prediction.scores[prediction.label] ?? 0);

/** @param {Prediction} prediction */
function channelVerdicts(prediction) {
  const count = knownChannels(prediction);
  return partsOf(prediction).map((part) =>
    createElement(
      "span",
      { className: "channel-verdict", data: { testid: "channel-verdict", emotion: hasNoSpeech(part) ? "" : part.label } },
      createElement("span", {
        className: "channel-verdict-name",
        textContent: channelName(part.channel ?? 1, count),
      }),
      ` ${verdictText(part)} `,
      createElement("span", { className: "channel-verdict-percent", textContent: percentText(part) }),
    ),
  );
}
