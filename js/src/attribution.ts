/** Occlusion attribution: how much each phoneme adds to the winning score. */

import { RATE } from "./frames.ts"
import type { FrameGrid } from "./frames.ts"
import type { PhonemeSpan } from "./prediction.ts"
import { argmax } from "./vectors.ts"
import type { Row } from "./vectors.ts"

/** Features pooled at once; bounds the memory for a long window with many phonemes. */
const MOST_FEATURES = 2_000_000

/** Kept frames, rows of 0 and 1, to the probabilities of each row. */
export type Decide = (kept: readonly Uint8Array[]) => Promise<readonly Row[]>

/** The frames whose centers lie in each phoneme, as rows of 0 and 1. */
export function framesWithin(
  spans: readonly Pick<PhonemeSpan, "start" | "end">[],
  grid: FrameGrid,
  frames: number,
): Uint8Array[] {
  const centers = Array.from({ length: frames }, (_, number) => grid.sampleAt(number + 0.5) / RATE)
  return spans.map(({ start, end }) =>
    Uint8Array.from(centers, (center) => Number(center >= start && center < end)),
  )
}

/** Return spans with each phoneme's share in the emotion; null for the only phoneme of a clip. */
export async function withShares(
  spans: readonly PhonemeSpan[],
  decide: Decide,
  grid: FrameGrid,
  frames: number,
  features: number,
): Promise<PhonemeSpan[]> {
  const [full] = await decide([new Uint8Array(frames).fill(1)])
  const winner = argmax(full)
  const inside = framesWithin(spans, grid, frames)
  const rows = Math.max(1, Math.floor(MOST_FEATURES / Math.max(1, frames * features)))
  const shares: (number | null)[] = []
  for (let first = 0; first < inside.length; first += rows) {
    const part = inside.slice(first, first + rows)
    const scores = await decide(part.map((row) => row.map((one) => 1 - one)))
    part.forEach((row, number) => {
      const isAll = row.every((one) => one === 1)
      shares.push(isAll ? null : full[winner] - scores[number][winner])
    })
  }
  return spans.map((span, number) => ({ ...span, share: shares[number] }))
}
