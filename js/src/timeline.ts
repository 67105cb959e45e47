/** Window scores to a timeline of emotions: cells of half a window, smoothed, and joined. */

import { RATE } from "./frames.ts"
import type { DimensionReader } from "./dimensions.ts"
import type { Segment } from "./prediction.ts"
import { CHUNK_SAMPLES } from "./vad.ts"
import { addScaled, argmax, weightedMean } from "./vectors.ts"
import type { Row } from "./vectors.ts"

/** Windows on either side that a cell depends on, beyond the two that contain it. */
const SMOOTHING = 1
/** A longer pause splits cells of one emotion into two segments. */
const GAP_SECONDS = 1
/** A cell with less speech takes the emotion of a neighbor, where there is one near. */
const SLIGHT_SECONDS = 0.5

/** Scores of one window, and its seconds of speech. */
export interface WindowScore {
  scores: Row
  weight: number
}

interface Cell {
  start: number
  end: number
  scores: Float64Array
  label: number
}

/** First and one past the last sample of speech between two samples; null without speech. */
export type Extent = (start: number, end: number) => [number, number] | null

/** Turns the scores of windows, added in time order, into segments. */
export class Timeline {
  /** All closed segments. */
  readonly segments: Segment[] = []
  #labels: readonly string[]
  #hop: number
  #extent: Extent
  #dimensions: DimensionReader | null
  #reach = SMOOTHING + 1
  #scores = new Map<number, WindowScore>()
  #windows = 0
  #cells = 0
  #open: Cell[] = []

  constructor(
    labels: readonly string[],
    hop: number,
    extent: Extent,
    dimensions: DimensionReader | null = null,
  ) {
    this.#labels = labels
    this.#hop = hop
    this.#extent = extent
    this.#dimensions = dimensions
  }

  /** Add the next window's scores, null without speech; return the segments that closed. */
  add(score: WindowScore | null): Segment[] {
    if (score) this.#scores.set(this.#windows, score)
    this.#windows++
    return this.#decide(this.#windows - this.#reach + 1, this.#windows * this.#hop)
  }

  /** Decide all remaining cells of a recording; return the closed segments. */
  finish(samples: number): Segment[] {
    return [...this.#decide(Math.ceil(samples / this.#hop), samples), ...this.#close()]
  }

  #decide(stop: number, samples: number): Segment[] {
    const closed: Segment[] = []
    for (let number = this.#cells; number < stop; number++) {
      const end = Math.min((number + 1) * this.#hop, samples)
      const cell = this.#cell(number, end)
      if (!this.#extendsSegment(cell, end)) closed.push(...this.#close(cell))
      if (cell) this.#open.push(cell)
      this.#scores.delete(number - this.#reach)
      this.#cells = number + 1
    }
    return closed
  }

  #cell(number: number, end: number): Cell | null {
    const extent = this.#extent(number * this.#hop, end)
    let total = 0
    let mean: Float64Array | null = null
    for (let window = number - this.#reach; window < number + this.#reach; window++) {
      const score = this.#scores.get(window)
      if (!score) continue
      const weight = score.weight * (1 - Math.abs(window + 0.5 - number) / this.#reach)
      mean ??= new Float64Array(score.scores.length)
      addScaled(mean, score.scores, weight)
      total += weight
    }
    if (!extent || !mean || !(total > 0)) return null
    const scores = mean.map((value) => value / total)
    const label = argmax(scores.subarray(0, this.#labels.length))
    return { start: extent[0], end: extent[1], scores, label }
  }

  /** Whether the open segment may include this cell or, if it has no speech, a later one. */
  #extendsSegment(cell: Cell | null, end: number): boolean {
    const last = this.#open.at(-1)
    if (!last) return true
    if ((cell ? cell.start : end) - last.end > GAP_SECONDS * RATE) return false
    const decided = this.#open.filter((member) => !isShort(member))
    return !cell || isShort(cell) || !decided.length || cell.label === decided.at(-1)!.label
  }

  /** Close the open segment, extended to the next cell where that follows directly. */
  #close(following: Cell | null = null): Segment[] {
    if (!this.#open.length) return []
    const longer = this.#open.filter((cell) => !isShort(cell))
    const decided = longer.length ? longer : this.#open
    const mean = weightedMean(
      decided.map((cell) => cell.scores),
      decided.map((cell) => cell.end - cell.start),
    )
    let end = this.#open.at(-1)!.end
    if (following && following.start - end < CHUNK_SAMPLES) end = following.start
    const segment = segmentOf(this.#open[0].start, end, this.#labels, mean, this.#dimensions)
    this.#open = []
    this.segments.push(segment)
    return [segment]
  }
}

function isShort(cell: Cell): boolean {
  return cell.end - cell.start < SLIGHT_SECONDS * RATE
}

/** Build a segment from samples and a row of scores. */
export function segmentOf(
  start: number,
  end: number,
  labels: readonly string[],
  row: Row,
  dimensions: DimensionReader | null = null,
): Segment {
  const scores = Object.fromEntries(labels.map((name, number) => [name, row[number]]))
  const label = labels[argmax(Array.from(row).slice(0, labels.length))]
  const read = dimensions && dimensions(row)
  return { start: start / RATE, end: end / RATE, label, scores, unsure: false, dimensions: read }
}
