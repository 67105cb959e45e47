/** Vectors of one source's unlabeled recordings, from which a profile is made. */

import { PhonemoError } from "./errors.ts"
import { profileOf } from "./profile.ts"
import type { Profile } from "./profile.ts"
import type { Reference } from "./reference.ts"
import { estimate } from "./statistics.ts"

/** A stream's pool keeps this many of its newest vectors. */
export const STREAM_VECTORS = 1000

/** Collects vectors; gives their profile at any time, which does not depend on their order. */
export class VectorPool {
  /** Seconds of speech in everything that was added. */
  seconds = 0
  /** Recordings without speech, and those that cannot be used, which add nothing. */
  silent = 0
  failed = 0
  #reference: Reference
  #most: number
  #rows: Float32Array[] = []

  constructor(reference: Reference, most = Infinity) {
    this.#reference = reference
    this.#most = most
  }

  /** Number of vectors. */
  get size(): number {
    return this.#rows.length
  }

  /** Add one vector and its seconds of speech. */
  add(vector: Float32Array, seconds = 0): void {
    const width = this.#reference.centre.length
    if (vector.length !== width || !vector.every(Number.isFinite))
      throw new PhonemoError(
        "UsageError",
        `expected a vector of ${width} finite features, got one of shape (${vector.length},)`,
      )
    this.#rows.push(vector.slice())
    if (this.#rows.length > this.#most) this.#rows.shift()
    this.seconds += seconds
  }

  /** Drop all vectors and counts. */
  reset(): void {
    this.#rows = []
    this.seconds = this.silent = this.failed = 0
  }

  /** The profile of the vectors so far. */
  profile(): Profile {
    if (!this.size)
      throw new PhonemoError(
        "UsageError",
        `expected speech to make a profile from, got ${this.silent} recordings without speech, ` +
          `${this.failed} that cannot be used; add recordings with speech`,
      )
    return profileOf(estimate(this.#rows, this.#reference), this.seconds, this.#reference)
  }
}
