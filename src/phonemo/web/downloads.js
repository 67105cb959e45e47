/** Downloads of a prediction. */

import { backend } from "./backend.js";
import { byId, createElement } from "./dom.js";
import { fileStem } from "./format.js";
import { t } from "./language.js";
import { announce, showError } from "./messages.js";

const REVOKE_MS = 60_000;
const TYPES = { json: "application/json", csv: "text/csv", TextGrid: "text/plain" };

/** @typedef {import("./types.js").Job} Job */

/** @param {() => Job | null} currentJob */
export function initDownloads(currentJob) {
  const connect = (
    /** @type {string} */ id,
    /** @type {keyof typeof TYPES} */ extension,
    /** @type {(job: Job) => Promise<string>} */ text,
  ) => byId(id).addEventListener("click", () => download(byId(id), currentJob(), extension, text));
  connect("download-json", "json", async (job) => `${JSON.stringify(job.prediction, null, 2)}\n`);
  connect("download-csv", "csv", (job) => fileText(job, "csv"));
  connect("download-textgrid", "TextGrid", (job) => fileText(job, "textgrid"));
}

/** @param {Job} job @param {"csv" | "textgrid"} format */
function fileText(job, format) {
  announce(t("download.requesting"));
  return backend.fileText(job, format);
}

/**
 * @param {HTMLButtonElement} button
 * @param {Job | null} job
 * @param {keyof typeof TYPES} extension
 * @param {(job: Job) => Promise<string>} text
 */
async function download(button, job, extension, text) {
  if (!job || button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  button.setAttribute("aria-busy", "true");
  try {
    const name = `${fileStem(job.name)}.${extension}`;
    saveBlob(new Blob([await text(job)], { type: TYPES[extension] }), name);
    announce(t("download.done", { name }));
  } catch (error) {
    showError(error, job.name);
  } finally {
    button.removeAttribute("aria-disabled");
    button.removeAttribute("aria-busy");
  }
}

/** @param {Blob} blob @param {string} name */
export function saveBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  createElement("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), REVOKE_MS);
}
