/** What the microphone gave, kept in the page's memory up to a limit. */

import { wavOf } from "./wav.js";

const HEADROOM_BYTES = 16_384;

/**
 * The longest 16-bit mono recording that the server takes.
 * @param {import("./types.js").Limits} limits
 * @param {number} rate
 */
export function longest(limits, rate) {
  return Math.floor(Math.min(limits.audio_seconds, (limits.body_bytes - HEADROOM_BYTES) / (2 * rate)));
}

export class Tape {
  /** @type {Int16Array<ArrayBuffer>[]} */
  #chunks = [];
  #kept = 0;
  #samples = 0;

  /** @param {number} rate @param {number} most seconds to keep */
  constructor(rate, most) {
    this.rate = rate;
    this.most = most;
  }

  /** @param {Int16Array<ArrayBuffer>} pcm */
  add(pcm) {
    this.#samples += pcm.length;
    const room = Math.max(0, this.most * this.rate - this.#kept);
    if (!room) return;
    const part = pcm.length > room ? pcm.slice(0, room) : pcm;
    this.#chunks.push(part);
    this.#kept += part.length;
  }

  /** Seconds that were heard. */
  get seconds() {
    return this.#samples / this.rate;
  }

  /** Seconds that are kept. */
  get kept() {
    return this.#kept / this.rate;
  }

  get full() {
    return this.#samples >= this.most * this.rate;
  }

  /** @returns {Blob} */
  wav() {
    return wavOf(this.#chunks, this.rate);
  }
}
