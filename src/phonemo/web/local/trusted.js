/** The two scripts that the page starts; its content security policy allows no other. */

import { endpoint } from "../endpoint.js";

/** @param {string} url */
function checked(url) {
  const own = url.startsWith(`blob:${location.origin}/`) || url === endpoint("sw.js").href;
  if (!own) throw new TypeError(`expected the site's own script, got ${url}`);
  return url;
}

const factory = /** @type {any} */ (globalThis).trustedTypes;
const policy = factory ? factory.createPolicy("phonemo", { createScriptURL: checked }) : { createScriptURL: checked };

/** @param {string} url @returns {string} */
export const scriptUrl = (url) => policy.createScriptURL(url);
