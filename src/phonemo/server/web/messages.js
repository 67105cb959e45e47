/** What the page tells: news in a status line, faults in an alert. */

import { byId, make } from "./dom.js";
import { t } from "./language.js";
import { explain } from "./problems.js";

/** @type {{name: string, problem: unknown}[]} */
let alarms = [];

const MOST_ALARMS = 3;

/** @param {string} words */
export function tell(words) {
  byId("status").textContent = words;
}

/** @param {unknown} problem @param {string} [name] of the recording */
export function alarm(problem, name = "") {
  alarms = [...alarms, { name, problem }].slice(-MOST_ALARMS);
  renderAlarms();
}

export function clearAlarms() {
  if (!alarms.length) return;
  alarms = [];
  renderAlarms();
}

/** In the language of the page. */
export function renderAlarms() {
  byId("error").replaceChildren(...alarms.map(alarmNode));
}

/** @param {{name: string, problem: unknown}} one */
function alarmNode(one) {
  const message = explain(one.problem);
  const words = one.name ? t("error.prefix", { name: one.name, message }) : message;
  const close = make("button", {
    type: "button",
    className: "quiet icon-button",
    textContent: "×",
    aria: { label: t("error.close") },
  });
  close.addEventListener("click", () => {
    alarms = alarms.filter((other) => other !== one);
    renderAlarms();
    byId("main").focus({ preventScroll: true });
  });
  return make("div", { className: "alarm" }, make("p", { textContent: words }), close);
}
