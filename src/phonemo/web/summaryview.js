/** The summary of a call: what each party's speech is like over the whole recording. */

import { sortByScore } from "./answers.js";
import { channelName } from "./channels.js";
import { byId, createElement } from "./dom.js";
import { formatClock, formatNumber, formatPercent } from "./format.js";
import { emotionName, t } from "./language.js";
import { scoreRow } from "./scores.js";
import { trendStrip } from "./trendstrip.js";

// Of a shorter recording of one party, the summary repeats the result.
const LONG_SECONDS = 30;
const MIN_SHARE = 0.005;
const MIN_CHANGE = 0.05;
const MOST_CHANGES = 2;

/**
 * @typedef {import("./types.js").Party} Party
 * @typedef {(start: number, end: number) => void} Jump
 */

/**
 * @param {import("./types.js").Prediction} prediction
 * @param {number} channelCount channels of the recording
 * @param {Jump} onJump plays a moment
 */
export function renderCallSummary(prediction, channelCount, onJump) {
  const parties = prediction.summary?.parties ?? [];
  const shown = parties.length > 1 || prediction.seconds > LONG_SECONDS ? parties : [];
  byId("call-summary").hidden = !shown.length;
  byId("parties").replaceChildren(...shown.map((party) => partyElement(party, channelCount, onJump)));
}

/** @param {Party} party @param {number} channelCount @param {Jump} onJump */
function partyElement(party, channelCount, onJump) {
  const name = partyName(party, channelCount);
  const shares = sortByScore(party.emotions).filter(([, share]) => share >= MIN_SHARE);
  const bars = shares.map(([label, share]) => scoreRow(label, share, "share-row"));
  return createElement(
    "section",
    { className: "party", data: { testid: "party" }, ariaLabel: name },
    createElement("h4", { className: "party-name", textContent: name }),
    createElement("p", { className: "small", textContent: factsText(party) }),
    ...(bars.length
      ? [titled("summary.emotions", createElement("ul", { className: "scores compact" }, ...bars))]
      : []),
    ...(party.trend.length > 1 ? [titled("summary.trend", trendStrip(party.trend, onJump))] : []),
    ...changeElements(party),
    ...(party.strongest.length ? [titled("summary.strongest", momentList(party, onJump))] : []),
  );
}

/** @param {Party} party @param {number} channelCount */
function partyName({ channel, speaker }, channelCount) {
  const side = channel ? channelName(channel, channelCount) : "";
  const person = speaker ? t("summary.speaker", { name: speaker }) : "";
  if (side && person) return t("channel.text", { name: side, text: person });
  return side || person || t("summary.whole");
}

/** @param {Party} party */
function factsText({ speech_share: speech, silence_share: silence, mean_confidence: confidence }) {
  const facts = [
    ["summary.speech", speech],
    ["summary.silence", silence],
    ["summary.confidence", confidence],
  ];
  return facts
    .filter(([, share]) => Number.isFinite(share))
    .map(([key, share]) => t(/** @type {string} */ (key), { percent: formatPercent(/** @type {number} */ (share)) }))
    .join(t("summary.separator"));
}

/** @param {string} key of the title @param {HTMLElement} content */
function titled(key, content) {
  return createElement("div", {}, createElement("h5", { className: "party-title", textContent: t(key) }), content);
}

/** The emotions that changed most from the first third to the last. @param {Party} party */
function changeElements({ change }) {
  const changes = Object.entries(change ?? {})
    .filter(([, points]) => Math.abs(points) >= MIN_CHANGE)
    .sort((left, right) => Math.abs(right[1]) - Math.abs(left[1]))
    .slice(0, MOST_CHANGES);
  if (!change) return [];
  const text = changes.length ? t("summary.change", { text: changes.map(changeText).join(t("summary.separator")) }) : t("summary.steady");
  return [createElement("p", { className: "small", data: { testid: "party-change" }, textContent: text })];
}

/** @param {[string, number]} change */
function changeText([label, points]) {
  const number = formatNumber(Math.abs(100 * points), 0);
  return t(points > 0 ? "summary.more" : "summary.less", { label: emotionName(label), number });
}

/** @param {Party} party @param {Jump} onJump */
function momentList({ strongest }, onJump) {
  const items = strongest.map((moment) => createElement("li", {}, momentButton(moment, onJump)));
  return createElement("ul", { className: "moments" }, ...items);
}

/** @param {import("./types.js").Moment} moment @param {Jump} onJump */
function momentButton({ start, end, label, score }, onJump) {
  const values = { time: formatClock(start), label: emotionName(label), percent: formatPercent(score) };
  const swatch = createElement("span", { className: "swatch", aria: { hidden: "true" } });
  const button = createElement(
    "button",
    { type: "button", className: "button moment", data: { testid: "moment", emotion: label } },
    swatch,
    t("summary.moment", values),
  );
  button.addEventListener("click", () => onJump(start, end));
  return button;
}
