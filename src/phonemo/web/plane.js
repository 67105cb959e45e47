/**
 * The valence-arousal plane of a recording: a point for each segment, connected in the order of time.
 *
 * The points have a single tab stop; arrow keys move between them, as in the lanes.
 */

import { knownChannels } from "./channels.js";
import { byId } from "./dom.js";
import { t } from "./language.js";
import { createPlot, drawAxes, drawMean, drawPath, drawPoint, PLOT_SIZE, toDrawing } from "./planedrawing.js";
import { planePaths } from "./planepaths.js";
import { describePoint, planeKey } from "./planetext.js";

const KEY_STEPS = {
  ...{ ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 },
  ...{ PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity },
};
const REACH = 20;

/**
 * @typedef {import("./types.js").Segment} Segment
 * @typedef {import("./planepaths.js").PlanePoint} PlanePoint
 * @typedef {{onShow: (segment: Segment) => void, onReveal: (segment: Segment) => void,
 *   onPlay: (segment: Segment) => void}} PlaneHandlers
 */

export class Plane {
  /** @type {import("./types.js").Prediction | null} */
  #prediction = null;
  /** @type {import("./planepaths.js").PlanePath[]} */
  #paths = [];
  /** @type {PlanePoint[]} of all paths, in the order of time */
  #points = [];
  /** @type {SVGElement[]} */
  #elements = [];
  #current = 0;
  /** @type {PlanePoint | null} the point whose values are shown */
  #shown = null;

  /** @param {PlaneHandlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.plot = createPlot();
    this.plot.setAttribute("role", "group");
    byId("plane-plot").replaceChildren(this.plot);
    this.#listen();
  }

  /** @param {import("./types.js").Prediction | null} prediction */
  show(prediction) {
    this.#prediction = prediction;
    this.#paths = prediction ? planePaths(prediction) : [];
    this.#points = this.#paths.flatMap(({ points }) => points).sort((a, b) => a.segment.start - b.segment.start);
    this.#current = 0;
    this.#shown = null;
    this.render();
  }

  /** Render in the current language. */
  render() {
    byId("plane").hidden = !this.#paths.some(({ points, mean }) => points.length || mean);
    this.plot.setAttribute("aria-label", t("plane.plot"));
    this.#elements = this.#points.map((point) => this.#element(point));
    const means = this.#paths.flatMap(drawMean);
    this.plot.replaceChildren(drawAxes(), ...this.#paths.map(drawPath), ...this.#elements, ...means);
    byId("plane-key").replaceChildren(...planeKey(this.#paths, this.#channelCount));
    byId("plane-derived").hidden = !this.#paths.some(({ derived }) => derived);
    this.#focusable();
    this.#renderDetail();
  }

  /** Mark the point of a segment that is pointed at elsewhere. @param {Segment} segment */
  mark(segment) {
    for (const [index, { segment: own }] of this.#points.entries())
      this.#elements[index].classList.toggle("marked", own === segment);
  }

  #listen() {
    this.plot.addEventListener("keydown", (event) => this.#onKey(/** @type {KeyboardEvent} */ (event)));
    this.plot.addEventListener("focusin", (event) => this.#onFocus(/** @type {Element} */ (event.target)));
    this.plot.addEventListener("pointermove", (event) => this.#show(this.#nearest(event)));
    this.plot.addEventListener("click", (event) => {
      const point = this.#nearest(/** @type {MouseEvent} */ (event));
      this.#show(point);
      if (point) this.handlers.onPlay(point.segment);
    });
  }

  get #channelCount() {
    return this.#prediction ? knownChannels(this.#prediction) : 1;
  }

  /** @param {PlanePoint} point */
  #describe(point) {
    return describePoint(point, this.#paths[point.path], this.#channelCount);
  }

  /** @param {PlanePoint} point */
  #element(point) {
    const element = drawPoint(point);
    element.setAttribute("role", "button");
    element.setAttribute("aria-label", this.#describe(point));
    element.classList.toggle("marked", point === this.#shown);
    return element;
  }

  #focusable() {
    for (const [index, element] of this.#elements.entries())
      element.setAttribute("tabindex", index === this.#current ? "0" : "-1");
  }

  /** @param {PlanePoint | null} point null changes nothing */
  #show(point) {
    if (!point || point === this.#shown) return;
    this.#shown = point;
    this.mark(point.segment);
    this.#renderDetail();
    this.handlers.onShow(point.segment);
  }

  #renderDetail() {
    const hint = matchMedia("(hover: none)").matches ? "plane.hint.touch" : "plane.hint";
    const text = this.#shown ? this.#describe(this.#shown) : this.#points.length ? t(hint) : "";
    const line = byId("plane-detail");
    line.classList.toggle("hint", !this.#shown);
    // Screen readers repeat a live region when the same text is set again.
    if (line.textContent !== text) line.textContent = text;
  }

  /** @param {Element} target */
  #onFocus(target) {
    const index = this.#elements.indexOf(/** @type {SVGElement} */ (target));
    if (index < 0) return;
    this.#current = index;
    this.#focusable();
    this.handlers.onReveal(this.#points[index].segment);
    this.#show(this.#points[index]);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#points.length) return;
    const step = KEY_STEPS[/** @type {keyof typeof KEY_STEPS} */ (event.key)];
    const plays = event.key === "Enter" || event.key === " ";
    if (step === undefined && !plays) return;
    event.preventDefault();
    if (plays) return this.handlers.onPlay(this.#points[this.#current].segment);
    const index = Math.max(0, Math.min(this.#points.length - 1, this.#current + step));
    this.#elements[index].focus({ preventScroll: true });
  }

  /** The nearest point within reach of the pointer. @param {MouseEvent} event @returns {PlanePoint | null} */
  #nearest({ clientX, clientY }) {
    const box = this.plot.getBoundingClientRect();
    const scale = PLOT_SIZE / box.width;
    const [x, y] = [(clientX - box.left) * scale, (clientY - box.top) * scale];
    const distance = (/** @type {PlanePoint} */ point) => {
      const [left, top] = toDrawing(point);
      return Math.hypot(left - x, top - y);
    };
    const near = this.#points.filter((point) => distance(point) <= REACH);
    return near.reduce((best, point) => (best && distance(best) < distance(point) ? best : point), /** @type {PlanePoint | null} */ (null));
  }
}
