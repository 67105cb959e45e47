/** Conversion to WAV, for recordings that the browser can decode and the server cannot. */

import { mediaSeconds } from "./mediainfo.js";
import { wavOf } from "./pcm.js";
import { LocalizedError } from "./problems.js";

// The rate of the models; a context resamples while it decodes.
const RATE = 16_000;
const FALLBACK_RATE = 44_100;
const HEADER_BYTES = 44;
const SAMPLE_BYTES = 2;
// A recording whose length is not known may be hours of silence: at most so many bytes are decoded.
const MAX_UNKNOWN_BYTES = 4 << 20;
// In a form, a file has some more bytes around it.
const FORM_BYTES = 16_384;

/**
 * Convert a recording. The decoded audio is bounded: its length is read first, and one that is too long is not decoded.
 * @param {Blob} blob
 * @param {import("./types.js").Limits} limits of the server
 * @returns {Promise<import("./types.js").Converted | null>} null where the browser cannot decode it
 * @throws {LocalizedError} if the recording is longer than the server accepts
 */
export async function convertToWav(blob, limits) {
  const audio = await decodeRecording(blob, limits);
  if (!audio) return null;
  const bytes = HEADER_BYTES + SAMPLE_BYTES * audio.length * audio.numberOfChannels;
  const mixed = audio.numberOfChannels > 1 && bytes + FORM_BYTES > limits.body_bytes;
  return { blob: await encode(audio, mixed), mixed };
}

/**
 * Decode a recording to the rate of the models.
 * @param {Blob} blob
 * @param {import("./types.js").Limits} limits
 * @returns {Promise<AudioBuffer | null>} null where the browser cannot decode it
 * @throws {LocalizedError} if the recording is too long
 */
export async function decodeRecording(blob, limits) {
  const seconds = await mediaSeconds(blob);
  if (seconds === null && blob.size > MAX_UNKNOWN_BYTES) return null;
  checkLength(seconds ?? 0, limits);
  const audio = await decode(blob);
  if (audio) checkLength(audio.duration, limits);
  return audio;
}

/** @param {number} seconds @param {import("./types.js").Limits} limits */
function checkLength(seconds, limits) {
  if (seconds > limits.audio_seconds) throw new LocalizedError("error.audio_too_long");
}

/** @param {Blob} blob @returns {Promise<AudioBuffer | null>} */
async function decode(blob) {
  try {
    return await createContext().decodeAudioData(await blob.arrayBuffer());
  } catch {
    return null;
  }
}

function createContext() {
  try {
    return new OfflineAudioContext(1, 1, RATE);
  } catch {
    return new OfflineAudioContext(1, 1, FALLBACK_RATE);
  }
}

/** @param {AudioBuffer} audio @param {boolean} mix */
function encode(audio, mix) {
  const channels = Array.from({ length: audio.numberOfChannels }, (_, index) => audio.getChannelData(index));
  return wavOf(channels, audio.sampleRate, mix);
}
