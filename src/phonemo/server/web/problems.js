/** Errors and their localized messages. */

import { hasTranslation, t } from "./language.js";

/** An error with a translated message; it is translated when shown, so that switching languages works. */
export class LocalizedError extends Error {
  /** @param {string} key @param {Record<string, string | number>} [values] */
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

// Of these, the server's message says more than the translation of its code.
const DETAILED_STATUSES = new Set([413, 415, 422]);
const FINAL_STATUSES = new Set([400, 413, 415, 422]);

/** An error response of the server. */
export class ApiError extends Error {
  /** @param {number} status @param {{message?: string, code?: string}} details @param {number} wait seconds */
  constructor(status, details, wait) {
    super(details.message ?? "");
    this.status = status;
    this.code = details.code ?? "";
    this.wait = wait;
  }

  /** Whether the same request will be refused again. */
  get isFinal() {
    return FINAL_STATUSES.has(this.status);
  }
}

/** @param {unknown} error @returns {string} */
export function errorMessage(error) {
  if (error instanceof LocalizedError) return t(error.key, error.values);
  if (error instanceof ApiError) return apiErrorMessage(error);
  return error instanceof Error ? error.message : String(error);
}

/** @param {ApiError} error */
function apiErrorMessage(error) {
  if (error.status === 401) return t("error.key");
  if (error.status === 429) return t("error.busy");
  const { status, message, code } = error;
  if (hasTranslation(`error.${code}`)) {
    const text = t(`error.${code}`);
    return DETAILED_STATUSES.has(status) && message ? t("error.detail", { text, message }) : text;
  }
  return message ? t("error.http", { status, message }) : t("error.status", { status });
}
