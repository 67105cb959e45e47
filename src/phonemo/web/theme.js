/** Light or dark theme: the system's setting until the user switches. */

import { t } from "./language.js";
import { saveSetting } from "./memory.js";

const root = document.documentElement;
const systemTheme = matchMedia("(prefers-color-scheme: dark)");
const BACKGROUND = { light: "#f5f4f0", dark: "#14161a" };

/** @returns {"light" | "dark"} */
function currentTheme() {
  const chosen = root.dataset.theme;
  return (chosen ? chosen === "dark" : systemTheme.matches) ? "dark" : "light";
}

/**
 * @param {HTMLButtonElement} button
 * @param {() => void} onChange called after the colors changed
 */
export function initTheme(button, onChange) {
  button.addEventListener("click", () => {
    root.dataset.theme = currentTheme() === "dark" ? "light" : "dark";
    saveSetting("theme", root.dataset.theme);
    renderTheme(button);
    onChange();
  });
  systemTheme.addEventListener("change", () => {
    renderTheme(button);
    onChange();
  });
  renderTheme(button);
}

/** @param {HTMLButtonElement} button */
export function renderTheme(button) {
  const label = t(currentTheme() === "dark" ? "theme.light" : "theme.dark");
  button.setAttribute("aria-label", label);
  button.title = label;
  if (!root.dataset.theme) return;
  for (const meta of document.querySelectorAll('meta[name="theme-color"]'))
    meta.setAttribute("content", BACKGROUND[currentTheme()]);
}
