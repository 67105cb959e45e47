/** The course of a party's emotion: a few parts of the recording side by side; a click plays one. */

import { createElement } from "./dom.js";
import { formatClock, formatPercent } from "./format.js";
import { emotionName, t } from "./language.js";

/**
 * @param {import("./types.js").Segment[]} parts in order
 * @param {(start: number, end: number) => void} onJump
 */
export function trendStrip(parts, onJump) {
  return createElement("ol", { className: "trend" }, ...parts.map((part) => trendItem(part, onJump)));
}

/** @param {import("./types.js").Segment} part @param {(start: number, end: number) => void} onJump */
function trendItem({ start, end, label, scores }, onJump) {
  const percent = formatPercent(scores[label] ?? 0);
  const times = { start: formatClock(start, 0), end: formatClock(end, 0) };
  const button = createElement(
    "button",
    {
      type: "button",
      className: "trend-part",
      data: { testid: "trend-part", emotion: label },
      aria: { label: t("summary.part", { label: emotionName(label), percent, ...times }) },
    },
    createElement("span", { className: "trend-label", textContent: emotionName(label) }),
    createElement("span", { className: "trend-time", textContent: times.start }),
  );
  button.addEventListener("click", () => onJump(start, end));
  return createElement("li", {}, button);
}
