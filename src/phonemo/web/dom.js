/** DOM helpers; elements are built without markup strings, so every text is a text node. */

/** @param {string} id @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, any>} [settings] properties, with `data`, `aria` and `style` (custom properties) as records
 * @param {...(Node | string)} children
 */
export function createElement(tag, settings = {}, ...children) {
  const { data = {}, aria = {}, style = {}, ...properties } = settings;
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
  element.append(...children);
  return element;
}

/** Wraps a function so that it runs at most once per frame. @param {() => void} work @returns {() => void} */
export function oncePerFrame(work) {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      work();
    });
  };
}

/** @returns {boolean} */
export const prefersReducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
