/** Runs in the worker: the live session, one at a time. */

import { recognizerOf } from "./modelfiles.js";

/** @type {any} */
let stream = null;

/** @param {{model: string, rate: number, profile: object | null, adapt: boolean}} request */
export async function openStream({ model, rate, profile, adapt }) {
  const recognizer = await recognizerOf(model).withProfile(profile);
  stream = recognizer.stream(rate, { phonemes: true, adapt });
  return { window_seconds: recognizer.windowSeconds, hop_seconds: recognizer.windowSeconds / 2 };
}

/** @param {{samples: Float32Array}} request @returns {Promise<any[]>} events */
export const push = async ({ samples }) => (stream ? stream.push(samples) : []);

export const reset = () => stream?.resetProfile(true);

/** The last events, the prediction and, of a stream that adapts, its profile. */
export async function finishStream() {
  const finished = await stream.finish();
  stream = null;
  return finished;
}

export function closeStream() {
  stream = null;
}
