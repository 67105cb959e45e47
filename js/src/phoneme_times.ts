/** Where each phoneme begins and ends: CTC's frames are inside it, the gaps must be assigned. */

import { LOWEST } from "./alignment.ts"
import type { AlignedPhoneme } from "./alignment.ts"
import { PhonemoError } from "./errors.ts"
import { RATE } from "./frames.ts"
import type { FrameGrid } from "./frames.ts"
import { roundEven } from "./rounding.ts"
import type { Row } from "./vectors.ts"

/** A longer gap is a pause and belongs to neither phoneme. */
const PAUSE_SECONDS = 0.25
/** How far a phoneme extends past its frames into a pause or the recording's ends. */
const EDGE_SECONDS = 0.04
/** Bounds the log odds of one frame. */
const MAX_ODDS = 20

/** A phoneme and the samples that it covers. */
export interface TimedPhoneme {
  symbol: number
  startSample: number
  /** One past the last sample. */
  endSample: number
  confidence: number
}

type Edges = [number, number]
/** From the log odds of a gap's frames and the position where it begins. */
type Rule = (balance: readonly number[], end: number) => Edges

/** Each keeps its own frames, half of the gap, or the part that the posteriors say. */
const RULES: Record<string, Rule> = {
  spike: (balance, end) => [end, end + balance.length],
  midpoint: (balance, end) => [end + balance.length / 2, end + balance.length / 2],
  posterior: splitByEvidence,
}

/** Determine where each phoneme begins and ends; neighbors touch unless a pause separates them.
 *
 * @param scores log posteriors (frame, phoneme).
 * @param samples length of the recording.
 * @param rule how gaps are divided: posterior, midpoint or spike.
 */
export function timePhonemes(
  aligned: readonly AlignedPhoneme[],
  scores: readonly Row[],
  grid: FrameGrid,
  samples: number,
  rule = "posterior",
): TimedPhoneme[] {
  const divide = RULES[rule]
  if (!divide) {
    const known = Object.keys(RULES).join(", ")
    throw new PhonemoError("PhonemeError", `expected a rule of ${known}, got '${rule}'; choose one`)
  }
  const hops = RATE / grid.hopSamples
  const reach = rule === "spike" ? 0 : EDGE_SECONDS * hops
  const edges = aligned.slice(1).map((right, number) => {
    return gapEdges(aligned[number], right, scores, divide, PAUSE_SECONDS * hops, reach)
  })
  return aligned.map(({ symbol, first, last, confidence }, number) => {
    const start = number ? edges[number - 1][1] : first - reach
    const end = number < edges.length ? edges[number][0] : last + 1 + reach
    const startSample = sampleWithin(grid, start, samples)
    return { symbol, startSample, endSample: sampleWithin(grid, end, samples), confidence }
  })
}

function gapEdges(
  left: AlignedPhoneme,
  right: AlignedPhoneme,
  scores: readonly Row[],
  divide: Rule,
  pause: number,
  reach: number,
): Edges {
  const end = left.last + 1
  const start = right.first
  if (start - end > pause) {
    const near = Math.min(reach, (start - end) / 2)
    return [end + near, start - near]
  }
  const balance = scores
    .slice(end, start)
    .map((row) => Math.max(row[left.symbol], LOWEST) - Math.max(row[right.symbol], LOWEST))
  return divide(balance, end)
}

function sampleWithin(grid: FrameGrid, position: number, samples: number): number {
  return Math.min(Math.max(roundEven(grid.sampleAt(position)), 0), samples)
}

/** The cut with the most evidence on either side; between its frames, where the odds cross zero. */
function splitByEvidence(balance: readonly number[], end: number): Edges {
  const odds = balance.map((value) => Math.min(Math.max(value, -MAX_ODDS), MAX_ODDS))
  const evidence = [0]
  for (const value of odds) evidence.push(evidence[evidence.length - 1] + value)
  const most = Math.max(...evidence)
  const cuts = evidence.flatMap((value, number) => (value >= most - 1e-9 ? [number] : []))
  let cut = cuts.reduce((total, one) => total + one, 0) / cuts.length
  if (cuts.length === 1 && cut > 0 && cut < odds.length) {
    const before = odds[cut - 1]
    cut += before / (before - odds[cut]) - 0.5
  }
  return [end + cut, end + cut]
}
