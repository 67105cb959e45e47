/** Playing, seeking, zooming: the controls of the time axis. */

import { byId } from "./dom.js";
import { clock } from "./format.js";
import { t } from "./language.js";

const PLAY = "M7 4.5v15l12-7.5z";
const PAUSE = "M6.500 5h4v14h-4zM13.500 5h4v14h-4z";
const ZOOM = 1.6;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
const CONTROLS = "a, button, input, select, textarea, label, [role=slider]";

export class Transport {
  #seconds = 0;
  #decoded = true;

  /** @param {import("./axis.js").Axis} axis @param {import("./player.js").Player} player */
  constructor(axis, player) {
    this.axis = axis;
    this.player = player;
    player.addEventListener("change", () => this.render());
    player.addEventListener("time", () => this.#tick());
    byId("play-button").addEventListener("click", () => player.toggle());
    byId("zoom-in").addEventListener("click", () => axis.zoom(ZOOM, this.#middle()));
    byId("zoom-out").addEventListener("click", () => axis.zoom(1 / ZOOM, this.#middle()));
    byId("zoom-fit").addEventListener("click", () => axis.fit());
    this.#listenToWave(byId("waveform"));
    document.addEventListener("keydown", (event) => this.#space(event));
    axis.scroller.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** @param {number} seconds */
  begin(seconds) {
    this.#seconds = seconds;
    this.#decoded = true;
  }

  /** @param {boolean} decoded whether there is a waveform */
  decoded(decoded) {
    this.#decoded = decoded;
    this.render();
  }

  render() {
    const { playing, playable } = this.player;
    byId("play-shape").setAttribute("d", playing ? PAUSE : PLAY);
    byId("play-button").setAttribute("aria-label", t(playing ? "pause" : "play"));
    byId("play-button").disabled = !playable;
    byId("zoom-fit").title = t("zoom.fit.label");
    byId("player-words").textContent = this.#decoded ? "" : t(playable ? "undrawable" : "undecodable");
    byId("waveform").setAttribute("aria-label", t("seek"));
    byId("waveform").setAttribute("aria-valuemax", this.#seconds.toFixed(1));
    byId("clock-end").textContent = clock(this.#seconds);
    this.place();
  }

  /** What a zoom keeps in its place: the cursor, or without it in view the middle. */
  #middle() {
    const { time } = this.player;
    return time >= this.axis.from && time <= this.axis.to ? time : undefined;
  }

  /** Puts cursor and clock where the player is. */
  place() {
    const { time } = this.player;
    const words = t("seek.value", { time: clock(time), end: clock(this.#seconds) });
    byId("cursor").style.transform = `translateX(${this.axis.x(Math.min(time, this.#seconds))}px)`;
    byId("clock").textContent = clock(time);
    byId("waveform").setAttribute("aria-valuenow", time.toFixed(1));
    byId("waveform").setAttribute("aria-valuetext", words);
  }

  #tick() {
    this.axis.follow(this.player.time);
    this.place();
  }

  /** @param {HTMLElement} wave */
  #listenToWave(wave) {
    const seek = (/** @type {MouseEvent} */ event) => this.player.seek(this.axis.at(event.clientX));
    wave.addEventListener("click", seek);
    wave.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && event.buttons === 1) seek(event);
    });
    wave.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = STEPS[/** @type {keyof typeof STEPS} */ (event.key)];
    if (step !== undefined) this.#go(event, this.player.time + (event.shiftKey ? step / 10 : step));
    else if (event.key === "Home") this.#go(event, 0);
    else if (event.key === "End") this.#go(event, this.#seconds);
    else if (event.key === " " || event.key === "Enter") this.#toggle(event);
  }

  /** @param {Event} event @param {number} seconds */
  #go(event, seconds) {
    event.preventDefault();
    const moment = Math.max(0, Math.min(this.#seconds, seconds));
    this.player.seek(moment);
    this.axis.reveal(moment, moment);
  }

  /** @param {Event} event */
  #toggle(event) {
    event.preventDefault();
    this.player.toggle();
  }

  /** @param {KeyboardEvent} event */
  #space(event) {
    const there = event.target instanceof Element && event.target.closest(CONTROLS);
    if (event.key === " " && !there && this.player.playable && !event.defaultPrevented) this.#toggle(event);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.axis.zoom(Math.exp(-event.deltaY / 200), this.axis.at(event.clientX));
  }
}
