/** The panel shown while the microphone is open. */

import { byId } from "./dom.js";
import { formatClock, formatNumber } from "./format.js";
import { t } from "./language.js";

const MIN_DB = -60;

/** @typedef {"recording" | "live"} Mode */

/** @param {Mode} mode @param {string} title @param {string} text */
export function openCapturePanel(mode, title, text) {
  const live = mode === "live";
  byId("sources").hidden = true;
  byId("capture").hidden = false;
  byId("capture").dataset.mode = mode;
  byId("live").hidden = !live;
  byId("stop-button").hidden = live;
  byId("live-stop").hidden = !live;
  byId("level").setAttribute("aria-label", t("level"));
  setCaptureText(title, text);
  showElapsed(0);
  showLevel(0);
  byId(live ? "live-stop" : "stop-button").focus({ preventScroll: true });
  byId("capture").scrollIntoView({ block: "nearest" });
}

/** @param {string} title @param {string} text */
export function setCaptureText(title, text) {
  byId("capture-title").textContent = title;
  byId("capture-text").textContent = text;
}

export function closeCapturePanel() {
  const hadFocus = byId("capture").contains(document.activeElement);
  const opener = byId("capture").dataset.mode === "live" ? "live-button" : "record-button";
  byId("capture").hidden = true;
  byId("sources").hidden = false;
  if (hadFocus) byId(opener).focus({ preventScroll: true });
}

/** @param {number} seconds */
export function showElapsed(seconds) {
  byId("elapsed").textContent = formatClock(seconds, 0);
}

/** @param {number} peak 0 to 1 */
export function showLevel(peak) {
  const level = peak > 0 ? Math.max(0, 1 - (20 * Math.log10(peak)) / MIN_DB) : 0;
  const meter = byId("level");
  meter.setAttribute("aria-valuenow", String(Math.round(100 * level)));
  meter.setAttribute("aria-valuetext", `${formatNumber(100 * level, 0)}%`);
  meter.classList.toggle("clipping", peak >= 0.98);
  meter.firstElementChild.style.transform = `scaleX(${Math.min(1, level)})`;
}
