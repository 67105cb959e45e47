/** Texts that differ by where recordings are recognized: none on a server. The site of `phonemo site` has those of local/ here. */

/** @type {Record<string, Record<string, string>>} */
export const PLACE_WORDS = {};
