/** The backend of a page without a server: the recognizer runs in a Web Worker of this browser. */

import { decodeRecording } from "../convert.js";
import { limits } from "../limits.js";
import { ApiError, LocalizedError } from "../problems.js";
import { session } from "../session.js";
import { csvOf } from "./csvfile.js";
import { engine } from "./engine.js";
import { exactSamples } from "./exactsamples.js";
import { playableFormats } from "./formats.js";
import { startOffline } from "./offline.js";
import { languageFile, siteCard } from "./sitecard.js";
import { initStatus } from "./status.js";
import { LocalStream } from "./stream.js";
import { summarize } from "./summary.js";
import { textGridOf } from "./textgridfile.js";

const WRITERS = { csv: csvOf, textgrid: textGridOf };

/** @type {import("../types.js").Backend} */
export const backend = {
  start,
  limits: async () => ({ ...(await siteCard()).limits, key_required: false, formats: playableFormats(), media: true }),
  models: async () => ({ data: (await siteCard()).models }),
  version: async () => ({ phonemo: (await siteCard()).version }),
  profiles,
  createProfile,
  recognize,
  fileText: async (job, format) => WRITERS[format](job),
  openStream: (rate, handlers, options) => new LocalStream(rate, handlers, options),
};

/** Loading the model begins with the page, unless the visitor saves data. */
async function start() {
  initStatus(engine);
  const saves = /** @type {any} */ (navigator).connection?.saveData === true;
  const loading = saves ? Promise.resolve() : engine.ready(await defaultModel());
  loading.catch(() => {}).then(() => startOffline());
}

async function defaultModel() {
  return (await siteCard()).models[0].id;
}

async function profiles() {
  const { models, limits: most } = await siteCard();
  const adaptable = models.filter((model) => model.profiles).map((model) => model.id);
  const named = { profile_bytes: most.profile_bytes, profile_files: most.profile_files, profile_seconds: most.profile_seconds };
  return { data: [], models: adaptable, limits: named };
}

/**
 * @param {Blob} blob
 * @param {string} name
 * @param {import("../types.js").UploadHandlers} [handlers]
 * @param {import("../types.js").UploadChoices} [choices]
 */
async function recognize(blob, name, handlers = {}, choices = {}) {
  const started = performance.now();
  const model = session.model || (await defaultModel());
  await cancellable(engine.ready(model, handlers.onProgress), handlers.signal);
  const decoding = performance.now();
  const channels = await cancellable(channelsOf(blob), handlers.signal);
  const decode = secondsSince(decoding);
  handlers.onSent?.();
  const language = languageFile(await siteCard(), choices.decoding);
  const request = { model, ...channels, choice: choices.channels ?? "mix", profile: profileOf(choices.profile), language };
  const buffers = channels.channels.map((samples) => samples.buffer);
  const prediction = await cancellable(engine.call("predict", request, buffers), handlers.signal, () => engine.stop());
  const timings = { ...prediction.timings, decode, total: secondsSince(started) };
  const summary = summarize(prediction);
  const text = JSON.stringify({ model, ...prediction, summary, file: name, timings });
  return { text, seconds: secondsSince(started) };
}

/** @param {Blob} blob */
async function channelsOf(blob) {
  const audio = await decodeRecording(blob, limits());
  if (!audio) throw new LocalizedError("error.unsupported_audio");
  const channels = Array.from({ length: audio.numberOfChannels }, (_, index) => exactSamples(audio.getChannelData(index).slice()));
  return { rate: audio.sampleRate, channels };
}

/** @param {Blob[]} blobs @param {AbortSignal} signal */
async function createProfile(blobs, signal) {
  const model = session.model || (await defaultModel());
  await cancellable(engine.ready(model), signal);
  const recordings = [];
  for (const blob of blobs) {
    recordings.push(await channelsOf(blob));
    if (signal.aborted) throw new LocalizedError("error.aborted");
  }
  const buffers = recordings.flatMap(({ channels }) => channels.map((samples) => samples.buffer));
  return cancellable(engine.call("profile", { model, recordings }, buffers), signal);
}

/** @param {import("../types.js").AppliedProfile | null | undefined} profile */
function profileOf(profile) {
  if (!profile?.text) return null;
  try {
    return JSON.parse(profile.text);
  } catch {
    throw new ApiError(422, { code: "invalid_profile", message: "profile: expected JSON; phonemo adapt writes a profile" }, 0);
  }
}

/**
 * A promise that a signal ends early.
 * @template Value
 * @param {Promise<Value>} promise
 * @param {AbortSignal | undefined} signal
 * @param {() => void} [stop] ends the work itself
 * @returns {Promise<Value>}
 */
function cancellable(promise, signal, stop) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(new LocalizedError("error.aborted"));
      stop?.();
    };
    promise.catch(() => {}); // its failure has no reader once it is canceled
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** @param {number} moment of performance.now() */
const secondsSince = (moment) => (performance.now() - moment) / 1000;
