/** What can go wrong, in words of the page's language. */

import { hasPhrase, t } from "./language.js";

/** A fault with a phrase of the dictionary; translated when it is shown, not when it happened. */
export class Problem extends Error {
  /** @param {string} key @param {Record<string, string | number>} [values] */
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/** An answer of the server that is none. */
export class ServerProblem extends Error {
  /** @param {number} status @param {{message?: string, code?: string}} told @param {number} wait seconds */
  constructor(status, told, wait) {
    super(told.message ?? "");
    this.status = status;
    this.code = told.code ?? "";
    this.wait = wait;
  }
}

/** @param {unknown} problem @returns {string} */
export function explain(problem) {
  if (problem instanceof Problem) return t(problem.key, problem.values);
  if (problem instanceof ServerProblem) return explainServer(problem);
  return problem instanceof Error ? problem.message : String(problem);
}

/** @param {ServerProblem} problem */
function explainServer(problem) {
  if (problem.status === 401) return t("error.key");
  if (problem.status === 429) return t("error.busy");
  if (hasPhrase(`error.${problem.code}`)) return t(`error.${problem.code}`);
  const { status, message } = problem;
  return message ? t("error.http", { status, message }) : t("error.status", { status });
}
