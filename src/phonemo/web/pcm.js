/** 16-bit samples from floats, in slices between which the page stays responsive. */

import { encodeWav } from "./wav.js";

const SLICE = 1 << 19;

/**
 * A WAV file of one or more channels. A worker would need a trusted-types policy, which the page's rules forbid.
 * @param {Float32Array[]} channels of equal length, -1 to 1
 * @param {number} rate samples a second
 * @param {boolean} mix whether the channels are averaged
 * @returns {Promise<Blob>}
 */
export async function wavOf(channels, rate, mix) {
  const slices = [];
  for (let start = 0; start < channels[0].length; start += SLICE) {
    const parts = channels.map((samples) => samples.subarray(start, start + SLICE));
    slices.push(mix ? average(parts) : interleave(parts));
    await new Promise((resolve) => setTimeout(resolve));
  }
  return encodeWav(slices, rate, mix ? 1 : channels.length);
}

/** One moment after the other. @param {Float32Array[]} channels */
function interleave(channels) {
  const count = channels.length;
  const pcm = new Int16Array(channels[0].length * count);
  for (const [channel, samples] of channels.entries())
    for (let index = 0; index < samples.length; index += 1) pcm[index * count + channel] = toInteger(samples[index]);
  return pcm;
}

/** @param {Float32Array[]} channels */
function average(channels) {
  const pcm = new Int16Array(channels[0].length);
  for (let index = 0; index < pcm.length; index += 1) {
    let sum = 0;
    for (const samples of channels) sum += samples[index];
    pcm[index] = toInteger(sum / channels.length);
  }
  return pcm;
}

/** @param {number} sample */
const toInteger = (sample) => Math.round(32_767 * Math.max(-1, Math.min(1, sample)));
