/** CTC posteriors to phonemes: the best path, and forced alignment. */

import { PhonemoError } from "./errors.ts"
import { argmax } from "./vectors.ts"
import type { Row } from "./vectors.ts"

const BLANK = 0
/** Replaces the logarithm of zero. */
export const LOWEST = -1e4
/** Logarithms of float32 probabilities may pass zero by a rounding error. */
const SLACK = 1e-3

/** A phoneme and the frames that emit it. */
export interface AlignedPhoneme {
  /** Index in the inventory. */
  symbol: number
  first: number
  /** Its last frame, included. */
  last: number
  /** Geometric mean of its posterior over these frames. */
  confidence: number
}

/** The best symbol of each frame, repeats merged, blanks removed.
 *
 * @param scores log posteriors (frame, phoneme), the blank first.
 */
export function decodePhonemes(scores: readonly Row[]): AlignedPhoneme[] {
  checkPosteriors(scores)
  const best = scores.map(argmax)
  const found: AlignedPhoneme[] = []
  for (let first = 0; first < best.length; ) {
    let stop = first + 1
    while (stop < best.length && best[stop] === best[first]) stop++
    if (best[first] !== BLANK) found.push(emission(scores, best[first], first, stop))
    first = stop
  }
  return found
}

/** The most probable CTC path that spells a given phoneme string (Viterbi).
 *
 * @param scores log posteriors (frame, phoneme), the blank first.
 * @param symbols indices of the phonemes, without blanks.
 */
export function align(scores: readonly Row[], symbols: readonly number[]): AlignedPhoneme[] {
  checkPosteriors(scores)
  if (!symbols.length) return []
  const repeats = symbols.filter((symbol, number) => number && symbol === symbols[number - 1]).length
  const fewest = symbols.length + repeats
  if (fewest > scores.length)
    throw new PhonemoError(
      "PhonemeError",
      `expected at least ${fewest} frames for ${symbols.length} phonemes, got ${scores.length}; ` +
        "check that the phonemes belong to the recording",
    )
  const path = bestStates(scores, symbols)
  return symbols.map((symbol, number) => {
    const state = 2 * number + 1
    const first = path.indexOf(state)
    return emission(scores, symbol, first, path.lastIndexOf(state) + 1)
  })
}

/** The state of every frame; steps advance by 0, 1 or 2 states. */
function bestStates(scores: readonly Row[], symbols: readonly number[]): number[] {
  const count = 2 * symbols.length + 1
  const symbolOf = (state: number): number => (state % 2 ? symbols[(state - 1) / 2] : BLANK)
  const skips = (state: number): boolean =>
    state % 2 === 1 && state >= 3 && symbolOf(state) !== symbolOf(state - 2)
  const score = (frame: number, state: number): number => Math.max(scores[frame][symbolOf(state)], LOWEST)
  let total = new Float64Array(count).fill(-Infinity)
  for (let state = 0; state < Math.min(2, count); state++) total[state] = score(0, state)
  const steps = [new Uint8Array(count)]
  for (let frame = 1; frame < scores.length; frame++) {
    const next = new Float64Array(count)
    const moved = new Uint8Array(count)
    for (let state = 0; state < count; state++) {
      let best = total[state]
      const furthest = skips(state) ? 2 : 1
      for (let step = 1; step <= Math.min(furthest, state); step++) {
        if (total[state - step] > best) {
          best = total[state - step]
          moved[state] = step
        }
      }
      next[state] = best + score(frame, state)
    }
    total = next
    steps.push(moved)
  }
  let state = total[count - 1] >= total[count - 2] ? count - 1 : count - 2
  const path = new Array<number>(scores.length)
  for (let frame = scores.length - 1; frame >= 0; frame--) {
    path[frame] = state
    state -= steps[frame][state]
  }
  return path
}

function emission(scores: readonly Row[], symbol: number, first: number, stop: number): AlignedPhoneme {
  let total = 0
  for (let frame = first; frame < stop; frame++) total += scores[frame][symbol]
  const confidence = Math.min(1, Math.exp(total / (stop - first)))
  return { symbol, first, last: stop - 1, confidence }
}

function checkPosteriors(scores: readonly Row[]): void {
  if (scores.every((row) => row.every((value) => value <= SLACK))) return
  throw new PhonemoError(
    "PhonemeError",
    "expected natural logarithms of probabilities, got NaN or numbers above zero; apply a " +
      "log-softmax to logits first",
  )
}
