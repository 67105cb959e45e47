/** Voice activity: an energy detector classifies chunks, a track stores the results. */

import { RATE } from "./frames.ts"
import { FaintSpeech } from "./faint_speech.ts"

/** Chunk length: 32 ms. */
export const CHUNK_SAMPLES = 512
const SECONDS = CHUNK_SAMPLES / RATE

const ABOVE_DB = 10
const QUIETEST_DB = -60
const START_DB = -45
/** Rise of the noise floor per second. */
const RISE_DB = 1
/** Chunks after speech that count as speech: 0.2 s. */
const HANG_CHUNKS = Math.round(0.2 / SECONDS)

/** Speech is well above the lowest recent level; the floor falls at once and rises slowly. */
export class EnergyVad {
  #floor = START_DB
  #hang = 0
  #faint = new FaintSpeech()

  /** Take the noise floor of a quiet clip from all of it. */
  expect(samples: Float32Array): void {
    const levels: number[] = []
    const peaks: number[] = []
    for (let start = 0; start + CHUNK_SAMPLES <= samples.length; start += CHUNK_SAMPLES) {
      const [level, peak] = levelAndPeak(samples, start)
      levels.push(level)
      peaks.push(peak)
    }
    this.#faint.expect(levels, peaks)
  }

  /** Whether the chunk that starts at a sample contains speech. */
  isSpeech(samples: Float32Array, start: number): boolean {
    const [level, peak] = levelAndPeak(samples, start)
    const faint = this.#faint.isFaint(level, peak)
    const loud = faint || level > Math.max(QUIETEST_DB, this.#floor + ABOVE_DB)
    this.#floor = Math.min(level, this.#floor + RISE_DB * SECONDS)
    this.#hang = loud ? HANG_CHUNKS : this.#hang - 1
    return loud || this.#hang > 0
  }
}

/** Level and half the range of a chunk, in dB of full scale. */
function levelAndPeak(samples: Float32Array, start: number): [number, number] {
  let total = 0
  let lowest = Infinity
  let highest = -Infinity
  for (let index = start; index < start + CHUNK_SAMPLES; index++) {
    const value = samples[index]
    total += value
    if (value < lowest) lowest = value
    if (value > highest) highest = value
  }
  const mean = total / CHUNK_SAMPLES
  let power = 0
  for (let index = start; index < start + CHUNK_SAMPLES; index++) power += (samples[index] - mean) ** 2
  const range = Math.fround(highest - lowest)
  return [10 * Math.log10(power / CHUNK_SAMPLES + 1e-12), 20 * Math.log10(range / 2 + 1e-6)]
}

/** The detector's results for a recording so far. */
export class VadTrack {
  readonly flags: number[] = []
  #detector = new EnergyVad()
  #rest = new Float32Array(0)

  /** The results for a clip that is known as a whole. */
  static ofClip(samples: Float32Array): VadTrack {
    const track = new VadTrack()
    track.#detector.expect(samples)
    track.push(samples)
    return track
  }

  /** Process the next samples; an incomplete chunk waits for the next call. */
  push(samples: Float32Array): void {
    const pending = new Float32Array(this.#rest.length + samples.length)
    pending.set(this.#rest)
    pending.set(samples, this.#rest.length)
    let start = 0
    for (; start + CHUNK_SAMPLES <= pending.length; start += CHUNK_SAMPLES)
      this.flags.push(Number(this.#detector.isSpeech(pending, start)))
    this.#rest = pending.slice(start)
  }

  /** Seconds of speech between two samples, in the chunks that end there. */
  seconds(start: number, end: number): number {
    let count = 0
    const last = Math.min(Math.floor(end / CHUNK_SAMPLES), this.flags.length)
    for (let chunk = Math.floor(start / CHUNK_SAMPLES); chunk < last; chunk++) count += this.flags[chunk]
    return (count * CHUNK_SAMPLES) / RATE
  }

  /** Share of the time between two samples that is speech. */
  share(start: number, end: number): number {
    return Math.min(1, (this.seconds(start, end) * RATE) / (end - start))
  }

  /** First and one past the last sample of speech between two samples; null without speech. */
  extent(start: number, end: number): [number, number] | null {
    const first = Math.floor(start / CHUNK_SAMPLES)
    const last = Math.min(Math.floor(end / CHUNK_SAMPLES), this.flags.length)
    let begins = first
    while (begins < last && !this.flags[begins]) begins++
    if (begins >= last) return null
    let ends = last
    while (!this.flags[ends - 1]) ends--
    return [Math.max(start, begins * CHUNK_SAMPLES), Math.min(end, ends * CHUNK_SAMPLES)]
  }
}
