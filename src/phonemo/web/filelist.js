/** The list of recordings with their states; a click shows one. */

import { byId, createElement, oncePerFrame } from "./dom.js";
import { formatPercent } from "./format.js";
import { t } from "./language.js";
import { canRetry } from "./problems.js";
import { verdictEmotion, verdictSentence } from "./verdict.js";

/** @typedef {import("./types.js").Job} Job */

export class FileList {
  /** @type {Map<number, {job: Job, row: HTMLElement}>} */
  #rows = new Map();
  #currentId = 0;

  /** @param {(job: Job) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
  }

  /** @param {Job} job new or changed */
  update(job) {
    if (!this.#rows.has(job.id)) this.#add(job);
    this.#renderRow(job);
    byId("files").hidden = false;
  }

  /** @param {number} id the job whose result is shown or pending */
  setCurrent(id) {
    this.#currentId = id;
    for (const { job } of this.#rows.values()) this.#renderRow(job);
    this.#reveal();
  }

  /** Scroll the list, not the page, to the newest row, and to the current one above all. */
  #reveal = oncePerFrame(() => {
    const newest = [...this.#rows.values()].at(-1)?.row;
    for (const row of [newest, this.#rows.get(this.#currentId)?.row]) if (row) scrollTo(byId("file-list"), row);
  });

  clear() {
    this.#rows.clear();
    byId("file-list").replaceChildren();
    byId("files").hidden = true;
  }

  render() {
    for (const { job } of this.#rows.values()) this.#renderRow(job);
  }

  /** @param {Job} job */
  #add(job) {
    const button = createElement("button", { type: "button", className: "file-button" });
    button.append(
      createElement("span", { className: "file-dot" }),
      createElement("span", { className: "file-name" }),
      createElement("span", { className: "file-state" }),
    );
    button.addEventListener("click", () => this.onChoose(job));
    const row = createElement("li", { className: "file-row", data: { testid: "file-row" } }, button);
    this.#rows.set(job.id, { job, row });
    byId("file-list").append(row);
  }

  /** @param {Job} job */
  #renderRow(job) {
    const row = this.#rows.get(job.id)?.row;
    if (!row) return;
    const [button] = row.children;
    const [, name, state] = button.children;
    row.dataset.state = job.state;
    row.dataset.emotion = job.prediction ? verdictEmotion(job.prediction, isSynthetic(job)) : "";
    button.setAttribute("aria-current", String(job.id === this.#currentId));
    name.textContent = job.name;
    state.textContent = stateText(job);
  }
}

/** Whether a machine made the voice. @param {Job} job */
const isSynthetic = ({ origin }) => origin === "sample";

/** @param {HTMLElement} list @param {HTMLElement} row */
function scrollTo(list, row) {
  const [top, bottom] = [row.offsetTop, row.offsetTop + row.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}

/** Whether another try would fail too. @param {Job} job */
export const isHopeless = ({ state, error }) => state === "rejected" || (state === "failed" && !canRetry(error));

/** @param {Job} job */
function stateText(job) {
  if (job.state === "uploading") return t("state.uploading", { percent: formatPercent(job.progress) });
  if (job.state === "retrying") return t("state.retrying", { seconds: job.wait });
  if (job.state === "failed" && isHopeless(job)) return t("state.refused");
  if (job.state !== "done" || !job.prediction) return t(`state.${job.state}`);
  return verdictSentence(job.prediction, isSynthetic(job));
}
