/** A TextGrid for Praat, with the tiers that the command and the server write. */

import { segmentsOf } from "./segments.js";

const MIN_GAP = 1e-6;

/** @typedef {import("../types.js").Prediction} Prediction */
/** @typedef {import("../types.js").Segment} Segment */
/** @typedef {{start: number, end: number, text: string}} Interval */

/** @param {import("../types.js").Job} job @returns {string} */
export function textGridOf({ prediction }) {
  const whole = /** @type {Prediction} */ (prediction);
  const tiers = [...emotionTiers(whole), ...phonemeTiers(whole)];
  const head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", `xmax = ${time(whole.seconds)}`];
  const lines = [...head, "tiers? <exists>", `size = ${tiers.length}`, "item []:"];
  for (const [index, [name, intervals]] of tiers.entries())
    lines.push(...tierLines(index + 1, name, whole.seconds, nonOverlapping(intervals, whole.seconds)));
  return `${lines.join("\n")}\n`;
}

/** @param {Prediction} whole @returns {[string, Interval[]][]} */
function emotionTiers(whole) {
  const segments = segmentsOf(whole);
  const apart = segments.some(({ channel }) => channel !== undefined);
  /** @type {Map<string, Interval[]>} */
  const tiers = new Map(apart ? [] : [["emotion", []]]);
  for (const segment of segments) {
    const name = apart ? `emotion channel ${segment.channel}` : "emotion";
    const { start, end } = segment;
    tiers.set(name, [...(tiers.get(name) ?? []), { start, end, text: labelOf(segment) }]);
  }
  return [...tiers];
}

/** @param {Segment} segment */
function labelOf({ label, scores, unsure }) {
  return label in scores ? `${label} ${scores[label].toFixed(2)}${unsure ? "?" : ""}` : "";
}

/** @param {Prediction} whole @returns {[string, Interval[]][]} */
function phonemeTiers(whole) {
  const parts = whole.channels?.length ? whole.channels : [whole];
  return parts.flatMap(({ spans, channel }) => {
    if (!spans) return [];
    const suffix = whole.channels?.length ? ` channel ${channel}` : "";
    const symbols = spans.map(({ start, end, symbol: text }) => ({ start, end, text }));
    const shares = spans.map(({ start, end, share }) => ({ start, end, text: shareText(share) }));
    const hasShares = spans.some(({ share }) => share !== null && share !== undefined);
    /** @type {[string, Interval[]][]} */
    const tiers = [[`phonemes${suffix}`, symbols]];
    return hasShares ? [...tiers, [`share${suffix}`, shares]] : tiers;
  });
}

/** Percentage points with three significant digits, as printf's %+.3g. @param {number | null | undefined} share */
function shareText(share) {
  if (share === null || share === undefined) return "";
  const points = 100 * share;
  if (points === 0) return "+0 %";
  const exponent = Math.floor(Math.log10(Math.abs(Number(points.toPrecision(3)))));
  const text = exponent < -4 ? scientific(points) : String(Number(points.toPrecision(3)));
  return `${points > 0 ? "+" : ""}${text} %`;
}

/** With an exponent of two digits. @param {number} value */
const scientific = (value) => String(Number(value.toPrecision(3)).toExponential()).replace(/e([+-])(\d)$/, "e$10$2");

/** Intervals and the gaps between them, from 0 to the end. @param {Interval[]} intervals @param {number} seconds */
function nonOverlapping(intervals, seconds) {
  /** @type {Interval[]} */
  const filled = [];
  let position = 0;
  for (const interval of intervals) {
    let start = Math.max(interval.start, position);
    const end = Math.min(interval.end, seconds);
    if (end - start <= MIN_GAP) continue;
    if (start - position > MIN_GAP) filled.push({ start: position, end: start, text: "" });
    else start = position;
    filled.push({ start, end, text: interval.text });
    position = end;
  }
  if (seconds - position > MIN_GAP || position === 0) filled.push({ start: position, end: seconds, text: "" });
  return filled;
}

/** @param {number} number @param {string} name @param {number} seconds @param {Interval[]} intervals */
function tierLines(number, name, seconds, intervals) {
  const lines = [`    item [${number}]:`, '        class = "IntervalTier"', `        name = "${escaped(name)}"`];
  lines.push("        xmin = 0", `        xmax = ${time(seconds)}`, `        intervals: size = ${intervals.length}`);
  for (const [index, { start, end, text }] of intervals.entries()) {
    lines.push(`        intervals [${index + 1}]:`, `            xmin = ${time(start)}`, `            xmax = ${time(end)}`);
    lines.push(`            text = "${escaped(text)}"`);
  }
  return lines;
}

const time = (/** @type {number} */ seconds) => seconds.toFixed(6);
const escaped = (/** @type {string} */ text) => text.replaceAll('"', '""');
