/**
 * A lane of things in time, one tab stop in all: arrow keys move among them.
 *
 * Ten minutes hold 6,000 phonemes. Only those that are in view and wide enough to be read are elements,
 * and the one that Tab leads to, so that the keyboard reaches each at any zoom.
 */

import { make } from "./dom.js";

const NARROWEST_FOCUSED_PIXELS = 24;
const MOVES = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

/** @template {{start: number, end: number}} Item */
export class Lane {
  /** @type {Item[]} */
  items = [];
  /** @type {Map<number, HTMLElement>} */
  #nodes = new Map();
  #current = 0;

  /**
   * @param {HTMLElement} root
   * @param {import("./axis.js").Axis} axis
   * @param {{narrowest: number, dress: (node: HTMLElement, item: Item) => void, onShow: (item: Item) => void,
   *   onPlay: (item: Item) => void}} ways
   */
  constructor(root, axis, ways) {
    this.root = root;
    this.axis = axis;
    this.ways = ways;
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("click", (event) => this.#at(event, (item) => ways.onPlay(item)));
    root.addEventListener("pointerover", (event) => this.#at(event, (item) => ways.onShow(item)));
    root.addEventListener("focusin", (event) => this.#at(event, (item, index) => this.#focused(item, index)));
  }

  /** @param {Item[]} items by their start */
  set(items) {
    this.items = items;
    this.#current = 0;
    this.#nodes.clear();
    this.root.replaceChildren();
    this.draw();
  }

  draw() {
    const wanted = this.#wanted();
    for (const [index, node] of this.#nodes) {
      if (wanted.has(index)) continue;
      node.remove();
      this.#nodes.delete(index);
    }
    for (const index of wanted) this.#place(this.#nodes.get(index) ?? this.#insert(index), index);
  }

  /** In the language of the page. */
  dress() {
    for (const [index, node] of this.#nodes) this.ways.dress(node, this.items[index]);
  }

  /** @returns {Set<number>} */
  #wanted() {
    const { from, to, scale } = this.axis;
    const wanted = new Set();
    if (this.items.length) wanted.add(this.#current);
    for (let index = this.#firstAfter(from); index < this.items.length; index += 1) {
      const { start, end } = this.items[index];
      if (start > to) break;
      if ((end - start) * scale >= this.ways.narrowest) wanted.add(index);
    }
    return wanted;
  }

  /** The first item that ends after a moment. @param {number} moment */
  #firstAfter(moment) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].end < moment) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param {number} index */
  #insert(index) {
    const node = make("button", { type: "button", data: { index: String(index) } });
    this.ways.dress(node, this.items[index]);
    const next = [...this.#nodes.keys()].filter((one) => one > index);
    this.root.insertBefore(node, this.#nodes.get(Math.min(...next)) ?? null);
    this.#nodes.set(index, node);
    return node;
  }

  /** @param {HTMLElement} node @param {number} index */
  #place(node, index) {
    const { start, end } = this.items[index];
    const wide = this.axis.x(end - start);
    const shown = index === this.#current && wide < this.ways.narrowest ? NARROWEST_FOCUSED_PIXELS : wide;
    const left = Math.max(
      0,
      Math.min(this.axis.x(start) - (shown - wide) / 2, this.axis.x(this.axis.seconds) - shown),
    );
    node.style.left = `${left}px`;
    node.style.width = `${shown}px`;
    node.tabIndex = index === this.#current ? 0 : -1;
    node.classList.toggle("lone", shown !== wide);
  }

  /** @param {Item} item @param {number} index */
  #focused(item, index) {
    this.#current = index;
    this.axis.reveal(item.start, item.end);
    this.draw();
    this.ways.onShow(item);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = MOVES[/** @type {keyof typeof MOVES} */ (event.key)];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(this.items.length - 1, this.#current + step));
    const node = this.#nodes.get(index) ?? this.#insert(index);
    this.#place(node, index);
    node.focus({ preventScroll: true });
  }

  /** @param {Event} event @param {(item: Item, index: number) => void} work */
  #at(event, work) {
    const node = /** @type {HTMLElement} */ (event.target).closest("[data-index]");
    if (!node || !this.root.contains(node)) return;
    const index = Number(/** @type {HTMLElement} */ (node).dataset.index);
    work(this.items[index], index);
  }
}
