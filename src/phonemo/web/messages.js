/** Messages to the user: a status line for progress, alerts for errors. */

import { byId, createElement } from "./dom.js";
import { t } from "./language.js";
import { errorMessage } from "./problems.js";

/** @type {{name: string, error: unknown}[]} */
let errors = [];

const MAX_ERRORS = 3;

/** @param {string} text */
export function announce(text) {
  byId("status").textContent = text;
}

/** @param {unknown} error @param {string} [name] of the recording */
export function showError(error, name = "") {
  errors = [...errors, { name, error }].slice(-MAX_ERRORS);
  renderErrors();
}

export function clearErrors() {
  if (!errors.length) return;
  errors = [];
  renderErrors();
}

/** Render in the current language. */
export function renderErrors() {
  byId("error").replaceChildren(...errors.map(errorElement));
}

/** @param {{name: string, error: unknown}} entry */
function errorElement(entry) {
  const message = errorMessage(entry.error);
  const text = entry.name ? t("error.prefix", { name: entry.name, message }) : message;
  const close = createElement("button", {
    type: "button",
    className: "subtle icon-button",
    textContent: "×",
    aria: { label: t("error.close") },
  });
  close.addEventListener("click", () => {
    errors = errors.filter((other) => other !== entry);
    renderErrors();
    byId("main").focus({ preventScroll: true });
  });
  return createElement("div", { className: "error-message" }, createElement("p", { textContent: text }), close);
}
