/** Elements without markup strings: every text is a text node. */

/** @param {string} id @returns {any} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}

/**
 * @param {string} tag
 * @param {Record<string, any>} [settings] properties, `data` and `aria` as records, `style` as custom properties
 * @param {...(Node | string)} children
 */
export function make(tag, settings = {}, ...children) {
  const { data = {}, aria = {}, style = {}, ...properties } = settings;
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, data);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  for (const [name, value] of Object.entries(style)) made.style.setProperty(name, value);
  made.append(...children);
  return made;
}

/** Calls at most once a frame. @param {() => void} work @returns {() => void} */
export function eachFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

/** @returns {boolean} */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
