/** SVG drawing of the valence-arousal plane: axes, paths, points, means. Age is shown by size and opacity. */

import { t } from "./language.js";

export const PLOT_SIZE = 320;
const [LEFT, TOP, SIDE] = [26, 8, 286];
const MIN_OPACITY = 0.4;
const HIT_RADIUS = 12;
const DASHES = ["", "7 4", "2 4", "9 3 2 3"];

/**
 * @typedef {import("./planepaths.js").Place} Place
 * @typedef {import("./planepaths.js").PlanePath} PlanePath
 * @typedef {import("./planepaths.js").PlanePoint} PlanePoint
 */

/** @param {Place} place @returns {[number, number]} in the units of the drawing */
export const toDrawing = ({ x, y }) => [LEFT + SIDE * x, TOP + SIDE * (1 - y)];

/** @param {string} name @param {Record<string, string | number>} [attributes] @param {...(Node | string)} children */
export function createSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** An empty drawing. */
export const createPlot = () => createSvg("svg", { viewBox: `0 0 ${PLOT_SIZE} ${PLOT_SIZE}`, class: "plane-plot" });

/** Frame, middle lines and words. */
export function drawAxes() {
  const [right, bottom, middle] = [LEFT + SIDE, TOP + SIDE, SIDE / 2];
  const cross = `M${LEFT + middle} ${TOP}V${bottom}M${LEFT} ${TOP + middle}H${right}`;
  return createSvg(
    "g",
    { class: "plane-axes", "aria-hidden": "true" },
    createSvg("rect", { class: "plane-frame", x: LEFT, y: TOP, width: SIDE, height: SIDE }),
    createSvg("path", { class: "plane-middle", d: cross }),
    label(t("plane.excited.negative"), LEFT + 6, TOP + 16, "start"),
    label(t("plane.excited.positive"), right - 6, TOP + 16, "end"),
    label(t("plane.calm.negative"), LEFT + 6, bottom - 8, "start"),
    label(t("plane.calm.positive"), right - 6, bottom - 8, "end"),
    label(`${t("plane.valence")} →`, LEFT + middle, PLOT_SIZE - 10, "middle"),
    label(`${t("plane.arousal")} →`, -(TOP + middle), 15, "middle", "rotate(-90)"),
    ...[label("0", LEFT, PLOT_SIZE - 10, "middle"), label("1", right, PLOT_SIZE - 10, "end")],
    ...[label("0", 15, bottom, "middle"), label("1", 15, TOP + 10, "middle")],
  );
}

/** @param {string} text @param {number} x @param {number} y @param {string} anchor @param {string} [transform] */
function label(text, x, y, anchor, transform = "") {
  return createSvg("text", { x, y, "text-anchor": anchor, ...(transform ? { transform } : {}) }, text);
}

/** Lines between points. @param {PlanePath} path @param {number} index */
export function drawPath({ points }, index) {
  const lines = points.slice(1).map((point, before) => drawLine(points[before], point, index));
  return createSvg("g", { "aria-hidden": "true" }, ...lines);
}

/** @param {Place} from @param {PlanePoint} to @param {number} index of the path */
function drawLine(from, to, index) {
  const [[x1, y1], [x2, y2]] = [toDrawing(from), toDrawing(to)];
  return createSvg("line", { class: "plane-line", x1, y1, x2, y2, opacity: opacity(to.age), ...dash(index) });
}

/** A cross above the points; with the number of its channel. @param {PlanePath} path @returns {SVGElement[]} */
export function drawMean({ mean, channel }) {
  if (!mean) return [];
  const [x, y] = toDrawing(mean);
  const cross = crossAt(x, y);
  const group = createSvg(
    "g",
    { class: "plane-mean", "data-testid": "plane-mean", "aria-hidden": "true" },
    createSvg("path", { class: "plane-halo", d: cross }),
    createSvg("path", { d: cross }),
    ...(channel === undefined ? [] : [label(String(channel), x + 10, y - 6, "start")]),
  );
  return [group];
}

/** @param {number} x @param {number} y */
const crossAt = (x, y) => `M${x - 8} ${y}h16M${x} ${y - 8}v16`;

/** Hollow if unsure; a circle, or the shape of its channel. @param {PlanePoint} point */
export function drawPoint(point) {
  const { age, path, segment } = point;
  const [x, y] = toDrawing(point);
  const unsure = segment.unsure ? " unsure" : "";
  return createSvg(
    "g",
    { class: `plane-point${unsure}`, "data-testid": "plane-point", "data-emotion": segment.label },
    createSvg("circle", { class: "plane-hit", cx: x, cy: y, r: HIT_RADIUS }),
    createSvg("path", { class: "plane-shape", d: shape(path, x, y, 6.5 - 2.5 * age), opacity: opacity(age) }),
  );
}

/** For the key: the cross of the mix, or a stretch of the path of a channel. @param {number} index @param {number | undefined} channel */
export function drawSwatch(index, channel) {
  const hidden = { class: "plane-swatch", "aria-hidden": "true" };
  if (channel === undefined) {
    const cross = createSvg("g", { class: "plane-mean" }, createSvg("path", { d: crossAt(9, 9) }));
    return createSvg("svg", { viewBox: "0 0 18 18", ...hidden, width: 18 }, cross);
  }
  return createSvg(
    "svg",
    { viewBox: "0 0 54 18", ...hidden, width: 54 },
    createSvg("line", { class: "plane-line", x1: 1, y1: 9, x2: 36, y2: 9, ...dash(index) }),
    createSvg("path", { class: "plane-shape", d: shape(index, 18, 9, 5.5) }),
    label(String(channel), 42, 14, "start"),
  );
}

/** @param {number} age */
const opacity = (age) => (1 - (1 - MIN_OPACITY) * age).toFixed(3);

/** @param {number} index @returns {Record<string, string>} */
function dash(index) {
  const pattern = DASHES[index % DASHES.length];
  return pattern ? { "stroke-dasharray": pattern } : {};
}

/** Circle, square, diamond or triangle. @param {number} index @param {number} x @param {number} y @param {number} r */
function shape(index, x, y, r) {
  const shapes = [
    `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z`,
    `M${x} ${y - 1.2 * r}l${1.2 * r} ${2.2 * r}h${-2.4 * r}z`,
  ];
  return shapes[index % shapes.length];
}
