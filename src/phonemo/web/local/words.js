/** The texts of a page without a server: its own, and those that differ from a server's page. */

import { LOCAL_EN } from "./words-en.js";
import { LOCAL_ZH } from "./words-zh.js";

/** @type {Record<string, Record<string, string>>} */
export const PLACE_WORDS = { en: LOCAL_EN, "zh-CN": LOCAL_ZH };
