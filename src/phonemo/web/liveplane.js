/** The valence-arousal plane while somebody speaks: the path so far, without points to be reached. */

import { byId } from "./dom.js";
import { t } from "./language.js";
import { createPlot, drawAxes, drawPath, drawPoint } from "./planedrawing.js";
import { planePoints } from "./planepaths.js";
import { valuesOf } from "./planetext.js";

/** @param {import("./types.js").Segment[]} segments in order, without silence */
export function renderLivePlane(segments) {
  const points = planePoints(segments, 0);
  const newest = points.at(-1);
  byId("live-plane").hidden = !newest;
  if (!newest) return;
  const derived = Boolean(newest.segment.dimensions?.derived);
  const plot = createPlot();
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", t("plane.plot"));
  plot.append(drawAxes(), drawPath({ points, mean: null, derived }, 0), ...points.map(drawPoint));
  byId("live-plane-plot").replaceChildren(plot);
  byId("live-plane-text").textContent = t("plane.newest", valuesOf(newest));
  byId("live-plane-derived").hidden = !derived;
}
