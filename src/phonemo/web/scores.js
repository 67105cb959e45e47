/** Score bars, highest first. */

import { sortByScore } from "./answers.js";
import { createElement } from "./dom.js";
import { formatPercent } from "./format.js";
import { emotionName } from "./language.js";

/** @param {HTMLElement} list @param {Record<string, number>} scores @param {number} [maxRows] */
export function renderScores(list, scores, maxRows = Infinity) {
  list.replaceChildren(
    ...sortByScore(scores)
      .slice(0, maxRows)
      .map(([label, score]) => scoreRow(label, score)),
  );
}

/**
 * A bar from 0 to 1 with its number.
 * @param {string} label
 * @param {number} score
 * @param {string} [testid]
 */
export function scoreRow(label, score, testid = "score-row") {
  const bar = createElement("span", {
    className: "bar",
    style: { "--score": String(Math.max(0, Math.min(1, score))) },
  });
  bar.setAttribute("aria-hidden", "true");
  return createElement(
    "li",
    { className: "score-row", data: { testid, emotion: label } },
    createElement("span", { className: "score-name", textContent: emotionName(label) }),
    bar,
    createElement("span", { className: "score-number", textContent: formatPercent(score) }),
  );
}
