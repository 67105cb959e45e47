/** The panel that is there while the microphone is open. */

import { byId } from "./dom.js";
import { clock, decimal } from "./format.js";
import { t } from "./language.js";

const QUIETEST_DB = -60;

/** @typedef {"recording" | "live"} Mode */

/** @param {Mode} mode @param {string} title @param {string} words */
export function openPanel(mode, title, words) {
  const live = mode === "live";
  byId("sources").hidden = true;
  byId("capture").hidden = false;
  byId("capture").dataset.mode = mode;
  byId("live").hidden = !live;
  byId("stop-button").hidden = live;
  byId("live-stop").hidden = !live;
  byId("level").setAttribute("aria-label", t("level"));
  say(title, words);
  showElapsed(0);
  showLevel(0);
  byId(live ? "live-stop" : "stop-button").focus({ preventScroll: true });
  byId("capture").scrollIntoView({ block: "nearest" });
}

/** @param {string} title @param {string} words */
export function say(title, words) {
  byId("capture-title").textContent = title;
  byId("capture-words").textContent = words;
}

export function closePanel() {
  const held = byId("capture").contains(document.activeElement);
  const way = byId("capture").dataset.mode === "live" ? "live-button" : "record-button";
  byId("capture").hidden = true;
  byId("sources").hidden = false;
  if (held) byId(way).focus({ preventScroll: true });
}

/** @param {number} seconds */
export function showElapsed(seconds) {
  byId("elapsed").textContent = clock(seconds, 0);
}

/** @param {number} peak 0 to 1 */
export function showLevel(peak) {
  const loud = peak > 0 ? Math.max(0, 1 - (20 * Math.log10(peak)) / QUIETEST_DB) : 0;
  const meter = byId("level");
  meter.setAttribute("aria-valuenow", String(Math.round(100 * loud)));
  meter.setAttribute("aria-valuetext", `${decimal(100 * loud, 0)} %`);
  meter.classList.toggle("hot", peak >= 0.98);
  meter.firstElementChild.style.transform = `scaleX(${Math.min(1, loud)})`;
}
