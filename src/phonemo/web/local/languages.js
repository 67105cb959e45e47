/** Runs in the worker: recognizers whose phonemes are decoded for a spoken language, each made once. */

import { fetchedJson, recognizerOf } from "./modelfiles.js";

/** @type {Map<string, Promise<any>>} */
const known = new Map();

/**
 * The recognizer of a model, for a spoken language.
 * @param {string} model
 * @param {{path: string} | null} language the file of its phoneme statistics; null for any language
 * @returns {Promise<any>}
 */
export async function recognizerFor(model, language) {
  if (!language) return recognizerOf(model);
  const key = `${model} ${language.path}`;
  if (!known.has(key)) known.set(key, made(model, language));
  const making = /** @type {Promise<any>} */ (known.get(key));
  making.catch(() => known.delete(key));
  return making;
}

/** @param {string} model @param {{path: string}} language */
async function made(model, language) {
  return recognizerOf(model).withDecoding(await fetchedJson(language));
}
