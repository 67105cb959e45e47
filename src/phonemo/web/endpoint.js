/** Addresses relative to the page, which may lie below a path. */

/** @param {string} path */
export const endpoint = (path) => new URL(path, document.baseURI);
