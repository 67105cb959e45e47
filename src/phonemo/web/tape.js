/** Buffer for microphone audio, limited in length. */

import { encodeWav } from "./wav.js";

const HEADROOM_BYTES = 16_384;

/**
 * Longest 16-bit mono recording that the server accepts, in seconds.
 * @param {import("./types.js").Limits} limits
 * @param {number} rate
 */
export function maxRecordingSeconds(limits, rate) {
  return Math.floor(Math.min(limits.audio_seconds, (limits.body_bytes - HEADROOM_BYTES) / (2 * rate)));
}

export class RecordingBuffer {
  /** @type {Int16Array<ArrayBuffer>[]} */
  #chunks = [];
  #keptSamples = 0;
  #samples = 0;

  /** @param {number} rate @param {number} maxSeconds seconds to keep */
  constructor(rate, maxSeconds) {
    this.rate = rate;
    this.maxSeconds = maxSeconds;
  }

  /** @param {Int16Array<ArrayBuffer>} pcm */
  add(pcm) {
    this.#samples += pcm.length;
    const free = Math.max(0, this.maxSeconds * this.rate - this.#keptSamples);
    if (!free) return;
    const part = pcm.length > free ? pcm.slice(0, free) : pcm;
    this.#chunks.push(part);
    this.#keptSamples += part.length;
  }

  /** Seconds received. */
  get seconds() {
    return this.#samples / this.rate;
  }

  /** Seconds kept. */
  get keptSeconds() {
    return this.#keptSamples / this.rate;
  }

  get isFull() {
    return this.#samples >= this.maxSeconds * this.rate;
  }

  /** @returns {Blob} */
  wav() {
    return encodeWav(this.#chunks, this.rate);
  }
}
