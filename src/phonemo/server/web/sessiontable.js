/** The table of all recordings: sorted by any column, with a filter for those in doubt. */

import { byId, createElement, oncePerFrame } from "./dom.js";
import { t } from "./language.js";
import { COLUMNS, isDoubtful, sortJobs } from "./tablerows.js";

/** @typedef {import("./types.js").Job} Job */

export class SessionTable {
  /** @type {Map<number, HTMLTableRowElement>} rows of job ids; a changed job has none */
  #rows = new Map();
  #sortedBy = "";
  #descending = false;
  #currentId = 0;
  #mustReveal = false;
  #render = oncePerFrame(() => this.#draw());

  /** @param {() => Job[]} jobs @param {(job: Job) => void} onChoose */
  constructor(jobs, onChoose) {
    this.jobs = jobs;
    this.onChoose = onChoose;
    byId("table-button").addEventListener("click", () => this.#toggle());
    byId("table-unsure").addEventListener("change", this.#render);
    byId("table-head").append(...COLUMNS.map(({ id }) => this.#headCell(id)));
  }

  /** @param {Job} job new or changed */
  update(job) {
    this.#rows.delete(job.id);
    this.#render();
  }

  /** @param {number} id the job whose result is shown or pending */
  setCurrent(id) {
    this.#rows.delete(this.#currentId);
    this.#rows.delete(id);
    this.#currentId = id;
    this.#mustReveal = true;
    this.#render();
  }

  /** Render in the current language, or without the jobs that are gone. */
  render() {
    this.#rows.clear();
    this.#render();
  }

  #toggle() {
    const shown = byId("table-panel").hidden;
    byId("table-panel").hidden = !shown;
    byId("file-list").hidden = shown;
    byId("table-button").setAttribute("aria-pressed", String(shown));
    this.#mustReveal = true;
    this.#render();
  }

  /** @param {string} id of a column */
  #headCell(id) {
    const button = createElement("button", { type: "button", className: "table-sort", data: { testid: `sort-${id}` } });
    button.addEventListener("click", () => this.#sortBy(id));
    return createElement("th", { scope: "col", data: { column: id } }, button);
  }

  /** The same column again reverses the order. @param {string} id */
  #sortBy(id) {
    this.#descending = this.#sortedBy === id && !this.#descending;
    this.#sortedBy = id;
    this.#render();
  }

  #draw() {
    if (byId("table-panel").hidden) return;
    this.#drawHead();
    const all = this.jobs();
    const filtered = byId("table-unsure").checked ? all.filter(isDoubtful) : all;
    const column = COLUMNS.find(({ id }) => id === this.#sortedBy);
    const sorted = column ? sortJobs(filtered, column.value, this.#descending) : filtered;
    replaceRows(byId("table-body"), sorted.map((job) => this.#rowOf(job)));
    if (this.#mustReveal) reveal(this.#rows.get(this.#currentId));
    this.#mustReveal = false;
    byId("table-count").textContent = t("table.count", { count: filtered.length, all: all.length });
  }

  #drawHead() {
    for (const cell of byId("table-head").children) {
      const { column } = cell.dataset;
      cell.firstElementChild.textContent = t(`table.${column}`);
      if (column !== this.#sortedBy) cell.removeAttribute("aria-sort");
      else cell.setAttribute("aria-sort", this.#descending ? "descending" : "ascending");
    }
  }

  /** @param {Job} job */
  #rowOf(job) {
    const row = this.#rows.get(job.id) ?? this.#createRow(job);
    this.#rows.set(job.id, row);
    return row;
  }

  /** @param {Job} job */
  #createRow(job) {
    const [name, ...others] = COLUMNS;
    const button = createElement("button", { type: "button", className: "table-name", textContent: name.text(job) });
    button.setAttribute("aria-current", String(job.id === this.#currentId));
    button.addEventListener("click", () => this.onChoose(job));
    const cells = others.map(({ id, text }) => createElement("td", { data: { column: id }, textContent: text(job) }));
    const data = { testid: "table-row", job: String(job.id), state: job.state };
    const emotion = job.prediction && !isDoubtful(job) ? job.prediction.label : "";
    const head = createElement("th", { scope: "row", data: { column: "name" } }, button);
    return /** @type {HTMLTableRowElement} */ (createElement("tr", { data: { ...data, emotion } }, head, ...cells));
  }
}

/** Scroll the table, not the page, to a row. @param {HTMLElement | undefined} row */
function reveal(row) {
  if (!row?.isConnected) return;
  const box = byId("table-scroller");
  const top = row.offsetTop - byId("table-head").offsetHeight;
  const bottom = row.offsetTop + row.offsetHeight;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
}

/** Keep the focus in a row that is drawn anew. @param {HTMLElement} body @param {HTMLTableRowElement[]} rows */
function replaceRows(body, rows) {
  const focused = body.contains(document.activeElement) ? document.activeElement?.closest("tr")?.dataset.job : undefined;
  body.replaceChildren(...rows);
  if (focused === undefined) return;
  rows.find((row) => row.dataset.job === focused)?.querySelector("button")?.focus({ preventScroll: true });
}
