/** Conversion to 16 kHz: a windowed sinc of linear phase, evaluated at the phases of the two rates.
 *
 * The pass band ends at 0.913 of the lower rate's half, like soxr's at quality HQ; everything from that half
 * on is attenuated by at least 100 dB. Samples before and after the recording count as zero.
 */

import { RATE } from "./frames.ts"
import { checkStreamRate, toFloat32 } from "./samples.ts"
import type { Samples } from "./samples.ts"
import { joined } from "./vectors.ts"

/** Zero crossings of the sinc on either side, and the window's shape. */
const CROSSINGS = 80
const KAISER_BETA = 10.5
/** The middle of the transition band, as a share of the lower rate's half. */
const CUTOFF = 0.957
/** With more phases their coefficients are not kept: they would take tens of MB. */
const MOST_PHASES = 1_000

/** Points of the kernel's table per zero crossing. */
const TABLE_STEPS = 1_024
let table: Float64Array | undefined

/** Resamples a recording or stream, pushed in pieces of any size. */
export class Resampler {
  #up: number
  #down: number
  #rate: number
  /** Half of the filter's length in input samples. */
  #half: number
  #scale: number
  #rows = new Map<number, Float64Array>()
  #pending: Float32Array = new Float32Array(0)
  /** Index of the first pending sample, and number of samples received. */
  #first = 0
  #received = 0
  #produced = 0

  constructor(rate: number) {
    checkStreamRate(rate)
    const divisor = gcd(rate, RATE)
    this.#rate = rate
    this.#up = RATE / divisor
    this.#down = rate / divisor
    this.#scale = Math.min(1, RATE / rate) * CUTOFF
    this.#half = Math.ceil(CROSSINGS / this.#scale)
  }

  /** The samples at 16 kHz that the next samples complete. */
  push(samples: Float32Array): Float32Array {
    this.#received += samples.length
    this.#pending = joined([this.#pending, samples])
    const ready = Math.ceil(((this.#received - this.#half) * this.#up) / this.#down)
    return this.#upTo(ready)
  }

  /** The last samples; all together are round(samples * 16000 / rate). */
  finish(): Float32Array {
    const total = Math.floor((this.#received * RATE) / this.#rate + 0.5)
    this.#pending = joined([this.#pending, new Float32Array(2 * this.#half)])
    return this.#upTo(total)
  }

  #upTo(stop: number): Float32Array {
    const output = new Float32Array(Math.max(0, stop - this.#produced))
    for (let index = 0; index < output.length; index++) output[index] = this.#sample(this.#produced + index)
    this.#produced += output.length
    this.#drop()
    return output
  }

  #sample(number: number): number {
    const position = number * this.#down
    const center = Math.floor(position / this.#up)
    const row = this.#row(position % this.#up)
    const start = center - this.#half + 1 - this.#first
    const pending = this.#pending
    let total = 0
    for (let tap = Math.max(0, -start); tap < row.length; tap++) total += row[tap] * pending[start + tap]
    return total
  }

  /** Drop samples that no later output needs. */
  #drop(): void {
    const center = Math.floor((this.#produced * this.#down) / this.#up)
    const unused = Math.min(center - this.#half + 1 - this.#first, this.#pending.length)
    if (unused <= 0) return
    this.#pending = this.#pending.slice(unused)
    this.#first += unused
  }

  #row(phase: number): Float64Array {
    const known = this.#rows.get(phase)
    if (known) return known
    const row = this.#coefficients(phase / this.#up)
    if (this.#up <= MOST_PHASES) this.#rows.set(phase, row)
    return row
  }

  /** Coefficients for an output this far behind an input sample; their sum is 1. */
  #coefficients(fraction: number): Float64Array {
    const row = new Float64Array(2 * this.#half)
    let total = 0
    for (let tap = 0; tap < row.length; tap++) {
      const distance = (tap - this.#half + 1 - fraction) * this.#scale
      row[tap] = kernelAt(Math.abs(distance))
      total += row[tap]
    }
    return row.map((value) => value / total)
  }
}

/** Resample a whole recording. */
export function resample(samples: Samples, rate: number): Float32Array {
  const values = toFloat32(samples)
  if (rate === RATE) return values
  const resampler = new Resampler(rate)
  return joined([resampler.push(values), resampler.finish()])
}

/** The kernel at a distance in zero crossings, from a table made once. */
function kernelAt(distance: number): number {
  const place = distance * TABLE_STEPS
  const index = Math.floor(place)
  const values = (table ??= Float64Array.from({ length: CROSSINGS * TABLE_STEPS + 1 }, kernelValue))
  if (index + 1 >= values.length) return 0
  return values[index] + (place - index) * (values[index + 1] - values[index])
}

function kernelValue(_: unknown, index: number): number {
  const distance = index / TABLE_STEPS
  return sinc(distance) * kaiser(distance / CROSSINGS)
}

function sinc(value: number): number {
  return value === 0 ? 1 : Math.sin(Math.PI * value) / (Math.PI * value)
}

/** Kaiser's window from -1 to 1, not normalized: the coefficients are. */
function kaiser(value: number): number {
  return Math.abs(value) >= 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - value * value))
}

/** The modified Bessel function of the first kind and order 0. */
function bessel(value: number): number {
  let [total, term] = [1, 1]
  for (let k = 1; term > 1e-12 * total; k++) {
    term *= (value / (2 * k)) ** 2
    total += term
  }
  return total
}

function gcd(left: number, right: number): number {
  return right === 0 ? left : gcd(right, left % right)
}
