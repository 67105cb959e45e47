/** The table of all recordings: sorted by any column, with a filter for those in doubt. */

import { byId, createElement, oncePerFrame } from "./dom.js";
import { t } from "./language.js";
import { COLUMNS, isDoubtful, sortJobs } from "./tablerows.js";
import { verdictEmotion } from "./verdict.js";

// While many recordings are in progress, their states are drawn so often.
const UPDATE_MS = 200;

/** @typedef {import("./types.js").Job} Job */

export class SessionTable {
  /** @type {Map<number, HTMLTableRowElement>} rows of job ids */
  #rows = new Map();
  /** @type {Set<number>} ids of jobs whose rows are out of date */
  #changed = new Set();
  #sortedBy = "";
  #descending = false;
  #currentId = 0;
  #mustReveal = false;
  #waiting = false;
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
    this.#changed.add(job.id);
    if (this.#waiting) return;
    this.#waiting = true;
    setTimeout(() => {
      this.#waiting = false;
      this.#render();
    }, UPDATE_MS);
  }

  /** @param {number} id the job whose result is shown or pending */
  setCurrent(id) {
    this.#changed.add(this.#currentId).add(id);
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
    byId("table").classList.toggle("with-problems", all.some(({ error }) => error));
    const filtered = byId("table-unsure").checked ? all.filter(isDoubtful) : all;
    const column = COLUMNS.find(({ id }) => id === this.#sortedBy);
    const sorted = column ? sortJobs(filtered, column.value, this.#descending) : filtered;
    replaceRows(byId("table-body"), sorted.map((job) => this.#rowOf(job)));
    if (this.#mustReveal) reveal(this.#rows.get(this.#currentId));
    this.#mustReveal = false;
    setText(byId("table-count"), t("table.count", { count: filtered.length, all: all.length }));
  }

  #drawHead() {
    for (const cell of byId("table-head").children) {
      const { column } = cell.dataset;
      setText(cell.firstElementChild, t(`table.${column}`));
      if (column !== this.#sortedBy) cell.removeAttribute("aria-sort");
      else cell.setAttribute("aria-sort", this.#descending ? "descending" : "ascending");
    }
  }

  /** @param {Job} job */
  #rowOf(job) {
    const known = this.#rows.get(job.id);
    const row = known ?? this.#createRow(job);
    this.#rows.set(job.id, row);
    if (!known || this.#changed.delete(job.id)) fillRow(row, job, job.id === this.#currentId);
    return row;
  }

  /** @param {Job} job */
  #createRow(job) {
    const [name, ...others] = COLUMNS;
    const button = createElement("button", { type: "button", className: "table-name" });
    button.addEventListener("click", () => this.onChoose(job));
    const head = createElement("th", { scope: "row", data: { column: name.id } }, button);
    const cells = others.map(({ id }) => createElement("td", { data: { column: id } }));
    const data = { testid: "table-row", job: String(job.id) };
    return /** @type {HTMLTableRowElement} */ (createElement("tr", { data }, head, ...cells));
  }
}

/** The same text again would have the browser lay the table out anew. @param {Element} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {HTMLTableRowElement} row @param {Job} job @param {boolean} current */
function fillRow(row, job, current) {
  row.dataset.state = job.state;
  row.dataset.emotion = job.prediction ? verdictEmotion(job.prediction, job.origin === "sample") : "";
  for (const [index, { text }] of COLUMNS.entries()) {
    const cell = index ? row.cells[index] : row.cells[0].children[0];
    setText(cell, text(job));
  }
  row.cells[0].children[0].setAttribute("aria-current", String(current));
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

/** Rows in a new order are moved; the focus stays in its row. @param {HTMLElement} body @param {HTMLTableRowElement[]} rows */
function replaceRows(body, rows) {
  if (body.children.length === rows.length && rows.every((row, index) => body.children[index] === row)) return;
  const focused = document.activeElement;
  body.replaceChildren(...rows);
  if (focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true });
}
