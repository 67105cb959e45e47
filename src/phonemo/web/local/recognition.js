/** Runs in the worker: predictions of decoded recordings, and profiles of several. */

import { combineChannels, mixOf, onChannel } from "./channelmix.js";
import { recognizerFor } from "./languages.js";
import { recognizerOf } from "./modelfiles.js";

/** @typedef {{rate: number, channels: Float32Array[]}} Decoded */

/** A request that the page translates by its code. */
class RequestError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** @param {Decoded & {model: string, choice: string, profile: object | null, language: {path: string} | null}} request */
export async function predict({ model, rate, channels, choice, profile, language }) {
  const started = performance.now();
  const recognizer = await recognizerFor(model, language);
  const options = { phonemes: true, timeline: true, ...(profile ? { profile } : {}) };
  const recognize = (/** @type {Float32Array} */ samples) => recognizer.predict(samples, rate, options);
  const prediction = await predictChoice(channels, choice, recognize, recognizer.card.abstain_below);
  return { ...prediction, timings: { network: (performance.now() - started) / 1000 } };
}

/**
 * @param {Float32Array[]} channels
 * @param {string} choice "mix", "split" or a number
 * @param {(samples: Float32Array) => Promise<any>} recognize
 * @param {number} abstainBelow
 */
async function predictChoice(channels, choice, recognize, abstainBelow) {
  if (choice === "mix") return recognize(mixOf(channels));
  if (choice !== "split") {
    const number = Number(choice);
    const samples = channels[number - 1];
    if (!samples) throw new RequestError("invalid_channel", `expected a channel from 1 to ${channels.length}, got ${choice}`);
    return onChannel(await recognize(samples), number);
  }
  const predictions = [];
  for (const [index, samples] of channels.entries()) predictions.push(onChannel(await recognize(samples), index + 1));
  return combineChannels(predictions, abstainBelow);
}

/** @param {{model: string, recordings: Decoded[]}} request */
export async function createProfile({ model, recordings }) {
  const recognizer = recognizerOf(model);
  const profile = await recognizer.profile(recordings.map(({ rate, channels }) => ({ samples: mixOf(channels), rate })));
  const { applied } = await recognizer.withProfile(profile);
  return { profile, hash: applied.hash };
}
