/** Speech in recordings that are too quiet for absolute levels. */

/** Three chunks with a higher peak are a recording of usual level. */
const USUAL_CLIP_DB = -45
const USUAL_STREAM_DB = -40
const USUAL_CHUNKS = 3
/** Chunks after the last usual one until a stream counts as quiet again. */
const USUAL_HOLD = 1875
/** Chunks that a stream's noise floor is taken from, and the fewest of them. */
const RECENT_CHUNKS = 94
const FEWEST_CHUNKS = 5
/** Faint chunks of a stream before the first one counts, and what a chunk without takes away. */
const EVIDENCE = 6
const FORGET = 1 / 32
/** The floor is this percentile of the levels; below `DIGITAL_DB` there is no noise at all. */
const FLOOR_PERCENT = 5
const DIGITAL_DB = -105
const ABOVE_DB = 10
const LOWEST_DB = -92
const RANGE_DB = 40
/** Steady noise varies less than this between the floor and the highest level. */
const LIVELY_DB = 18

/** Finds speech that stands out from the noise floor of a quiet recording; keeps state. */
export class FaintSpeech {
  #threshold: number | null = null
  #recent: number[] = []
  #strong = 0
  #evidence = 0
  #usualLeft = 0

  /** Prepare for a clip whose chunks are known. */
  expect(levels: readonly number[], peaks: readonly number[]): void {
    const usual = peaks.filter((peak) => peak > USUAL_CLIP_DB).length >= USUAL_CHUNKS
    this.#threshold = usual ? Infinity : thresholdOf(levels)
  }

  /** Whether the chunk of this level and peak is faint speech. */
  isFaint(level: number, peak: number): boolean {
    if (this.#threshold !== null) return level > this.#threshold
    this.#recent.push(level)
    if (this.#recent.length > RECENT_CHUNKS) this.#recent.shift()
    const strong = peak > USUAL_STREAM_DB
    this.#strong = strong ? this.#strong + 1 : Math.max(0, this.#strong - FORGET)
    if (strong && this.#strong >= USUAL_CHUNKS) {
      this.#usualLeft = USUAL_HOLD
      this.#evidence = 0
      this.#strong = USUAL_CHUNKS
    }
    if (this.#usualLeft > 0) this.#usualLeft--
    return this.#usualLeft === 0 && this.#standsOut(level)
  }

  #standsOut(level: number): boolean {
    const faint = level > thresholdOf(this.#recent)
    this.#evidence += faint ? 1 : -FORGET
    this.#evidence = Math.min(Math.max(this.#evidence, 0), 2 * EVIDENCE)
    return faint && this.#evidence >= EVIDENCE
  }
}

/** The level above which there is speech; Infinity where the levels are those of noise. */
function thresholdOf(levels: readonly number[]): number {
  const ranked = levels.filter((level) => level > DIGITAL_DB).sort((left, right) => left - right)
  if (ranked.length < FEWEST_CHUNKS) return Infinity
  const floor = ranked[Math.floor((ranked.length * FLOOR_PERCENT) / 100)]
  const highest = ranked[ranked.length - 1]
  if (highest - floor < LIVELY_DB) return Infinity
  return Math.max(floor + ABOVE_DB, LOWEST_DB, highest - RANGE_DB)
}
