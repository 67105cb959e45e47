/** Progress of the current recording, with a cancel button. */

import { byId } from "./dom.js";
import { formatPercent } from "./format.js";
import { t } from "./language.js";
import { announce } from "./messages.js";
import { isOpen } from "./queue.js";

/** @typedef {import("./types.js").Job} Job */

let announced = "";

/** @param {Job[]} jobs @param {Job | null} selected the job whose result will be shown */
export function renderProgress(jobs, selected) {
  const open = jobs.filter(isOpen);
  const hadFocus = byId("progress").contains(document.activeElement);
  byId("progress").hidden = !open.length;
  if (!open.length) {
    announced = "";
    if (hadFocus) byId("main").focus({ preventScroll: true });
    return;
  }
  const job = selected && isOpen(selected) ? selected : open[0];
  const text = jobText(job);
  const more = open.length - 1;
  byId("progress-text").textContent = more ? t("progress.more", { text, count: more }) : text;
  renderBar(job);
  announceState(job);
}

/** @param {Job} job */
function renderBar(job) {
  const bar = byId("progress-bar");
  if (job.state === "uploading") bar.value = job.progress;
  else bar.removeAttribute("value");
  bar.setAttribute("aria-label", jobText(job));
}

/** Announce each state once: a screen reader should not read every percentage. @param {Job} job */
function announceState(job) {
  const state = `${job.id} ${job.state}`;
  if (state === announced) return;
  announced = state;
  announce(jobText(job));
}

/** @param {Job} job */
function jobText(job) {
  const values = { name: job.name, percent: formatPercent(job.progress), seconds: job.wait };
  return t(`progress.${job.state}`, values);
}
