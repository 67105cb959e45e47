/** CSV for spreadsheets: quoted, with formulas disarmed. */

// Excel reads UTF-8 only with this mark.
const BYTE_ORDER_MARK = "\ufeff";
// A spreadsheet runs a cell that begins so, and a file name may; the wide forms count in some locales.
const FORMULA = /^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/;
const SPECIAL = /[",;\r\n]|^\s|\s$/;

/** @typedef {string | number | boolean | null | undefined} Cell */

/** @param {Cell[][]} rows the first one has the names of the columns */
export const csvText = (rows) => BYTE_ORDER_MARK + rows.map((row) => `${row.map(csvCell).join(",")}\r\n`).join("");

/** Numbers are written as they are, texts so that they remain texts. @param {Cell} value */
export function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return SPECIAL.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
