/** What is under way, and the button that ends it. */

import { byId } from "./dom.js";
import { percent } from "./format.js";
import { t } from "./language.js";
import { tell } from "./messages.js";
import { isOpen } from "./queue.js";

/** @typedef {import("./types.js").Job} Job */

let told = "";

/** @param {Job[]} jobs @param {Job | null} wanted the one whose answer will be shown */
export function showProgress(jobs, wanted) {
  const open = jobs.filter(isOpen);
  const held = byId("now").contains(document.activeElement);
  byId("now").hidden = !open.length;
  if (!open.length) {
    told = "";
    if (held) byId("main").focus({ preventScroll: true });
    return;
  }
  const job = wanted && isOpen(wanted) ? wanted : open[0];
  const words = jobWords(job);
  byId("now-words").textContent = open.length > 1 ? t("now.more", { words, count: open.length - 1 }) : words;
  showBar(job);
  announce(job);
}

/** @param {Job} job */
function showBar(job) {
  const bar = byId("now-bar");
  if (job.state === "uploading") bar.value = job.progress;
  else bar.removeAttribute("value");
  bar.setAttribute("aria-label", jobWords(job));
}

/** Once for each state: a percentage that is read out at every step would be noise. @param {Job} job */
function announce(job) {
  const state = `${job.id} ${job.state}`;
  if (state === told) return;
  told = state;
  tell(jobWords(job));
}

/** @param {Job} job */
function jobWords(job) {
  return t(`now.${job.state}`, { name: job.name, percent: percent(job.progress), seconds: job.wait });
}
