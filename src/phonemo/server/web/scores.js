/** Bars of scores, the highest first. */

import { ranked } from "./answers.js";
import { make } from "./dom.js";
import { percent } from "./format.js";
import { emotionName } from "./language.js";

/** @param {HTMLElement} list @param {Record<string, number>} scores @param {number} [most] rows */
export function showScores(list, scores, most = Infinity) {
  list.replaceChildren(
    ...ranked(scores)
      .slice(0, most)
      .map(([label, score]) => row(label, score)),
  );
}

/** @param {string} label @param {number} score */
function row(label, score) {
  const bar = make("span", {
    className: "bar",
    style: { "--score": String(Math.max(0, Math.min(1, score))) },
  });
  bar.setAttribute("aria-hidden", "true");
  return make(
    "li",
    { className: "score-row", data: { testid: "score-row", emotion: label } },
    make("span", { className: "score-name", textContent: emotionName(label) }),
    bar,
    make("span", { className: "score-number", textContent: percent(score) }),
  );
}
