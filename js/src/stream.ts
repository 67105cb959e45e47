/** Emotion recognition for live streams: samples in, events out. */

import { withDoubt } from "./doubt.ts"
import { PhonemoError } from "./errors.ts"
import { RATE } from "./frames.ts"
import { GrowingProfile } from "./growing_profile.ts"
import type { Applied } from "./growing_profile.ts"
import { LevelMeter } from "./levels.ts"
import { predictionData } from "./prediction.ts"
import type { Prediction, PredictionData } from "./prediction.ts"
import type { Profile, ProfileMark } from "./profile.ts"
import type { Network } from "./network.ts"
import { Resampler } from "./resampler.ts"
import { checkStreamRate, streamSamples } from "./samples.ts"
import type { Samples } from "./samples.ts"
import { SlidingInference } from "./sliding.ts"
import type { StreamEvent } from "./sliding.ts"
import { joined } from "./vectors.ts"

/** Options of a stream. */
export interface StreamOptions {
  /** Whether to add each phoneme's contribution to the winning score. */
  phonemes?: boolean
  /** Whether the stream's own windows adapt those that follow, from about 15 s of speech on. */
  adapt?: boolean
}

/** The end of a stream. */
export interface StreamResult {
  events: StreamEvent[]
  prediction: PredictionData
  /** The profile of an adapting stream; null without speech. Absent otherwise. */
  profile?: Profile | null
}

/** Predicts a short stream as a whole, with the timeline of its windows. */
export type PredictWhole = (samples: Float32Array, warnings: string[], segments: Prediction["segments"]) => Promise<Prediction>

/** Recognizes emotions in a live stream; `push` may be called without waiting for the one before. */
export class Stream {
  #network: Network
  #growing: GrowingProfile | null
  #first: Applied
  #inference: SlidingInference
  #resampler: Resampler | null
  #level = new LevelMeter()
  #kept: Float32Array[] | null
  #keptSamples = 0
  #predictWhole: PredictWhole
  #turn: Promise<unknown> = Promise.resolve()
  #isFinished = false

  /** Made by `Recognizer.stream`. */
  constructor(network: Network, rate: number, options: StreamOptions, applied: Applied, predictWhole: PredictWhole) {
    checkStreamRate(rate)
    this.#network = network
    this.#first = applied
    this.#growing = options.adapt ? new GrowingProfile(adaptable(network), applied) : null
    this.#inference = new SlidingInference(network, options.phonemes ?? false, applied, this.#growing)
    this.#resampler = rate === RATE ? null : new Resampler(rate)
    this.#kept = options.adapt ? null : []
    this.#predictWhole = predictWhole
  }

  /** Mark of the profile that is applied to the next window; null without one. */
  get applied(): ProfileMark | null {
    return (this.#growing?.applied ?? this.#first).mark
  }

  /** The profile of this stream so far; null without `adapt`, or before there is speech. Personal data. */
  get profile(): Profile | null {
    return this.#growing?.profile ?? null
  }

  /** Reset the stream's profile; with `everything`, the one that it started from, too. */
  resetProfile(everything = false): void {
    if (!this.#growing)
      throw new PhonemoError("UsageError", "the stream has no profile to reset; open it with adapt=True")
    this.#growing.reset(everything)
  }

  /** Process the next mono samples and return the new events. */
  async push(samples: Samples): Promise<StreamEvent[]> {
    this.#checkOpen()
    const values = streamSamples(samples)
    return this.#inTurn(() => {
      this.#level.updateRaw(values)
      return this.#process(this.#resampler ? this.#resampler.push(values) : values)
    })
  }

  /** Return the last events and the prediction for the whole stream. */
  async finish(): Promise<StreamResult> {
    this.#checkOpen()
    this.#isFinished = true
    return this.#inTurn(async () => {
      const events = this.#resampler ? await this.#process(this.#resampler.finish()) : []
      events.push(...(await this.#inference.finish()))
      const prediction = predictionData(await this.#whole(this.#level.warnings()))
      return this.#growing ? { events, prediction, profile: this.profile } : { events, prediction }
    })
  }

  async #process(samples: Float32Array): Promise<StreamEvent[]> {
    this.#level.updateMono(samples)
    this.#keep(samples)
    return this.#inference.push(samples)
  }

  async #whole(warnings: string[]): Promise<Prediction> {
    if (!this.#kept) {
      const windowed = await this.#inference.answer(warnings)
      return withDoubt(windowed, this.#network.card.abstain_below)
    }
    if (!this.#keptSamples) throw new PhonemoError("empty_audio", "expected audio, got no samples")
    return this.#predictWhole(joined(this.#kept), warnings, this.#inference.segments)
  }

  /** Keep the samples for the pass over the whole, until there are too many for one. */
  #keep(samples: Float32Array): void {
    if (!this.#kept) return
    this.#kept.push(samples)
    this.#keptSamples += samples.length
    if (this.#keptSamples > this.#network.card.window_seconds * RATE) this.#kept = null
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  #checkOpen(): void {
    if (this.#isFinished) throw new PhonemoError("UsageError", "the stream was finished; create a new one")
  }
}

/** The model's reference; an error where it takes no profile. */
export function adaptable(network: Network): NonNullable<Network["reference"]> {
  if (network.reference) return network.reference
  throw new PhonemoError(
    "ModelError",
    "this model takes no profile: it has no statistics of its training sources; train it with head: linear and " +
      "strategy: logistic, and export it again",
  )
}
