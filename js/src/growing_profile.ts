/** Streaming adaptation: a stream's windows adapt the recognizer for the windows that follow. */

import { PhonemoError } from "./errors.ts"
import { markOf, profileStatistics } from "./profile.ts"
import type { Profile, ProfileMark } from "./profile.ts"
import type { Affine, Reference } from "./reference.ts"
import { affineOf, LEAST_POOL, shrinkTowards } from "./statistics.ts"
import type { Statistics } from "./statistics.ts"
import { STREAM_VECTORS, VectorPool } from "./vector_pool.ts"

/** The profile is updated when this share of its pool is new. */
const RENEWED_SHARE = 1 / 16

/** The profile that a recognizer applies. */
export interface Applied {
  /** Its statistics, shrunk; null without a profile. */
  source: Statistics | null
  affine: Affine | null
  mark: ProfileMark | null
}

export const UNADAPTED: Applied = { source: null, affine: null, mark: null }

/** Apply a profile, shrunk towards the training sources or a wider source. */
export async function appliedOf(
  profile: Profile,
  reference: Reference,
  towards: Statistics | null = null,
): Promise<Applied> {
  const source = shrinkTowards(profileStatistics(profile), reference, towards)
  return { source, affine: affineOf(source, reference), mark: await markOf(profile) }
}

/** The profile of a stream, made of its own windows. */
export class GrowingProfile {
  #reference: Reference
  #first: Applied
  #current: Applied
  #pool: VectorPool
  #newVectors = 0

  constructor(reference: Reference, first: Applied) {
    this.#reference = reference
    this.#first = this.#current = first
    this.#pool = new VectorPool(reference, STREAM_VECTORS)
  }

  /** What is applied to the next window. */
  get applied(): Applied {
    return this.#current
  }

  /** The profile of all windows so far; null before the first. */
  get profile(): Profile | null {
    return this.#pool.size ? this.#pool.profile() : null
  }

  /** Add a recognized window. */
  async add(vector: Float32Array | null, seconds: number): Promise<void> {
    if (!vector)
      throw new PhonemoError("ModelError", "this model outputs no vector for a profile; export it again")
    this.#pool.add(vector, seconds)
    this.#newVectors++
    const { size } = this.#pool
    if (size < LEAST_POOL || this.#newVectors < RENEWED_SHARE * size) return
    this.#current = await appliedOf(this.#pool.profile(), this.#reference, this.#first.source)
    this.#newVectors = 0
  }

  /** Drop all windows; with `everything`, the profile that the stream came with, too. */
  reset(everything: boolean): void {
    if (everything) this.#first = UNADAPTED
    this.#pool.reset()
    this.#current = this.#first
    this.#newVectors = 0
  }
}
