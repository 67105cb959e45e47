/** Colours of the style sheet for canvases. */

import { make } from "./dom.js";

const probe = make("span", { hidden: true });
/** @type {Map<string, string>} */
const known = new Map();

/** @param {string} label an emotion */
export function tone(label) {
  if (!known.has(label)) known.set(label, read("tone", label));
  return /** @type {string} */ (known.get(label));
}

/** @param {"ink" | "muted" | "line" | "adds" | "takes"} name */
export function paint(name) {
  const key = `--${name}`;
  if (!known.has(key)) known.set(key, read(name, ""));
  return /** @type {string} */ (known.get(key));
}

/** After the theme changed. */
export const forgetTones = () => known.clear();

/** @param {string} property @param {string} label */
function read(property, label) {
  if (!probe.isConnected) document.body.append(probe);
  probe.dataset.emotion = label;
  probe.style.color = `var(--${property})`;
  return getComputedStyle(probe).color;
}
