/** Half-overlapping windows cut while samples arrive. */

import { PhonemoError } from "./errors.ts"
import { RATE } from "./frames.ts"
import { joined } from "./vectors.ts"

/** Windows with less speech are skipped. */
export const LEAST_SPEECH_SECONDS = 0.25
export const WINDOW_SECONDS = 3
const LEAST_SECONDS = 0.5

/** A section of a recording. */
export interface Window {
  /** Index of its first sample. */
  start: number
  samples: Float32Array
}

/** Cuts samples, pushed in pieces of any size, into windows; buffers at most one window. */
export class SlidingWindows {
  /** Samples from the start of one window to the start of the next. */
  readonly hop: number
  /** Samples received so far. */
  samples = 0
  #start = 0
  #pending: Float32Array[] = []

  constructor(windowSeconds = WINDOW_SECONDS) {
    if (!(windowSeconds >= LEAST_SECONDS))
      throw new PhonemoError(
        "UsageError",
        `expected windows of at least ${LEAST_SECONDS} seconds, got ${windowSeconds}`,
      )
    this.hop = Math.floor(Math.trunc(windowSeconds * RATE) / 2)
  }

  /** The windows completed by the next samples. */
  push(samples: Float32Array): Window[] {
    this.samples += samples.length
    this.#pending.push(samples)
    const windows: Window[] = []
    if (this.samples < this.#start + 2 * this.hop) return windows
    let pending = joined(this.#pending)
    while (pending.length >= 2 * this.hop) {
      windows.push({ start: this.#start, samples: pending.slice(0, 2 * this.hop) })
      this.#start += this.hop
      pending = pending.subarray(this.hop)
    }
    this.#pending = [pending.slice()]
    return windows
  }

  /** The last window, where samples remain that no window covers. */
  finish(): Window[] {
    const covered = this.#start === 0 ? 0 : this.#start + this.hop
    if (this.samples <= covered) return []
    return [{ start: this.#start, samples: joined(this.#pending) }]
  }
}
