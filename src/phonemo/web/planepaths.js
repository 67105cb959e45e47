/** The paths of a recording through the valence-arousal plane: one for the mix, or one for each channel. */

import { hasNoSpeech } from "./answers.js";
import { partsOf } from "./channels.js";

/**
 * @typedef {import("./types.js").Prediction} Prediction
 * @typedef {import("./types.js").Segment} Segment
 * @typedef {{x: number, y: number}} Place valence and arousal, 0 to 1
 * @typedef {Place & {age: number, path: number, segment: Segment}} PlanePoint `age`: 1 for the oldest, 0 for the newest
 * @typedef {{channel?: number, points: PlanePoint[], mean: Place | null, derived: boolean}} PlanePath
 */

/** Without speech there is no path. @param {Prediction} prediction @returns {PlanePath[]} */
export function planePaths(prediction) {
  return partsOf(prediction).map((part, path) => {
    const speaks = !hasNoSpeech(part);
    const points = speaks ? planePoints(part.segments, path) : [];
    const mean = speaks ? placeOf(part.dimensions) : null;
    const derived = part.dimensions?.derived ?? points.some(({ segment }) => segment.dimensions?.derived);
    return { channel: part.channel, points, mean, derived };
  });
}

/** @param {Segment[]} segments in order @param {number} path @returns {PlanePoint[]} */
export function planePoints(segments, path) {
  const points = segments.flatMap((segment) => {
    const place = segment.label === "no_speech" ? null : placeOf(segment.dimensions);
    return place ? [{ ...place, segment, path, age: 0 }] : [];
  });
  const last = points.length - 1;
  return points.map((point, index) => ({ ...point, age: last ? 1 - index / last : 0 }));
}

/** Null unless both values are known. @param {import("./types.js").Dimensions | undefined} dimensions @returns {Place | null} */
function placeOf(dimensions) {
  const { arousal = null, valence = null } = dimensions ?? {};
  return arousal === null || valence === null ? null : { x: valence, y: arousal };
}
