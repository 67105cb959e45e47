/** The time axis shared by waveform, emotions and phonemes: zoom and horizontal scrolling. */

import { oncePerFrame, prefersReducedMotion } from "./dom.js";

const MAX_PIXELS_PER_SECOND = 1200;
const MARGIN_PIXELS = 40;

/** Emits "change" when the visible range changes. */
export class TimeAxis extends EventTarget {
  seconds = 1;
  scale = 100;
  #isFitted = true;

  /** @param {HTMLElement} scroller @param {HTMLElement} track the wide child of the scroller */
  constructor(scroller, track) {
    super();
    this.scroller = scroller;
    this.track = track;
    const emitChange = oncePerFrame(() => this.dispatchEvent(new Event("change")));
    scroller.addEventListener("scroll", emitChange, { passive: true });
    new ResizeObserver(() => this.#onResize()).observe(scroller);
    this.emitChange = emitChange;
  }

  /** Visible width in pixels. */
  get width() {
    return Math.max(1, this.scroller.clientWidth);
  }

  /** @param {number} seconds */
  x(seconds) {
    return seconds * this.scale;
  }

  /** Start of the visible range, in seconds. */
  get visibleStart() {
    return this.scroller.scrollLeft / this.scale;
  }

  /** End of the visible range, in seconds. */
  get visibleEnd() {
    return this.visibleStart + this.width / this.scale;
  }

  /** Time at a pointer position. @param {number} clientX */
  timeAt(clientX) {
    const x = clientX - this.track.getBoundingClientRect().left;
    return Math.max(0, Math.min(this.seconds, x / this.scale));
  }

  /**
   * Show a new recording.
   * @param {number} seconds
   * @param {number} preferredScale preferred pixels per second
   * @param {number} maxViews maximum width, as a multiple of the visible width
   */
  load(seconds, preferredScale, maxViews) {
    this.seconds = Math.max(0.05, seconds);
    this.scroller.scrollLeft = 0;
    this.#setScale(Math.min(preferredScale, maxViews * this.#fitScale), 0, 0);
  }

  fit() {
    this.#setScale(0, 0, 0);
  }

  /** Zoom around a moment. @param {number} factor @param {number} [moment] default: the visible middle */
  zoom(factor, moment = (this.visibleStart + Math.min(this.visibleEnd, this.seconds)) / 2) {
    this.#setScale(this.scale * factor, moment, this.x(moment) - this.scroller.scrollLeft);
  }

  /** Scroll a range into view. @param {number} start @param {number} end */
  reveal(start, end) {
    const left = this.x(start) - MARGIN_PIXELS;
    const right = this.x(end) + MARGIN_PIXELS;
    if (left < this.scroller.scrollLeft) this.scroller.scrollLeft = left;
    else if (right > this.scroller.scrollLeft + this.width) this.scroller.scrollLeft = right - this.width;
  }

  /** Scroll by a page when the cursor leaves the visible range. @param {number} moment */
  follow(moment) {
    if (moment >= this.visibleStart && moment <= this.visibleEnd) return;
    this.scroller.scrollTo({
      left: this.x(moment) - 0.1 * this.width,
      behavior: prefersReducedMotion() ? "instant" : "auto",
    });
  }

  get #fitScale() {
    return this.width / this.seconds;
  }

  #onResize() {
    if (this.#isFitted || this.scale < this.#fitScale) this.#setScale(0, 0, 0);
    else this.#setScale(this.scale, this.visibleStart, 0);
  }

  /** @param {number} scale @param {number} moment @param {number} pixels the moment's distance from the left */
  #setScale(scale, moment, pixels) {
    const max = Math.max(MAX_PIXELS_PER_SECOND, this.#fitScale);
    this.scale = Math.max(this.#fitScale, Math.min(max, scale));
    this.#isFitted = this.scale <= this.#fitScale * 1.001;
    this.track.style.width = this.#isFitted ? "100%" : `${this.x(this.seconds)}px`;
    this.track.style.setProperty("--view", `${this.width}px`);
    this.scroller.scrollLeft = this.x(moment) - pixels;
    this.emitChange();
  }
}
