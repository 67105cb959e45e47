/** Numbers as people read them. */

import { language, t } from "./language.js";

/** @param {number} value @param {number} digits */
export function decimal(value, digits) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language(), options).format(Number.isFinite(value) ? value : 0);
}

/** @param {number} share 0 to 1 */
export const percent = (share) => t("percent", { number: decimal(100 * share, 0) });

/** Seconds as 1:02.3. @param {number} seconds @param {number} [digits] */
export function clock(seconds, digits = 1) {
  const scale = 10 ** digits;
  const ticks = Math.max(0, Math.floor((Number.isFinite(seconds) ? seconds : 0) * scale + 1e-6));
  const minutes = Math.floor(ticks / (60 * scale));
  const rest = ((ticks - minutes * 60 * scale) / scale).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** A length such as 10 min or 4 min 54 s. @param {number} seconds */
export function span(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const parts = [
    minutes && measured(minutes, "minute"),
    (whole % 60 || !minutes) && measured(whole % 60, "second"),
  ];
  return parts.filter(Boolean).join(" ");
}

/** @param {number} value @param {"minute" | "second"} unit */
function measured(value, unit) {
  return new Intl.NumberFormat(language(), { style: "unit", unit, unitDisplay: "short" }).format(value);
}

/** Seconds of work as 84 ms or 18.2 s. @param {number} seconds */
export function duration(seconds) {
  return seconds < 9.9995 ? `${decimal(1000 * seconds, 0)} ms` : `${decimal(seconds, 1)} s`;
}

/** @param {number} bytes */
export function bytes(bytes) {
  const unit = bytes >= 1 << 20 ? "megabyte" : "kilobyte";
  const value = bytes / (unit === "megabyte" ? 1 << 20 : 1 << 10);
  const maximumFractionDigits = value < 10 ? 1 : 0;
  return new Intl.NumberFormat(language(), { style: "unit", unit, maximumFractionDigits }).format(value);
}

/** Points of 100 with as many digits as they deserve. @param {number} share -1 to 1 */
export function points(share) {
  const size = Math.abs(100 * share);
  return decimal(size, size >= 0.995 ? 1 : 2);
}

/** A file name without characters that hide or turn others. @param {string} name */
export function plain(name) {
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "");
}

/** A file name's stem that is safe to save under on any system. @param {string} name */
export function stem(name) {
  const bare = plain(name)
    .replace(/\.[^.]{1,8}$/, "")
    .replace(/[<>:"/\\|?*]/g, "_");
  const short = [...bare].slice(0, 100).join("");
  return short.replace(/^[.\s]+|[.\s]+$/g, "") || "recording";
}
