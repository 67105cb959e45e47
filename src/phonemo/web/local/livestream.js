/** Runs in the worker: the live session, one at a time. */

import { recognizerFor } from "./languages.js";

/** @type {any} */
let stream = null;

/** The worker of the session was stopped, and this is another one. */
class LostError extends Error {
  key = "live.lost";
}

/** @param {{model: string, rate: number, profile: object | null, adapt: boolean, language: {path: string} | null}} request */
export async function openStream({ model, rate, profile, adapt, language }) {
  const recognizer = await (await recognizerFor(model, language)).withProfile(profile);
  stream = recognizer.stream(rate, { phonemes: true, adapt });
  return { window_seconds: recognizer.windowSeconds, hop_seconds: recognizer.windowSeconds / 2 };
}

/** @param {{samples: Float32Array}} request @returns {Promise<any[]>} events */
export const push = async ({ samples }) => opened().push(samples);

export const reset = () => opened().resetProfile(true);

/** The last events, the prediction and, of a stream that adapts, its profile. */
export async function finishStream() {
  const finished = await opened().finish();
  stream = null;
  return finished;
}

export function closeStream() {
  stream = null;
}

function opened() {
  if (!stream) throw new LostError();
  return stream;
}
