/** Windowed inference: samples in pieces, segments as soon as they are decided. */

import { markSegment } from "./doubt.ts"
import { PhonemoError } from "./errors.ts"
import { RATE } from "./frames.ts"
import type { Applied, GrowingProfile } from "./growing_profile.ts"
import type { ClipScores, Network } from "./network.ts"
import { segmentData } from "./prediction.ts"
import type { PhonemeSpan, Prediction, Segment, SegmentData } from "./prediction.ts"
import type { ProfileMark } from "./profile.ts"
import { segmentOf, Timeline } from "./timeline.ts"
import { VadTrack } from "./vad.ts"
import { addScaled } from "./vectors.ts"
import { LEAST_SPEECH_SECONDS, SlidingWindows } from "./windows.ts"
import type { Window } from "./windows.ts"

/** A new result of a stream, as the server's WebSocket sends it. */
export interface StreamEvent {
  /** "window": one window, at once and not smoothed; "segment": a part of the timeline, final. */
  type: "window" | "segment"
  segment: SegmentData
  /** Share of a window that is speech; null for a segment. */
  speech_ratio: number | null
  profile?: ProfileMark
}

/** Windowed inference for one long recording or stream.
 *
 * `applied` is the profile of all windows, `growing` one that each window updates for the next.
 */
export class SlidingInference {
  #network: Network
  #shares: boolean
  #applied: Applied
  #growing: GrowingProfile | null
  #windows = new SlidingWindows()
  #track = new VadTrack()
  #timeline: Timeline
  #total: Float64Array | null = null
  #weight = 0
  #last: Window | null = null
  #spans: PhonemeSpan[] | null = []
  #mark: ProfileMark | null

  constructor(network: Network, shares: boolean, applied: Applied, growing: GrowingProfile | null = null) {
    this.#network = network
    this.#shares = shares
    this.#applied = applied
    this.#growing = growing
    this.#mark = applied.mark
    const extent = (start: number, end: number): [number, number] | null => this.#track.extent(start, end)
    this.#timeline = new Timeline(network.card.labels, this.#windows.hop, extent, network.dimensions)
  }

  /** The timeline so far. */
  get segments(): Segment[] {
    return this.#timeline.segments
  }

  /** Process the next samples at 16 kHz and return the new events. */
  async push(samples: Float32Array): Promise<StreamEvent[]> {
    this.#track.push(samples)
    return this.#events(this.#windows.push(samples), false)
  }

  /** Process the end of the recording; nothing may be pushed afterwards. */
  async finish(): Promise<StreamEvent[]> {
    const events = await this.#events(this.#windows.finish(), true)
    return [...events, ...this.#segmentEvents(this.#timeline.finish(this.#windows.samples))]
  }

  /** The prediction for the whole recording, after `finish`, without doubt. */
  async answer(warnings: readonly string[]): Promise<Prediction> {
    const isSilent = this.#weight === 0
    const mean = isSilent ? await this.#scoresWithoutSpeech() : this.#total!.map((value) => value / this.#weight)
    const { samples } = this.#windows
    const { labels } = this.#network.card
    const overall = segmentOf(0, samples, labels, mean, this.#network.dimensions)
    return {
      label: overall.label,
      scores: overall.scores,
      seconds: samples / RATE,
      spans: this.#spans,
      warnings: [...warnings, "windowed", ...(isSilent ? ["no_speech"] : [])],
      segments: this.segments,
      speechRatio: this.#track.share(0, samples),
      profile: this.#mark,
      dimensions: overall.dimensions,
    }
  }

  async #events(windows: readonly Window[], last: boolean): Promise<StreamEvent[]> {
    const events: StreamEvent[] = []
    for (const window of windows) {
      this.#last = window
      const seconds = this.#track.seconds(window.start, window.start + window.samples.length)
      if (seconds < LEAST_SPEECH_SECONDS) {
        events.push(...this.#segmentEvents(this.#timeline.add(null)))
        continue
      }
      const clip = await this.#recognize(window)
      this.#accumulate(window, clip, seconds, last)
      if (this.#growing) this.#mark = this.#growing.applied.mark
      events.push(this.#windowEvent(window, clip))
      if (this.#growing && window.start % (2 * this.#windows.hop) === 0) await this.#growing.add(clip.vector, seconds)
      events.push(...this.#segmentEvents(this.#timeline.add({ scores: clip.row, weight: seconds })))
    }
    return events
  }

  #recognize(window: Window): Promise<ClipScores> {
    const { affine } = this.#growing ? this.#growing.applied : this.#applied
    return this.#network.recognize(window.samples, this.#shares, affine)
  }

  async #scoresWithoutSpeech(): Promise<Float64Array> {
    if (!this.#last) throw new PhonemoError("empty_audio", "expected audio, got no samples")
    return (await this.#recognize(this.#last)).row
  }

  #windowEvent(window: Window, clip: ClipScores): StreamEvent {
    const { card, dimensions } = this.#network
    const end = window.start + window.samples.length
    const segment = segmentOf(window.start, end, card.labels, clip.row, dimensions)
    return this.#event("window", segment, this.#track.share(window.start, end))
  }

  #segmentEvents(closed: readonly Segment[]): StreamEvent[] {
    return closed.map((segment) => this.#event("segment", segment, null))
  }

  #event(type: StreamEvent["type"], segment: Segment, ratio: number | null): StreamEvent {
    const data = segmentData(markSegment(segment, this.#network.card.abstain_below))
    return { type, segment: data, speech_ratio: ratio, ...(this.#mark && { profile: this.#mark }) }
  }

  #accumulate(window: Window, clip: ClipScores, seconds: number, last: boolean): void {
    this.#total ??= new Float64Array(clip.row.length)
    addScaled(this.#total, clip.row, seconds)
    this.#weight += seconds
    this.#spans = clip.spans && this.#spans ? [...this.#spans, ...this.#middleSpans(window, clip.spans, last)] : null
  }

  /** The phonemes in a window's middle half, which has the most context, in the recording's time. */
  #middleSpans(window: Window, spans: readonly PhonemeSpan[], last: boolean): PhonemeSpan[] {
    const begin = window.start / RATE
    const quarter = this.#windows.hop / RATE / 2
    const first = window.start === 0 ? 0 : begin + quarter
    const stop = last ? Infinity : begin + 3 * quarter
    const moved = spans.map((span) => ({ ...span, start: span.start + begin, end: span.end + begin }))
    return moved.filter(({ start, end }) => first <= (start + end) / 2 && (start + end) / 2 < stop)
  }
}
