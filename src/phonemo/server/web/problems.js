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

/** An error response of the server. */
export class ApiError extends Error {
  /** @param {number} status @param {{message?: string, code?: string}} details @param {number} wait seconds */
  constructor(status, details, wait) {
    super(details.message ?? "");
    this.status = status;
    this.code = details.code ?? "";
    this.wait = wait;
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
  if (hasTranslation(`error.${error.code}`)) return t(`error.${error.code}`);
  const { status, message } = error;
  return message ? t("error.http", { status, message }) : t("error.status", { status });
}
