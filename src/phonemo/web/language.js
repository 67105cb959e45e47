/** Translation: the current language and its phrases. */

import { DICTIONARIES } from "./i18n.js";
import { readSetting, saveSetting } from "./memory.js";

const FALLBACK = "en";

let currentLanguage = FALLBACK;

/** @returns {string} */
export const language = () => currentLanguage;

/** The saved language, or the first supported one of the browser. */
export function preferredLanguage() {
  const candidates = [readSetting("language"), ...(navigator.languages ?? [navigator.language])];
  return candidates.map(findLanguage).find((name) => name !== null) ?? FALLBACK;
}

/** @param {string | null} name @returns {string | null} */
function findLanguage(name) {
  if (!name) return null;
  if (name in DICTIONARIES) return name;
  const stem = name.toLowerCase().split("-")[0];
  return Object.keys(DICTIONARIES).find((key) => key.toLowerCase().split("-")[0] === stem) ?? null;
}

/** @param {string} name */
export function applyLanguage(name) {
  currentLanguage = findLanguage(name) ?? FALLBACK;
  document.documentElement.lang = currentLanguage;
  document.title = t("page");
  translate(document);
}

/** @param {string} name */
export function selectLanguage(name) {
  saveSetting("language", name);
  applyLanguage(name);
}

/**
 * Translate a phrase into the current language.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const phrase = DICTIONARIES[currentLanguage][key] ?? DICTIONARIES[FALLBACK][key] ?? key;
  return phrase.replace(/\{(\w+)\}/g, (placeholder, name) => String(values[name] ?? placeholder));
}

/** @param {string} key */
export const hasTranslation = (key) => Object.hasOwn(DICTIONARIES[FALLBACK], key);

/** Translate an emotion label; unknown labels are returned unchanged. @param {string} label */
export function emotionName(label) {
  return hasTranslation(`emotion.${label}`) ? t(`emotion.${label}`) : label;
}

/** Translate the elements that have a data-t or data-t-label attribute. @param {ParentNode} root */
function translate(root) {
  for (const element of elementsWith(root, "data-t")) element.textContent = t(element.dataset.t ?? "");
  for (const element of elementsWith(root, "data-t-label"))
    element.setAttribute("aria-label", t(element.dataset.tLabel ?? ""));
}

/** @param {ParentNode} root @param {string} name @returns {NodeListOf<HTMLElement>} */
const elementsWith = (root, name) => root.querySelectorAll(`[${name}]`);
