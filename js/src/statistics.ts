/** Unsupervised adaptation: a source's statistics and the map to the training sources. */

import { highest, sum } from "./vectors.ts"
import type { Row } from "./vectors.ts"
import { PhonemoError } from "./errors.ts"
import { headLogits } from "./reference.ts"
import type { Affine, Reference } from "./reference.ts"

/** With fewer vectors class shares are not estimated. */
export const LEAST_POOL = 5
/** Minimum deviation as a share of the training sources'. */
const LEAST_DEVIATION = 0.05
/** Divides the head's logits when class shares are estimated. */
const TEMPERATURE = 2
/** Prior vectors, as a share of the pool, spread evenly over the classes. */
const PRIOR = 0.5

/** The vectors of one source, summarized per feature. */
export interface Statistics {
  count: number
  mean: Float64Array
  /** Above 0. */
  deviation: Float64Array
}

/** The plain mean and deviation of a pool, independent of the order of its vectors. */
export function moments(vectors: readonly Row[], reference: Reference): Statistics {
  const rows = sortedRows(vectors, reference)
  const count = rows.length
  const mean = reference.centre.map((_, index) => sum(rows.map((row) => row[index])) / count)
  if (count === 1) return { count, mean, deviation: reference.spread }
  const deviation = reference.spread.map((spread, index) => {
    const square = sum(rows.map((row) => (row[index] - mean[index]) ** 2))
    return Math.max(Math.sqrt(square / (count - 1)), LEAST_DEVIATION * spread)
  })
  return { count, mean, deviation }
}

/** The statistics that a source would have with equally many vectors of every class. */
export function estimate(vectors: readonly Row[], reference: Reference): Statistics {
  const plain = moments(vectors, reference)
  if (vectors.length < LEAST_POOL || reference.emIterations === 0) return plain
  const shares = classShares(sortedRows(vectors, reference), reference)
  const excess = shares.map((share) => share - 1 / shares.length)
  const mean = plain.mean.map((value, index) => {
    const uneven = sum(excess.map((one, emotion) => one * reference.classMeans[emotion][index]))
    return value - plain.deviation[index] * uneven
  })
  return { ...plain, mean }
}

/** Shrink a pool towards the training sources, or towards a wider source that it is part of. */
export function shrinkTowards(
  statistics: Statistics,
  reference: Reference,
  towards: Statistics | null = null,
): Statistics {
  const wider = towards ?? { mean: reference.centre, deviation: reference.spread }
  const { count } = statistics
  const meanShare = shareOf(count, reference.kMean)
  const spreadShare = shareOf(Math.max(0, count - 1), reference.kSpread)
  const mean = statistics.mean.map((value, index) => meanShare * value + (1 - meanShare) * wider.mean[index])
  const deviation = statistics.deviation.map((value, index) =>
    Math.sqrt(spreadShare * value ** 2 + (1 - spreadShare) * wider.deviation[index] ** 2),
  )
  return { count, mean, deviation }
}

function shareOf(count: number, k: number): number {
  return count + k > 0 ? count / (count + k) : 0
}

/** The map that gives a source the training sources' mean and deviation. */
export function affineOf(statistics: Statistics, reference: Reference): Affine {
  const scale = reference.spread.map((spread, index) => spread / statistics.deviation[index])
  const shift = reference.centre.map((centre, index) => centre - statistics.mean[index] * scale[index])
  return { scale, shift }
}

/** The share of each class in a pool: EM over the shares, from the head's posteriors. */
function classShares(rows: readonly Row[], reference: Reference): number[] {
  const everywhere = { ...reference, radius: Infinity }
  const odds = rows.map((row) => {
    const logits = headLogits(everywhere, row).map((value) => value / TEMPERATURE)
    const most = highest(logits)
    return logits.map((value) => Math.exp(value - most))
  })
  const even = 1 / reference.bias.length
  let shares = Array.from(reference.bias, () => even)
  for (let step = 0; step < reference.emIterations; step++) {
    const totals = shares.map(() => 0)
    for (const row of odds) {
      const posteriors = row.map((value, emotion) => value * shares[emotion])
      const total = sum(posteriors)
      posteriors.forEach((value, emotion) => (totals[emotion] += value / total))
    }
    shares = totals.map((total) => (total / rows.length + PRIOR * even) / (1 + PRIOR))
  }
  return shares
}

/** The vectors in an order that does not depend on the caller's: that of their bytes. */
function sortedRows(vectors: readonly Row[], reference: Reference): Float64Array[] {
  const width = reference.centre.length
  if (!vectors.length || vectors.some((row) => row.length !== width))
    throw new PhonemoError(
      "UsageError",
      `expected vectors (vector, ${width}), one or more, got shape (${vectors.length}, ${vectors[0]?.length ?? 0})`,
    )
  if (!vectors.every((row) => row.every(Number.isFinite)))
    throw new PhonemoError("UsageError", "expected finite vectors, got NaN or infinity; leave the recording out")
  const rows = vectors.map((row) => Float64Array.from(row))
  const keyed = rows.map((row) => ({ row, key: new Uint8Array(row.buffer) }))
  return keyed.sort((left, right) => compareBytes(left.key, right.key)).map(({ row }) => row)
}

function compareBytes(left: Uint8Array, right: Uint8Array): number {
  for (let index = 0; index < left.length; index++)
    if (left[index] !== right[index]) return left[index] - right[index]
  return 0
}
