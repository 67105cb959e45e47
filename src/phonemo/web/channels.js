/** Channels of a recording: their names, and the parts of a prediction that belong to them. */

import { t } from "./language.js";

/** @typedef {import("./types.js").Prediction} Prediction */

const SIDES = ["channel.left", "channel.right"];
const OF_SEVERAL = ["channels_differ", "opposite_phase", "silent_channel"];

/** "Channel 1 (left)"; only the channels of a stereo recording have sides. @param {number} number @param {number} count */
export function channelName(number, count) {
  return t(count === 2 && SIDES[number - 1] ? SIDES[number - 1] : "channel.name", { number });
}

/** The parts that are drawn one below the other. @param {Prediction} prediction @returns {Prediction[]} */
export function partsOf(prediction) {
  return prediction.channels?.length ? prediction.channels : [prediction];
}

/** Whether each channel has its own prediction. @param {Prediction} prediction */
export const isSplit = (prediction) => Boolean(prediction.channels?.length);

/** Number of channels that the prediction tells of, at least 1. @param {Prediction} prediction */
export function knownChannels(prediction) {
  const several = prediction.warnings.some((name) => OF_SEVERAL.includes(name));
  return Math.max(several ? 2 : 1, ...partsOf(prediction).map(({ channel }) => channel ?? 1));
}
