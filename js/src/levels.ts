/** Levels of audio: warnings, and the amplification of very quiet clips. */

const SILENT_PEAK = 1e-4
const FULL_SCALE = Math.fround(0.999)
const CLIPPED_SHARE = 1e-3
const DC_OFFSET = 1e-2
/** Standard deviations of clips that are amplified, and the target. */
const QUIETEST = 1e-5
const QUIET = 3e-3
const TARGET = 0.1

/** The standard deviation of samples, in double precision. */
export function deviationOf(samples: Float32Array): number {
  if (!samples.length) return 0
  let total = 0
  for (let index = 0; index < samples.length; index++) total += samples[index]
  const mean = total / samples.length
  let square = 0
  for (let index = 0; index < samples.length; index++) square += (samples[index] - mean) ** 2
  return Math.sqrt(square / samples.length)
}

/** Amplify a very quiet clip; any other is returned unchanged. */
export function boostQuiet(samples: Float32Array): Float32Array {
  const deviation = deviationOf(samples)
  if (!(QUIETEST <= deviation && deviation < QUIET)) return samples
  const gain = Math.fround(TARGET / deviation)
  return samples.map((value) => value * gain)
}

/** Level statistics of a recording, and their warnings. */
export class LevelMeter {
  #frames = 0
  #atFullScale = 0
  #samples = 0
  #total = 0
  #lowest = Infinity
  #highest = -Infinity

  /** Add samples at the recording's own rate. */
  updateRaw(samples: Float32Array): void {
    this.#frames += samples.length
    for (let index = 0; index < samples.length; index++)
      if (Math.abs(samples[index]) >= FULL_SCALE) this.#atFullScale++
  }

  /** Add the same samples at 16 kHz. */
  updateMono(samples: Float32Array): void {
    this.#samples += samples.length
    for (let index = 0; index < samples.length; index++) {
      const value = samples[index]
      this.#total += value
      if (value < this.#lowest) this.#lowest = value
      if (value > this.#highest) this.#highest = value
    }
  }

  /** The names of the warnings that apply. */
  warnings(): string[] {
    const mean = this.#total / Math.max(1, this.#samples)
    const applies: Record<string, boolean> = {
      silent: Math.max(this.#highest - mean, mean - this.#lowest) < SILENT_PEAK,
      clipped: this.#atFullScale >= CLIPPED_SHARE * this.#frames,
      dc_offset: Math.abs(mean) >= DC_OFFSET,
    }
    return Object.keys(applies).filter((name) => applies[name])
  }
}
