/** The time axis that waveform, emotions and phonemes share: zoom and horizontal scrolling. */

import { calm, eachFrame } from "./dom.js";

const MOST_PIXELS_PER_SECOND = 1200;
const MARGIN_PIXELS = 40;

/** Emits "change" when what is visible changed. */
export class Axis extends EventTarget {
  seconds = 1;
  scale = 100;
  #fitted = true;

  /** @param {HTMLElement} scroller @param {HTMLElement} track its wide child */
  constructor(scroller, track) {
    super();
    this.scroller = scroller;
    this.track = track;
    const tell = eachFrame(() => this.dispatchEvent(new Event("change")));
    scroller.addEventListener("scroll", tell, { passive: true });
    new ResizeObserver(() => this.#resized()).observe(scroller);
    this.tell = tell;
  }

  /** Pixels that are visible. */
  get width() {
    return Math.max(1, this.scroller.clientWidth);
  }

  /** @param {number} seconds */
  x(seconds) {
    return seconds * this.scale;
  }

  /** Where the visible part begins, in seconds. */
  get from() {
    return this.scroller.scrollLeft / this.scale;
  }

  /** Where it ends. */
  get to() {
    return this.from + this.width / this.scale;
  }

  /** The time under a pointer. @param {number} clientX */
  at(clientX) {
    const x = clientX - this.track.getBoundingClientRect().left;
    return Math.max(0, Math.min(this.seconds, x / this.scale));
  }

  /**
   * A new recording.
   * @param {number} seconds
   * @param {number} readable pixels a second that are wished for
   * @param {number} views the most widths of the view
   */
  begin(seconds, readable, views) {
    this.seconds = Math.max(0.05, seconds);
    this.scroller.scrollLeft = 0;
    this.#use(Math.min(readable, views * this.#fit), 0, 0);
  }

  fit() {
    this.#use(0, 0, 0);
  }

  /** Keeps a moment where it is. @param {number} factor @param {number} [moment] the middle if left out */
  zoom(factor, moment = (this.from + Math.min(this.to, this.seconds)) / 2) {
    this.#use(this.scale * factor, moment, this.x(moment) - this.scroller.scrollLeft);
  }

  /** Scrolls until a stretch is visible. @param {number} start @param {number} end */
  reveal(start, end) {
    const left = this.x(start) - MARGIN_PIXELS;
    const right = this.x(end) + MARGIN_PIXELS;
    if (left < this.scroller.scrollLeft) this.scroller.scrollLeft = left;
    else if (right > this.scroller.scrollLeft + this.width) this.scroller.scrollLeft = right - this.width;
  }

  /** Turns the page when the cursor leaves it. @param {number} moment */
  follow(moment) {
    if (moment >= this.from && moment <= this.to) return;
    this.scroller.scrollTo({
      left: this.x(moment) - 0.1 * this.width,
      behavior: calm() ? "instant" : "auto",
    });
  }

  get #fit() {
    return this.width / this.seconds;
  }

  #resized() {
    if (this.#fitted || this.scale < this.#fit) this.#use(0, 0, 0);
    else this.#use(this.scale, this.from, 0);
  }

  /** @param {number} scale @param {number} moment @param {number} pixels where the moment is to stay */
  #use(scale, moment, pixels) {
    const most = Math.max(MOST_PIXELS_PER_SECOND, this.#fit);
    this.scale = Math.max(this.#fit, Math.min(most, scale));
    this.#fitted = this.scale <= this.#fit * 1.001;
    this.track.style.width = this.#fitted ? "100%" : `${this.x(this.seconds)}px`;
    this.track.style.setProperty("--view", `${this.width}px`);
    this.scroller.scrollLeft = this.x(moment) - pixels;
    this.tell();
  }
}
