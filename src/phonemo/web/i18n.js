/** The texts of the page: flat dictionaries with the same keys in each language. */

import { PLACE_WORDS } from "./placewords.js";
import { EN } from "./words-en.js";
import { ZH } from "./words-zh.js";

/** @type {Record<string, Record<string, string>>} */
export const DICTIONARIES = {
  en: { ...EN, ...PLACE_WORDS.en },
  "zh-CN": { ...ZH, ...PLACE_WORDS["zh-CN"] },
};
