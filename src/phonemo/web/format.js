/** Localized numbers, times and sizes, and safe file names. */

import { language, t } from "./language.js";

/** @param {number} value @param {number} digits */
export function formatNumber(value, digits) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language(), options).format(Number.isFinite(value) ? value : 0);
}

/** @param {number} share 0 to 1 */
export const formatPercent = (share) => t("percent", { number: formatNumber(100 * share, 0) });

/** Format seconds as 1:02.3. @param {number} seconds @param {number} [digits] */
export function formatClock(seconds, digits = 1) {
  const scale = 10 ** digits;
  const ticks = Math.max(0, Math.floor((Number.isFinite(seconds) ? seconds : 0) * scale + 1e-6));
  const minutes = Math.floor(ticks / (60 * scale));
  const rest = ((ticks - minutes * 60 * scale) / scale).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** Format a length such as 10 min or 4 min 54 s. @param {number} seconds */
export function formatLength(seconds) {
  const total = Math.floor(seconds);
  const minutes = Math.floor(total / 60);
  const parts = [
    minutes && formatUnit(minutes, "minute"),
    (total % 60 || !minutes) && formatUnit(total % 60, "second"),
  ];
  return parts.filter(Boolean).join(" ");
}

/** @param {number} value @param {"minute" | "second"} unit */
function formatUnit(value, unit) {
  return new Intl.NumberFormat(language(), { style: "unit", unit, unitDisplay: "short" }).format(value);
}

/** Format a processing time as 84 ms or 18.2 s. @param {number} seconds */
export function formatWorkTime(seconds) {
  return seconds < 9.9995 ? `${formatNumber(1000 * seconds, 0)} ms` : `${formatNumber(seconds, 1)} s`;
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  const unit = bytes >= 1 << 20 ? "megabyte" : "kilobyte";
  const value = bytes / (unit === "megabyte" ? 1 << 20 : 1 << 10);
  const maximumFractionDigits = value < 10 ? 1 : 0;
  return new Intl.NumberFormat(language(), { style: "unit", unit, maximumFractionDigits }).format(value);
}

/** Format a share as points out of 100, with one or two digits. @param {number} share -1 to 1 */
export function formatPoints(share) {
  const size = Math.abs(100 * share);
  return formatNumber(size, size >= 0.995 ? 1 : 2);
}

/** As +3.5 or −0.04. @param {number} share -1 to 1 */
export function formatSignedPoints(share) {
  const text = formatPoints(share);
  return /[1-9]/.test(text) ? `${share < 0 ? "−" : "+"}${text}` : text;
}

/** Remove control, zero-width and bidirectional characters from a file name. @param {string} name */
export function sanitizeName(name) {
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "");
}

/** Return the stem of a file name, safe to save on any operating system. @param {string} name */
export function fileStem(name) {
  const cleaned = sanitizeName(name)
    .replace(/\.[^.]{1,8}$/, "")
    .replace(/[<>:"/\\|?*]/g, "_");
  const short = [...cleaned].slice(0, 100).join("");
  return short.replace(/^[.\s]+|[.\s]+$/g, "") || "recording";
}
