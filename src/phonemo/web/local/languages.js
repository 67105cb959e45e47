/** Runs in the worker: recognizers whose phonemes are decoded for a spoken language, each made once. */

import { FetchError, fetchedText, recognizerOf } from "./modelfiles.js";

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
  const text = await fetchedText(language);
  try {
    return recognizerOf(model).withDecoding(JSON.parse(text));
  } catch {
    throw new FetchError(language.path); // some hosts answer with a page for what is missing
  }
}
