/** Light or dark: the system's choice until somebody switches. */

import { t } from "./language.js";
import { remember } from "./memory.js";

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const PAPER = { light: "#f5f4f0", dark: "#14161a" };

/** @returns {"light" | "dark"} */
function theme() {
  const chosen = root.dataset.theme;
  return (chosen ? chosen === "dark" : system.matches) ? "dark" : "light";
}

/**
 * @param {HTMLButtonElement} button
 * @param {() => void} onChange called after the colours changed
 */
export function startTheme(button, onChange) {
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    remember("theme", root.dataset.theme);
    settle(button);
    onChange();
  });
  system.addEventListener("change", () => {
    settle(button);
    onChange();
  });
  settle(button);
}

/** @param {HTMLButtonElement} button */
export function settle(button) {
  const words = t(theme() === "dark" ? "theme.light" : "theme.dark");
  button.setAttribute("aria-label", words);
  button.title = words;
  if (!root.dataset.theme) return;
  for (const one of document.querySelectorAll('meta[name="theme-color"]'))
    one.setAttribute("content", PAPER[theme()]);
}
