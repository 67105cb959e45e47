/** Controls of the timeline: playback, seeking, zoom. */

import { byId } from "./dom.js";
import { formatClock } from "./format.js";
import { t } from "./language.js";

const PLAY = "M7 4.5v15l12-7.5z";
const PAUSE = "M6.500 5h4v14h-4zM13.500 5h4v14h-4z";
const ZOOM_FACTOR = 1.6;
const KEY_STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
const CONTROLS = "a, button, input, select, textarea, label, [role=slider]";

export class Transport {
  #seconds = 0;
  #decoded = true;

  /** @param {import("./axis.js").TimeAxis} axis @param {import("./player.js").Player} player */
  constructor(axis, player) {
    this.axis = axis;
    this.player = player;
    player.addEventListener("change", () => this.render());
    player.addEventListener("time", () => this.#onTime());
    byId("play-button").addEventListener("click", () => player.toggle());
    byId("zoom-in").addEventListener("click", () => axis.zoom(ZOOM_FACTOR, this.#zoomAnchor()));
    byId("zoom-out").addEventListener("click", () => axis.zoom(1 / ZOOM_FACTOR, this.#zoomAnchor()));
    byId("zoom-fit").addEventListener("click", () => axis.fit());
    this.#initWaveform(byId("waveform"));
    document.addEventListener("keydown", (event) => this.#onSpace(event));
    axis.scroller.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
  }

  /** @param {number} seconds */
  load(seconds) {
    this.#seconds = seconds;
    this.#decoded = true;
  }

  /** @param {boolean} decoded whether there is a waveform */
  setDecoded(decoded) {
    this.#decoded = decoded;
    this.render();
  }

  render() {
    const { playing, playable } = this.player;
    byId("play-shape").setAttribute("d", playing ? PAUSE : PLAY);
    byId("play-button").setAttribute("aria-label", t(playing ? "pause" : "play"));
    byId("play-button").disabled = !playable;
    byId("zoom-fit").title = t("zoom.fit.label");
    const problemKey = playable ? "player.no_waveform" : "player.undecodable";
    byId("player-text").textContent = this.#decoded ? "" : t(problemKey);
    byId("waveform").setAttribute("aria-label", t("seek"));
    byId("waveform").setAttribute("aria-valuemax", this.#seconds.toFixed(1));
    byId("clock-end").textContent = formatClock(this.#seconds);
    this.renderPosition();
  }

  /** The moment that a zoom keeps in place: the cursor if it is visible, otherwise the middle. */
  #zoomAnchor() {
    const { time } = this.player;
    return time >= this.axis.visibleStart && time <= this.axis.visibleEnd ? time : undefined;
  }

  /** Move cursor and clock to the playback position. */
  renderPosition() {
    const { time } = this.player;
    const valueText = t("seek.value", { time: formatClock(time), end: formatClock(this.#seconds) });
    byId("cursor").style.transform = `translateX(${this.axis.x(Math.min(time, this.#seconds))}px)`;
    byId("clock").textContent = formatClock(time);
    byId("waveform").setAttribute("aria-valuenow", time.toFixed(1));
    byId("waveform").setAttribute("aria-valuetext", valueText);
  }

  #onTime() {
    this.axis.follow(this.player.time);
    this.renderPosition();
  }

  /** @param {HTMLElement} wave */
  #initWaveform(wave) {
    this.addSeekArea(wave);
    wave.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Make an element seek where it is clicked. @param {HTMLElement} wave */
  addSeekArea(wave) {
    const seek = (/** @type {MouseEvent} */ event) => this.player.seek(this.axis.timeAt(event.clientX));
    wave.addEventListener("click", seek);
    wave.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && event.buttons === 1) seek(event);
    });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const step = KEY_STEPS[/** @type {keyof typeof KEY_STEPS} */ (event.key)];
    if (step !== undefined) this.#seekTo(event, this.player.time + (event.shiftKey ? step / 10 : step));
    else if (event.key === "Home") this.#seekTo(event, 0);
    else if (event.key === "End") this.#seekTo(event, this.#seconds);
    else if (event.key === " " || event.key === "Enter") this.#toggle(event);
  }

  /** @param {Event} event @param {number} seconds */
  #seekTo(event, seconds) {
    event.preventDefault();
    const time = Math.max(0, Math.min(this.#seconds, seconds));
    this.player.seek(time);
    this.axis.reveal(time, time);
  }

  /** @param {Event} event */
  #toggle(event) {
    event.preventDefault();
    this.player.toggle();
  }

  /** @param {KeyboardEvent} event */
  #onSpace(event) {
    const onControl = event.target instanceof Element && event.target.closest(CONTROLS);
    if (event.key === " " && !onControl && this.player.playable && !event.defaultPrevented) this.#toggle(event);
  }

  /** @param {WheelEvent} event */
  #onWheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.axis.zoom(Math.exp(-event.deltaY / 200), this.axis.timeAt(event.clientX));
  }
}
