/** The networks of a bundle: model.onnx, and head.onnx, its upper part. */

import { PhonemoError } from "./errors.ts"
import { Session } from "./ort.ts"
import type { Ort, OrtTensor } from "./ort.ts"
import type { Affine } from "./reference.ts"

const INPUTS = ["waveform", "samples"]
const OUTPUTS = ["emotion_logits", "frames", "frame_weights"]
const OPTIONAL = ["phoneme_logits", "features", "vector", "dimensions"]
const MAP = ["scale", "shift"]
const HEAD_INPUTS = ["features", "kept"]
const HEAD_OUTPUT = "emotion_logits"

/** The network's output for one clip. */
export interface Logits {
  emotions: Float32Array
  /** (frame, phoneme); null without a phoneme head. */
  phonemes: Float32Array[] | null
  /** Number of frames. */
  frames: number
  /** (frame, feature) in C order; null where the network does not output it. */
  features: Float32Array | null
  /** The emotion head's input before a profile's map; null likewise. */
  vector: Float32Array | null
  /** Values of a head for dimensions; null without one. */
  dimensions: Float32Array | null
}

/** An opened model.onnx. */
export class Graph {
  /** Width of the vector that a profile maps; null where the network takes no map. */
  readonly width: number | null
  #ort: Ort
  #session: Session

  private constructor(ort: Ort, session: Session) {
    this.#ort = ort
    this.#session = session
    const { inputs, outputs } = session
    const needed = inputs.filter((name) => !MAP.includes(name))
    const required = outputs.filter((name) => !OPTIONAL.includes(name))
    const hasMap = MAP.every((name) => inputs.includes(name))
    if (!isSame(needed, INPUTS) || !isSame(required, OUTPUTS) || hasMap !== outputs.includes("vector"))
      throw new PhonemoError(
        "CheckpointError",
        `expected a network from ${INPUTS.join(", ")} to ${OUTPUTS.join(", ")}, got one from ` +
          `${[...inputs].sort().join(", ")} to ${[...outputs].sort().join(", ")}; export the model again`,
      )
    this.width = hasMap ? session.lastAxis("scale") : null
  }

  static async open(ort: Ort, model: Uint8Array, threads?: number): Promise<Graph> {
    return new Graph(ort, await Session.open(ort, model, threads))
  }

  get hasPhonemes(): boolean {
    return this.#session.outputs.includes("phoneme_logits")
  }

  get hasDimensions(): boolean {
    return this.#session.outputs.includes("dimensions")
  }

  /** Process one clip, zero-padded to `fewestSamples` where it is shorter. */
  async recognize(samples: Float32Array, fewestSamples: number, affine: Affine | null): Promise<Logits> {
    const padded = new Float32Array(Math.max(samples.length, fewestSamples))
    padded.set(samples)
    const feeds = {
      waveform: new this.#ort.Tensor("float32", padded, [1, padded.length]),
      samples: new this.#ort.Tensor("int64", BigInt64Array.of(BigInt(samples.length)), [1]),
      ...mapFeeds(this.#ort, affine, this.width),
    }
    return logitsOf(await this.#session.run(feeds, `${padded.length} samples`))
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}

function logitsOf(outputs: Record<string, OrtTensor>): Logits {
  const frames = Number((outputs.frames.data as BigInt64Array)[0])
  const values = (name: string): Float32Array | null => (outputs[name]?.data as Float32Array | undefined) ?? null
  const phonemes = values("phoneme_logits")
  const symbols = outputs.phoneme_logits?.dims.at(-1) ?? 0
  const features = values("features")
  const width = outputs.features?.dims.at(-1) ?? 0
  return {
    emotions: values("emotion_logits")!,
    phonemes: phonemes && Array.from({ length: frames }, (_, frame) => phonemes.subarray(frame * symbols, (frame + 1) * symbols)),
    frames,
    features: features && features.subarray(0, frames * width),
    vector: values("vector"),
    dimensions: values("dimensions"),
  }
}

/** An opened head.onnx: emotion logits when only some frames are pooled. */
export class Head {
  readonly width: number | null
  #ort: Ort
  #session: Session

  private constructor(ort: Ort, session: Session) {
    this.#ort = ort
    this.#session = session
    const { inputs, outputs } = session
    if (!isSame(inputs.filter((name) => !MAP.includes(name)), HEAD_INPUTS) || !isSame(outputs, [HEAD_OUTPUT]))
      throw new PhonemoError(
        "CheckpointError",
        `expected a head from ${HEAD_INPUTS.join(", ")} to ${HEAD_OUTPUT}, got one from ` +
          `${[...inputs].sort().join(", ")} to ${[...outputs].sort().join(", ")}; export the model again`,
      )
    this.width = inputs.includes("scale") ? session.lastAxis("scale") : null
  }

  static async open(ort: Ort, model: Uint8Array, threads?: number): Promise<Head> {
    return new Head(ort, await Session.open(ort, model, threads))
  }

  /** Emotion logits of each row of kept frames.
   *
   * @param features of one clip, (frame, feature) in C order.
   * @param kept rows of 0 and 1, a value for each frame.
   */
  async logits(features: Float32Array, kept: readonly Uint8Array[], affine: Affine | null): Promise<Float32Array[]> {
    const frames = kept[0].length
    const flags = new Uint8Array(kept.length * frames)
    kept.forEach((row, number) => flags.set(row, number * frames))
    const feeds = {
      features: new this.#ort.Tensor("float32", features, [1, frames, features.length / frames]),
      kept: new this.#ort.Tensor("bool", flags, [kept.length, frames]),
      ...mapFeeds(this.#ort, affine, this.width),
    }
    const output = (await this.#session.run(feeds, `${frames} frames`))[HEAD_OUTPUT]
    const emotions = output.dims[1]
    const values = output.data as Float32Array
    return kept.map((_, number) => values.subarray(number * emotions, (number + 1) * emotions))
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}

/** Values of a profile's map, where the network has one; without a map, the identity. */
function mapFeeds(ort: Ort, affine: Affine | null, width: number | null): Record<string, OrtTensor> {
  if (width === null) return {}
  const scale = affine ? Float32Array.from(affine.scale) : new Float32Array(width).fill(1)
  const shift = affine ? Float32Array.from(affine.shift) : new Float32Array(width)
  return { scale: new ort.Tensor("float32", scale, [width]), shift: new ort.Tensor("float32", shift, [width]) }
}

function isSame(actual: readonly string[], expected: readonly string[]): boolean {
  return [...actual].sort().join() === [...expected].sort().join()
}
