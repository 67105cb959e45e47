/**
 * A lane of timed items with a single tab stop; arrow keys move between the items.
 *
 * Ten minutes contain 6,000 phonemes. Only items that are visible and wide enough to read have elements, and
 * the current item, so that the keyboard reaches each one at any zoom.
 */

import { createElement } from "./dom.js";

const MIN_FOCUSED_PIXELS = 24;
const KEY_STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

/** @template {{start: number, end: number}} Item */
export class Lane {
  /** @type {Item[]} */
  items = [];
  /** @type {Map<number, HTMLElement>} */
  #elements = new Map();
  #current = 0;
  /** @type {Item | null} */
  #marked = null;

  /**
   * @param {HTMLElement} root
   * @param {import("./axis.js").TimeAxis} axis
   * @param {{minPixels: number, render: (element: HTMLElement, item: Item) => void, onShow: (item: Item) => void,
   *   onPlay: (item: Item) => void}} handlers
   */
  constructor(root, axis, handlers) {
    this.root = root;
    this.axis = axis;
    this.handlers = handlers;
    root.addEventListener("keydown", (event) => this.#onKey(event));
    root.addEventListener("click", (event) => this.#withItem(event, (item) => handlers.onPlay(item)));
    root.addEventListener("pointerover", (event) => this.#withItem(event, (item) => handlers.onShow(item)));
    root.addEventListener("focusin", (event) =>
      this.#withItem(event, (item, index) => this.#onFocus(item, index)),
    );
  }

  /** @param {Item[]} items sorted by start */
  set(items) {
    this.items = items;
    this.#current = 0;
    this.#marked = null;
    this.#elements.clear();
    this.root.replaceChildren();
    this.draw();
  }

  /** Mark the item that is pointed at elsewhere. @param {Item} item another lane's is none of these */
  mark(item) {
    this.#marked = item;
    this.draw();
  }

  draw() {
    const visible = this.#visibleIndexes();
    for (const [index, element] of this.#elements) {
      if (visible.has(index)) continue;
      element.remove();
      this.#elements.delete(index);
    }
    for (const index of visible) this.#position(this.#elements.get(index) ?? this.#insert(index), index);
  }

  /** Render in the current language. */
  render() {
    for (const [index, element] of this.#elements) this.handlers.render(element, this.items[index]);
  }

  /** @returns {Set<number>} */
  #visibleIndexes() {
    const { visibleStart, visibleEnd, scale } = this.axis;
    const visible = new Set();
    if (this.items.length) visible.add(this.#current);
    for (let index = this.#firstAfter(visibleStart); index < this.items.length; index += 1) {
      const { start, end } = this.items[index];
      if (start > visibleEnd) break;
      if ((end - start) * scale >= this.handlers.minPixels) visible.add(index);
    }
    return visible;
  }

  /** Index of the first item that ends at or after a moment. @param {number} time */
  #firstAfter(time) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].end < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param {number} index */
  #insert(index) {
    const element = createElement("button", { type: "button", data: { index: String(index) } });
    this.handlers.render(element, this.items[index]);
    const next = [...this.#elements.keys()].filter((key) => key > index);
    this.root.insertBefore(element, this.#elements.get(Math.min(...next)) ?? null);
    this.#elements.set(index, element);
    return element;
  }

  /** @param {HTMLElement} element @param {number} index */
  #position(element, index) {
    const { start, end } = this.items[index];
    const ownWidth = this.axis.x(end - start);
    const width = index === this.#current && ownWidth < this.handlers.minPixels ? MIN_FOCUSED_PIXELS : ownWidth;
    const left = Math.max(
      0,
      Math.min(this.axis.x(start) - (width - ownWidth) / 2, this.axis.x(this.axis.seconds) - width),
    );
    element.style.left = `${left}px`;
    element.style.width = `${width}px`;
    element.tabIndex = index === this.#current ? 0 : -1;
    element.classList.toggle("widened", width !== ownWidth);
    element.classList.toggle("marked", this.items[index] === this.#marked);
  }

  /** @param {Item} item @param {number} index */
  #onFocus(item, index) {
    this.#current = index;
    this.axis.reveal(item.start, item.end);
    this.draw();
    this.handlers.onShow(item);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const step = KEY_STEPS[/** @type {keyof typeof KEY_STEPS} */ (event.key)];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(this.items.length - 1, this.#current + step));
    const element = this.#elements.get(index) ?? this.#insert(index);
    this.#position(element, index);
    element.focus({ preventScroll: true });
  }

  /** @param {Event} event @param {(item: Item, index: number) => void} callback */
  #withItem(event, callback) {
    const element = /** @type {HTMLElement} */ (event.target).closest("[data-index]");
    if (!element || !this.root.contains(element)) return;
    const index = Number(/** @type {HTMLElement} */ (element).dataset.index);
    callback(this.items[index], index);
  }
}
