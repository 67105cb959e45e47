/** The language of the page: words, numbers, and the switch. */

import { DICTIONARIES } from "./i18n.js";
import { recall, remember } from "./memory.js";

const FALLBACK = "en";

let current = FALLBACK;

/** @returns {string} */
export const language = () => current;

/** The remembered language, or the browser's first that there is. */
export function preferredLanguage() {
  const wanted = [recall("language"), ...(navigator.languages ?? [navigator.language])];
  return wanted.map(known).find((name) => name !== null) ?? FALLBACK;
}

/** @param {string | null} name @returns {string | null} */
function known(name) {
  if (!name) return null;
  if (name in DICTIONARIES) return name;
  const stem = name.toLowerCase().split("-")[0];
  return Object.keys(DICTIONARIES).find((one) => one.toLowerCase().split("-")[0] === stem) ?? null;
}

/** @param {string} name */
export function useLanguage(name) {
  current = known(name) ?? FALLBACK;
  document.documentElement.lang = current;
  document.title = t("page");
  translate(document);
}

/** @param {string} name */
export function chooseLanguage(name) {
  remember("language", name);
  useLanguage(name);
}

/**
 * A phrase in the page's language.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const phrase = DICTIONARIES[current][key] ?? DICTIONARIES[FALLBACK][key] ?? key;
  return phrase.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** @param {string} key */
export const hasPhrase = (key) => Object.hasOwn(DICTIONARIES[FALLBACK], key);

/** An emotion's name; one without a translation as the model calls it. @param {string} label */
export function emotionName(label) {
  return hasPhrase(`emotion.${label}`) ? t(`emotion.${label}`) : label;
}

/** Puts the words of the language into the marked elements. @param {ParentNode} root */
function translate(root) {
  for (const one of marked(root, "data-t")) one.textContent = t(one.dataset.t ?? "");
  for (const one of marked(root, "data-t-label")) one.setAttribute("aria-label", t(one.dataset.tLabel ?? ""));
}

/** @param {ParentNode} root @param {string} name @returns {NodeListOf<HTMLElement>} */
const marked = (root, name) => root.querySelectorAll(`[${name}]`);
