/** Emotion recognition for recordings: samples in, a prediction as plain data out. */

import type { BundleCard } from "./card.ts"
import type { Decoding } from "./decoder.ts"
import { withDoubt } from "./doubt.ts"
import { PhonemoError } from "./errors.ts"
import { RATE } from "./frames.ts"
import { appliedOf, UNADAPTED } from "./growing_profile.ts"
import type { Applied } from "./growing_profile.ts"
import { resolvedLabels } from "./labels.ts"
import { LevelMeter } from "./levels.ts"
import type { Network } from "./network.ts"
import { checkOptions } from "./options.ts"
import { among, predictionData, top } from "./prediction.ts"
import type { Prediction, PredictionData, Segment } from "./prediction.ts"
import { checkedProfile } from "./profile.ts"
import type { Profile, ProfileMark } from "./profile.ts"
import { resample } from "./resampler.ts"
import { checkedSamples, checkLength } from "./samples.ts"
import type { Recording, Samples } from "./samples.ts"
import { SlidingInference } from "./sliding.ts"
import { adaptable, Stream } from "./stream.ts"
import type { StreamOptions } from "./stream.ts"
import { segmentOf } from "./timeline.ts"
import { VadTrack } from "./vad.ts"
import { VectorPool } from "./vector_pool.ts"
import { LEAST_SPEECH_SECONDS, SlidingWindows, WINDOW_SECONDS } from "./windows.ts"

/** Samples at 16 kHz that are processed between two calls of `progress`. */
const PIECE = RATE

const OPTIONS = ["phonemes", "timeline", "emotions", "topK", "profile", "progress"]
const STREAM_OPTIONS = ["phonemes", "adapt"]

/** Options of a prediction. */
export interface PredictOptions {
  /** Whether to add each phoneme's contribution to the winning score, its `share`. */
  phonemes?: boolean
  /** Whether to add a timeline, in `segments`, for a recording of up to 30 s too. */
  timeline?: boolean
  /** Choose among these emotions only, in any spelling; their scores are rescaled. */
  emotions?: readonly string[]
  /** Return only this number of highest scores. */
  topK?: number
  /** Apply this profile, parsed or as text; null applies none. By default that of the recognizer. */
  profile?: unknown
  /** Called with the share of a long recording that is processed, 0 to 1. */
  progress?: (share: number) => void
}

/** Recognizes emotions with a bundle, in samples of any rate. */
export class Recognizer {
  readonly #network: Network
  readonly #applied: Applied

  /** Made by `load`. */
  constructor(network: Network, applied: Applied = UNADAPTED) {
    this.#network = network
    this.#applied = applied
  }

  /** The content of bundle.json. */
  get card(): BundleCard {
    return this.#network.card
  }

  /** The emotions, in the order of the scores. */
  get labels(): readonly string[] {
    return this.card.labels
  }

  /** Mark of the profile that is applied; null without one. */
  get applied(): ProfileMark | null {
    return this.#applied.mark
  }

  /** Whether the model takes profiles. */
  get takesProfiles(): boolean {
    return this.#network.reference !== null
  }

  /** Seconds of a window of long recordings and streams; a new one starts after half of it. */
  get windowSeconds(): number {
    return WINDOW_SECONDS
  }

  /** Predict the emotion of one recording.
   *
   * @param samples mono; copied, so that the caller may reuse or transfer them at once.
   * @param rate samples per second.
   */
  async predict(samples: Samples, rate: number, options: PredictOptions = {}): Promise<PredictionData> {
    checkOptions("predict", options, OPTIONS)
    const recording = opened(samples, rate)
    const { profile } = options
    const adapted = profile === undefined ? this : await this.withProfile(profile)
    return adapted.#predictOpened(recording, options)
  }

