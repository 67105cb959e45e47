/** Arousal and valence beside the scores: derived from them, or from a trained head. */

import { roundTo } from "./rounding.ts"
import type { Row } from "./vectors.ts"

/** Russell and Mehrabian 1977: arousal and valence, 0 to 1. */
const NORMS: Record<string, readonly [number, number]> = {
  anger: [0.795, 0.245],
  boredom: [0.19, 0.175],
  disgust: [0.675, 0.2],
  fear: [0.8, 0.18],
  happiness: [0.755, 0.905],
  neutral: [0.5, 0.5],
  sadness: [0.365, 0.185],
  surprise: [0.835, 0.7],
}
const DERIVED = ["arousal", "valence"]

/** Dimension -> value, 0 to 1, and whether they are derived from the emotions' scores. */
export interface Dimensions {
  values: Record<string, number>
  derived: boolean
}

/** Reads dimensions from a row of scores, followed by the values of a trained head. */
export type DimensionReader = (row: Row) => Dimensions

/** The reader of a model; null where an emotion has no published norm.
 *
 * @param names of a trained head; null derives arousal and valence.
 */
export function dimensionReader(
  labels: readonly string[],
  names: readonly string[] | null = null,
): DimensionReader | null {
  if (names !== null)
    return (row) => read(names, Array.from(row).slice(labels.length), false)
  if (!labels.every((label) => label in NORMS)) return null
  return (row) => {
    const values = DERIVED.map((_, axis) =>
      labels.reduce((total, label, number) => total + row[number] * NORMS[label][axis], 0),
    )
    return read(DERIVED, values, true)
  }
}

function read(names: readonly string[], values: readonly number[], derived: boolean): Dimensions {
  const clipped = names.map((name, number) => [name, Math.min(Math.max(values[number], 0), 1)])
  return { values: Object.fromEntries(clipped), derived }
}

/** Plain data for JSON. */
export function dimensionData(dimensions: Dimensions): Record<string, number | boolean> {
  const rounded = Object.entries(dimensions.values).map(([name, value]) => [name, roundTo(value, 4)])
  return { ...Object.fromEntries(rounded), derived: dimensions.derived }
}
