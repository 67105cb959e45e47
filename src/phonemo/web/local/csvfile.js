/** The table of a recording, a row for each segment, as the command and the server write it. */

import { segmentsOf } from "./segments.js";

const FORMULA = /^[=+\-@\t\r]/;
const SPECIAL = /[",\r\n]/;

/** @typedef {import("../types.js").Job} Job */
/** @typedef {import("../types.js").Prediction} Prediction */

/** @param {Job} job @returns {string} */
export function csvOf({ name, prediction }) {
  const whole = /** @type {Prediction} */ (prediction);
  const labels = Object.keys(whole.scores);
  const more = { channel: Boolean(whole.channels || whole.channel), profile: Boolean(whole.profile) };
  const last = Object.entries(more).flatMap(([column, has]) => (has ? [column] : []));
  const head = ["file", "start", "end", "speaker", "label", "unsure", ...labels, "phonemes", "warnings", "error", ...last];
  const parts = whole.channels?.length ? whole.channels : [whole];
  return [head, ...parts.flatMap((part) => rowsOf(name, part, labels, more))].map(lineOf).join("");
}

/** @param {string} name @param {Prediction} part @param {string[]} labels @param {{channel: boolean, profile: boolean}} more */
function rowsOf(name, part, labels, more) {
  const warnings = part.warnings.join(" ");
  const mark = part.profile?.hash ?? "";
  const last = [...(more.channel ? [String(part.channel ?? "")] : []), ...(more.profile ? [mark] : [])];
  const segments = segmentsOf(part);
  if (!segments.length) {
    const phonemes = (part.phonemes ?? []).join(" ");
    return [[name, "", "", "", "", "true", ...labels.map(() => ""), phonemes, warnings, "", ...last]];
  }
  return segments.map((segment) => {
    const scores = labels.map((label) => (label in segment.scores ? segment.scores[label].toFixed(6) : ""));
    const times = [segment.start.toFixed(3), segment.end.toFixed(3), segment.speaker ?? ""];
    const known = segment.label === "no_speech" ? "" : segment.label;
    const doubtful = String(Boolean(segment.unsure) || !known);
    return [name, ...times, known, doubtful, ...scores, phonemesWithin(segment, part), warnings, "", ...last];
  });
}

/** Those whose middle lies in a segment. @param {import("../types.js").Segment} segment @param {Prediction} part */
function phonemesWithin({ start, end }, { spans }) {
  const inside = (spans ?? []).filter((span) => {
    const middle = (span.start + span.end) / 2;
    return start <= middle && middle < end;
  });
  return inside.map(({ symbol }) => symbol).join(" ");
}

/** @param {string[]} cells */
function lineOf([name, ...others]) {
  const safe = [plain(name, "./"), ...others.map((cell) => plain(cell, "'"))];
  return `${safe.map((cell) => (SPECIAL.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")}\n`;
}

/** No cell is a formula of a spreadsheet. @param {string} cell @param {string} prefix */
const plain = (cell, prefix) => (cell.length > 1 && FORMULA.test(cell) ? prefix + cell : cell);
