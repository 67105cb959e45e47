/** The models that can be chosen, and what they support. */

import { session } from "./session.js";

/** @typedef {{id: string, licence?: string, default?: boolean, decodings?: string[]}} Model */

/** @type {Model[]} */
let known = [];

/** @returns {Model[]} */
export const models = () => known;

/** @param {Model[]} found */
export function setModels(found) {
  known = found;
}

/** The model of the next recording. @returns {Model | undefined} */
export const chosenModel = () =>
  known.find(({ id }) => id === session.model) ?? known.find((model) => model.default) ?? known[0];

/** A spoken language, or "" where the model of the next recording does not know it. @param {string | undefined} language */
export const supportedLanguage = (language) => (language && chosenModel()?.decodings?.includes(language) ? language : "");
