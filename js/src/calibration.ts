/** Logits to calibrated probabilities. */

import { highest, sum } from "./vectors.ts"
import type { Row } from "./vectors.ts"

/** Logits beyond a head's radius are divided by this power of the distance in radii. */
const DISTANCE_POWER = 4

/** Probabilities of logits. */
export function softmax(logits: Row): Float64Array {
  const most = highest(logits)
  const powers = Float64Array.from(logits, (value) => Math.exp(value - most))
  const total = sum(powers)
  return powers.map((value) => value / total)
}

/** Probabilities of a network's float32 logits, which are divided in float32. */
export function scaledSoftmax(logits: Row, temperature: number): Float64Array {
  const divisor = Math.fround(temperature)
  return softmax(Float32Array.from(logits, (value) => Math.fround(value) / divisor))
}

/** Log-probabilities of logits. */
export function logSoftmax(logits: Row): Float64Array {
  const most = highest(logits)
  let total = 0
  for (const value of logits) total += Math.exp(value - most)
  const log = Math.log(total)
  return Float64Array.from(logits, (value) => value - most - log)
}

/** Logits of a vector that is far from the training sources, flattened; the winner stays.
 *
 * @param standardized the head's input; its distance is its root mean square.
 * @param radius distance up to which logits are unchanged; Infinity for all.
 */
export function flattened(logits: Row, standardized: Row, radius: number): Float64Array {
  let square = 0
  for (const value of standardized) square += value * value
  square /= standardized.length
  const divisor = Math.max(square / radius ** 2, 1) ** (DISTANCE_POWER / 2)
  return Float64Array.from(logits, (value) => value / divisor)
}
