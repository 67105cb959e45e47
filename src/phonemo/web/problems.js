/** Errors and their localized messages. */

import { formatBytes, formatLength } from "./format.js";
import { hasTranslation, t } from "./language.js";
import { limits } from "./limits.js";

/** An error with a translated message; it is translated when shown, so that switching languages works. */
export class LocalizedError extends Error {
  /** @param {string} key @param {Record<string, string | number>} [values] */
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

// The server was busy, starting or slow, the key was missing, or it had a fault: another try can succeed.
const TEMPORARY_STATUSES = new Set([401, 408, 425, 429, 500, 502, 503, 504]);
const TEMPORARY_KEYS = new Set(["error.offline", "error.answer", "error.aborted", "place.unreachable", "place.worker"]);

/** An error response of the server. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{message?: string, code?: string}} details
   * @param {number} wait seconds
   * @param {string} [requestId] of the server's log
   */
  constructor(status, details, wait, requestId = "") {
    super(details.message ?? "");
    this.status = status;
    this.code = details.code ?? "";
    this.wait = wait;
    this.requestId = requestId;
  }
}

/** Whether another try can succeed: not for a file that cannot be read, or that is too long. @param {unknown} error */
export function canRetry(error) {
  if (error instanceof ApiError) return TEMPORARY_STATUSES.has(error.status);
  return error instanceof LocalizedError ? TEMPORARY_KEYS.has(error.key) : true;
}

/**
 * What happened in the page's language, and the server's own message if there is one.
 * @param {unknown} error
 * @returns {{text: string, detail: string}}
 */
export function errorParts(error) {
  if (error instanceof LocalizedError) return { text: t(error.key, { ...limitValues(), ...error.values }), detail: "" };
  if (error instanceof ApiError) return { text: apiErrorText(error), detail: error.status === 401 ? "" : error.message };
  return { text: error instanceof Error ? error.message : String(error), detail: "" };
}

/** Both parts as one text. @param {unknown} error @returns {string} */
export function errorMessage(error) {
  const { text, detail } = errorParts(error);
  return detail ? t("error.detail", { text, message: detail }) : text;
}

/** @param {ApiError} error */
function apiErrorText({ status, code }) {
  if (status === 401) return t("error.key");
  if (hasTranslation(`error.${code}`)) return t(`error.${code}`, limitValues());
  return status === 429 ? t("error.busy") : t("error.status", { status });
}

function limitValues() {
  const { audio_seconds: seconds, body_bytes: size } = limits();
  return { time: formatLength(seconds), limit: formatBytes(size) };
}
