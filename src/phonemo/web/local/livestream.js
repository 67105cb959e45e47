/** Runs in the worker: the live session, one at a time. */

import { recognizerOf } from "./modelfiles.js";

/** @type {any} */
let stream = null;

/** @param {{model: string, rate: number, profile: object | null, adapt: boolean}} request */
export function openStream({ model, rate, profile, adapt }) {
  const recognizer = recognizerOf(model);
  stream = recognizer.stream(rate, { phonemes: true, adapt, ...(profile ? { profile } : {}) });
  return { window_seconds: recognizer.windowSeconds, hop_seconds: recognizer.windowSeconds / 2 };
}

/** @param {{samples: Float32Array}} request @returns {Promise<any[]>} events */
export const push = async ({ samples }) => (stream ? stream.push(samples) : []);

export const reset = () => stream?.reset({ everything: true });

export async function finishStream() {
  const { events, prediction, profile } = await stream.finish();
  stream = null;
  return { events, prediction, profile };
}

export function closeStream() {
  stream = null;
}
