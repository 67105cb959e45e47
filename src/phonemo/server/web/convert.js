/** Conversion to WAV, for recordings that the browser can decode and the server cannot. */

import { encodeWav } from "./wav.js";

// The rate of the models; a context resamples while it decodes.
const RATE = 16_000;
const FALLBACK_RATE = 44_100;

/** @param {Blob} blob @returns {Promise<Blob | null>} null where the browser cannot decode it */
export async function convertToWav(blob) {
  try {
    const audio = await createContext().decodeAudioData(await blob.arrayBuffer());
    return encodeWav([interleave(audio)], audio.sampleRate, audio.numberOfChannels);
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

/** 16-bit samples of all channels, one moment after the other. @param {AudioBuffer} audio */
function interleave(audio) {
  const count = audio.numberOfChannels;
  const pcm = new Int16Array(audio.length * count);
  for (let channel = 0; channel < count; channel += 1) {
    const samples = audio.getChannelData(channel);
    for (let index = 0; index < samples.length; index += 1)
      pcm[index * count + channel] = Math.round(32_767 * Math.max(-1, Math.min(1, samples[index])));
  }
  return pcm;
}
