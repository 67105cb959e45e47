/** Arithmetic on rows of numbers. */

export type Row = readonly number[] | Float32Array | Float64Array

/** Index of the highest value, the first of equal ones. */
export function argmax(values: Row): number {
  let best = 0
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index
  return best
}

/** The highest value; -Infinity of none. */
export function highest(values: Row): number {
  return values.length ? values[argmax(values)] : -Infinity
}

/** The sum from left to right. */
export function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}

/** The mean of rows of one length, weighted. */
export function weightedMean(rows: readonly Row[], weights: readonly number[]): Float64Array {
  const mean = new Float64Array(rows[0].length)
  rows.forEach((row, number) => addScaled(mean, row, weights[number]))
  const total = sum(weights)
  return mean.map((value) => value / total)
}

/** Add a row times a weight to a total, in place. */
export function addScaled(total: Float64Array, row: Row, weight: number): void {
  for (let index = 0; index < total.length; index++) total[index] += row[index] * weight
}

/** Join pieces of samples. */
export function joined(pieces: readonly Float32Array[]): Float32Array {
  if (pieces.length === 1) return pieces[0]
  const all = new Float32Array(sum(pieces.map((piece) => piece.length)))
  let position = 0
  for (const piece of pieces) {
    all.set(piece, position)
    position += piece.length
  }
  return all
}
