/** The recordings of this visit, each with its state; a click shows one. */

import { byId, make } from "./dom.js";
import { percent } from "./format.js";
import { emotionName, t } from "./language.js";

/** @typedef {import("./types.js").Job} Job */

export class FileList {
  /** @type {Map<number, {job: Job, row: HTMLElement}>} */
  #rows = new Map();
  #shown = 0;

  /** @param {(job: Job) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
  }

  /** @param {Job} job new or changed */
  update(job) {
    if (!this.#rows.has(job.id)) this.#add(job);
    this.#fill(job);
    byId("files").hidden = false;
  }

  /** @param {number} id the job whose result is shown or awaited */
  mark(id) {
    this.#shown = id;
    for (const { job } of this.#rows.values()) this.#fill(job);
  }

  clear() {
    this.#rows.clear();
    byId("file-list").replaceChildren();
    byId("files").hidden = true;
  }

  render() {
    for (const { job } of this.#rows.values()) this.#fill(job);
  }

  /** @param {Job} job */
  #add(job) {
    const button = make("button", { type: "button", className: "file-button" });
    button.append(
      make("span", { className: "file-dot" }),
      make("span", { className: "file-name" }),
      make("span", { className: "file-state" }),
    );
    button.addEventListener("click", () => this.onChoose(job));
    const row = make("li", { className: "file-row", data: { testid: "file-row" } }, button);
    this.#rows.set(job.id, { job, row });
    byId("file-list").append(row);
  }

  /** @param {Job} job */
  #fill(job) {
    const row = this.#rows.get(job.id)?.row;
    if (!row) return;
    const [button] = row.children;
    const [, name, state] = button.children;
    row.dataset.state = job.state;
    row.dataset.emotion = silent(job) ? "" : (job.answer?.label ?? "");
    button.setAttribute("aria-current", String(job.id === this.#shown));
    name.textContent = job.name;
    state.textContent = stateWords(job);
  }
}

/** @param {Job} job */
const silent = (job) => job.answer?.warnings.includes("no_speech") ?? false;

/** @param {Job} job */
function stateWords(job) {
  if (job.state === "uploading") return t("state.uploading", { percent: percent(job.progress) });
  if (job.state === "retrying") return t("state.retrying", { seconds: job.wait });
  if (job.state !== "done" || !job.answer) return t(`state.${job.state}`);
  if (silent(job)) return t("nothing");
  const { label, scores } = job.answer;
  return t("state.done", { label: emotionName(label), percent: percent(scores[label] ?? 0) });
}
