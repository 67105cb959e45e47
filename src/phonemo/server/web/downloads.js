/** An answer as a file. */

import { hear } from "./api.js";
import { byId, make } from "./dom.js";
import { stem } from "./format.js";
import { t } from "./language.js";
import { alarm, tell } from "./messages.js";

const REVOKE_MS = 60_000;
const TYPES = { json: "application/json", csv: "text/csv", TextGrid: "text/plain" };

/** @typedef {import("./types.js").Job} Job */

/** @param {() => Job | null} shown */
export function startDownloads(shown) {
  const wire = (
    /** @type {string} */ id,
    /** @type {keyof typeof TYPES} */ ending,
    /** @type {(job: Job) => Promise<string>} */ text,
  ) => byId(id).addEventListener("click", () => download(byId(id), shown(), ending, text));
  wire("download-json", "json", async (job) => `${JSON.stringify(job.answer, null, 2)}\n`);
  wire("download-csv", "csv", (job) => asked(job, "csv"));
  wire("download-textgrid", "TextGrid", (job) => asked(job, "textgrid"));
}

/** @param {Job} job @param {"csv" | "textgrid"} format */
async function asked(job, format) {
  tell(t("download.asking"));
  return (await hear(job.blob, job.name, format, {}, job.profile)).text;
}

/**
 * @param {HTMLButtonElement} button
 * @param {Job | null} job
 * @param {keyof typeof TYPES} ending
 * @param {(job: Job) => Promise<string>} text
 */
async function download(button, job, ending, text) {
  if (!job || button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  button.setAttribute("aria-busy", "true");
  try {
    const name = `${stem(job.name)}.${ending}`;
    save(new Blob([await text(job)], { type: TYPES[ending] }), name);
    tell(t("download.done", { name }));
  } catch (problem) {
    alarm(problem, job.name);
  } finally {
    button.removeAttribute("aria-disabled");
    button.removeAttribute("aria-busy");
  }
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_MS);
}