  /** Open a stream of mono samples. */
  stream(rate: number = RATE, options: StreamOptions = {}): Stream {
    checkOptions("stream", options, STREAM_OPTIONS)
    const whole = (clip: Float32Array, warnings: string[], segments: Segment[]): Promise<Prediction> =>
      this.#predictWhole(clip, warnings, options, segments)
    return new Stream(this.#network, rate, options, this.#applied, whole)
  }

  /** Return a recognizer that applies a profile and shares this one's network.
   *
   * @param profile parsed JSON or the text of a profile's file; null applies none.
   */
  async withProfile(profile: unknown): Promise<Recognizer> {
    if (profile === null || profile === undefined) return new Recognizer(this.#network)
    const reference = adaptable(this.#network)
    return new Recognizer(this.#network, await appliedOf(checkedProfile(profile, reference), reference))
  }

  /** Return a recognizer with another decoding of phonemes, which shares this one's network.
   *
   * @param decoding "best-path", "beam-search", "language-model" (the bundle's), or the parsed content of a language's
   * file such as english.json. By default the bundle's language model, or the best path. Scores do not depend on it.
   */
  withDecoding(decoding: Decoding): Recognizer {
    return new Recognizer(this.#network.withDecoding(decoding), this.#applied)
  }

  /** Compute a source's profile from unlabeled recordings; those that cannot be used are left out. */
  async profile(recordings: readonly Recording[]): Promise<Profile> {
    const pool = new VectorPool(adaptable(this.#network))
    if (!Array.isArray(recordings))
      throw new PhonemoError("UsageError", "expected recordings as a list of { samples, rate }, got another; pass an array")
    for (const recording of recordings as readonly Recording[]) {
      try {
        const { samples, rate } = recording ?? {}
        await this.#addVectors(pool, opened(samples, rate).clip)
      } catch (error) {
        if (!(error instanceof PhonemoError)) throw error
        pool.failed++
      }
    }
    return pool.profile()
  }

  /** Free the network's memory; recognizers that share it must not be used any more. */
  async release(): Promise<void> {
    await this.#network.release()
  }

  async #predictOpened({ clip, warnings }: Opened, options: PredictOptions): Promise<PredictionData> {
    const found = this.#isLong(clip)
      ? await this.#predictLong(clip, warnings, options)
      : await this.#predictWhole(clip, warnings, options)
    return predictionData(this.#narrowed(found, options))
  }

  #isLong(clip: Float32Array): boolean {
    return clip.length > this.card.window_seconds * RATE
  }

  async #predictLong(clip: Float32Array, warnings: string[], options: PredictOptions): Promise<Prediction> {
    const inference = await this.#windowed(clip, options)
    return withDoubt(await inference.answer(warnings), this.card.abstain_below)
  }

  async #predictWhole(
    clip: Float32Array,
    warnings: string[],
    options: PredictOptions,
    timeline: Segment[] = [],
  ): Promise<Prediction> {
    const found = await this.#network.recognize(clip, options.phonemes ?? false, this.#applied.affine)
    const ratio = VadTrack.ofClip(clip).share(0, clip.length)
    const whole = segmentOf(0, clip.length, this.labels, found.row, this.#network.dimensions)
    const parts = options.timeline && ratio ? (await this.#windowed(clip, {})).segments : timeline
    const prediction: Prediction = {
      label: whole.label,
      scores: whole.scores,
      seconds: clip.length / RATE,
      spans: found.spans,
      warnings: ratio ? warnings : [...warnings, "no_speech"],
      segments: ratio ? (parts.length ? parts : [whole]) : [],
      speechRatio: ratio,
      profile: this.#applied.mark,
      dimensions: whole.dimensions,
    }
    return withDoubt(prediction, this.card.abstain_below)
  }

  async #windowed(clip: Float32Array, { phonemes, progress }: PredictOptions): Promise<SlidingInference> {
    const inference = new SlidingInference(this.#network, phonemes ?? false, this.#applied)
    for (let start = 0; start < clip.length; start += PIECE) {
      await inference.push(clip.subarray(start, start + PIECE))
      progress?.(Math.min(1, (start + PIECE) / clip.length))
    }
    await inference.finish()
    return inference
  }

  #narrowed(found: Prediction, { emotions, topK }: PredictOptions): Prediction {
    const chosen = emotions && emotions.length !== 0 ? among(found, resolvedLabels(this.labels, emotions)) : found
    return topK === undefined ? chosen : top(chosen, topK)
  }

  /** Add a recording's vector; of a long one those of every second window, as they overlap by half. */
  async #addVectors(pool: VectorPool, clip: Float32Array): Promise<void> {
    const isLong = this.#isLong(clip)
    const track = isLong ? new VadTrack() : VadTrack.ofClip(clip)
    if (isLong) track.push(clip)
    const cutter = new SlidingWindows()
    const windows = isLong ? [...cutter.push(clip), ...cutter.finish()] : [{ start: 0, samples: clip }]
    const before = pool.size
    for (const { start, samples } of windows) {
      const seconds = track.seconds(start, start + samples.length)
      const counts = isLong ? start % (2 * cutter.hop) === 0 && seconds >= LEAST_SPEECH_SECONDS : seconds > 0
      if (counts) pool.add(await this.#vectorOf(samples), seconds)
    }
    if (pool.size === before) pool.silent++
  }

  async #vectorOf(samples: Float32Array): Promise<Float32Array> {
    const { vector } = await this.#network.recognize(samples, false, null)
    if (vector) return vector
    throw new PhonemoError("ModelError", "this model outputs no vector for a profile; export it again")
  }
}

/** A checked recording: its own copy at 16 kHz. */
interface Opened {
  clip: Float32Array
  warnings: string[]
}

/** Check a recording, and convert it to 16 kHz. */
function opened(samples: Samples, rate: number): Opened {
  const values = checkedSamples(samples, rate)
  const level = new LevelMeter()
  level.updateRaw(values)
  const clip = resample(values, rate)
  level.updateMono(clip)
  checkLength(clip.length)
  return { clip: clip === samples ? clip.slice() : clip, warnings: level.warnings() }
}
