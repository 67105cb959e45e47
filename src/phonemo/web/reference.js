/** The page at /docs: one language at a time, copy buttons, the address of this server, the theme. */

import { readSetting, saveSetting } from "./memory.js";

const LANGUAGE = "language-of-examples";
const COPIED_MS = 2000;

/**
 * @param {string} text
 * @param {string} [className]
 * @returns {HTMLButtonElement}
 */
function button(text, className = "") {
  const made = document.createElement("button");
  made.type = "button";
  made.className = `button ${className}`.trim();
  made.textContent = text;
  return made;
}

/** Behind a proxy the server does not know its public address; the browser does. */
function showAddress() {
  const given = document.querySelector(".address")?.textContent;
  const actual = new URL("./", location.href).href;
  if (!given || given === actual) return;
  const socket = (/** @type {string} */ address) => address.replace(/^http/, "ws");
  for (const code of document.querySelectorAll("pre code, .address"))
    code.textContent = (code.textContent ?? "")
      .replaceAll(given, actual)
      .replaceAll(socket(given), socket(actual));
}

/** @param {string} language */
function show(language) {
  for (const group of document.querySelectorAll(".examples")) {
    const examples = /** @type {HTMLElement[]} */ ([...group.querySelectorAll(".example")]);
    const has = examples.some((example) => example.dataset.language === language);
    const chosen = has ? language : examples[0]?.dataset.language;
    for (const example of examples) example.hidden = example.dataset.language !== chosen;
    for (const choice of group.querySelectorAll(".choices [data-language]"))
      choice.setAttribute("aria-pressed", String(choice.getAttribute("data-language") === chosen));
  }
}

/** @param {Element} group */
function addChoices(group) {
  const examples = /** @type {HTMLElement[]} */ ([...group.querySelectorAll(".example")]);
  const choices = document.createElement("div");
  choices.className = "choices";
  choices.setAttribute("role", "group");
  choices.setAttribute("aria-label", "Language of the example");
  for (const { dataset } of examples) {
    const language = dataset.language ?? "";
    const choice = button(language);
    choice.dataset.language = language;
    choice.addEventListener("click", () => {
      saveSetting(LANGUAGE, language);
      show(language);
    });
    choices.append(choice);
  }
  choices.append(copyButton(() => examples.find((example) => !example.hidden)));
  group.classList.add("chosen");
  group.prepend(choices);
}

/**
 * @param {() => HTMLElement | undefined} shown
 * @returns {HTMLButtonElement}
 */
function copyButton(shown) {
  const copy = button("Copy", "copy");
  copy.addEventListener("click", async () => {
    const text = shown()?.querySelector("pre")?.textContent ?? "";
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Not allowed here"; // only https and localhost have a clipboard
    }
    setTimeout(() => (copy.textContent = "Copy"), COPIED_MS);
  });
  return copy;
}

function initTheme() {
  const root = document.documentElement;
  const theme = /** @type {HTMLButtonElement | null} */ (document.getElementById("theme"));
  if (!theme) return;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => (theme.textContent = isDark() ? "Light theme" : "Dark theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    saveSetting("theme", root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  label();
}

initTheme();
showAddress();
for (const group of document.querySelectorAll(".examples")) addChoices(group);
show(readSetting(LANGUAGE) ?? "curl");
