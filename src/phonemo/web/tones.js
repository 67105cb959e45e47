/** Colors of the style sheet, for canvases. */

import { createElement } from "./dom.js";

const probe = createElement("span", { hidden: true });
/** @type {Map<string, string>} */
const cache = new Map();

/** @param {string} label an emotion */
export function emotionColor(label) {
  if (!cache.has(label)) cache.set(label, readColor("emotion", label));
  return /** @type {string} */ (cache.get(label));
}

/** @param {"text-muted" | "border" | "control-border" | "adds" | "takes"} name */
export function themeColor(name) {
  const key = `--${name}`;
  if (!cache.has(key)) cache.set(key, readColor(name, ""));
  return /** @type {string} */ (cache.get(key));
}

/** Call after the theme changed. */
export const clearColorCache = () => cache.clear();

/** @param {string} property @param {string} label */
function readColor(property, label) {
  if (!probe.isConnected) document.body.append(probe);
  probe.dataset.emotion = label;
  probe.style.color = `var(--${property})`;
  return getComputedStyle(probe).color;
}
