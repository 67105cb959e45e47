/** What is said of the valence-arousal plane: its points, means, key. */

import { channelName } from "./channels.js";
import { createElement } from "./dom.js";
import { formatClock, formatNumber } from "./format.js";
import { t } from "./language.js";
import { drawSwatch } from "./planedrawing.js";

/**
 * @typedef {import("./planepaths.js").PlanePath} PlanePath
 * @typedef {import("./planepaths.js").PlanePoint} PlanePoint
 */

/** @param {PlanePoint} point @param {PlanePath} path @param {number} count of channels */
export function describePoint({ segment, x, y }, path, count) {
  const { start, end, unsure } = segment;
  const digits = Math.floor(start) === Math.floor(end) ? 1 : 0;
  const times = { start: formatClock(start, digits), end: formatClock(end, digits) };
  const text = t(unsure ? "plane.point.unsure" : "plane.point", { ...times, ...valuesOf({ x, y }) });
  return named(path, count, text);
}

/** @param {import("./planepaths.js").Place} place */
export const valuesOf = ({ x, y }) => ({ arousal: formatNumber(y, 2), valence: formatNumber(x, 2) });

/** The line, shape and mean of each path. @param {PlanePath[]} paths @param {number} count of channels */
export function planeKey(paths, count) {
  return paths.flatMap((path, index) => {
    if (!path.points.length && !path.mean) return [];
    const text = path.mean ? t("plane.whole", valuesOf(path.mean)) : t("plane.whole.unknown");
    return [createElement("li", {}, drawSwatch(index, path.channel), named(path, count, text))];
  });
}

/** @param {PlanePath} path @param {number} count @param {string} text */
function named({ channel }, count, text) {
  return channel === undefined ? text : t("channel.text", { name: channelName(channel, count), text });
}
