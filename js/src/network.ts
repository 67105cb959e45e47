/** A bundle's networks with their card: one clip in, scores, phonemes and vector out. */

import type { AlignedPhoneme } from "./alignment.ts"
import { withShares } from "./attribution.ts"
import type { Bundle } from "./bundle.ts"
import { logSoftmax, scaledSoftmax } from "./calibration.ts"
import { gridOf } from "./card.ts"
import type { BundleCard } from "./card.ts"
import { PhonemeDecoder } from "./decoder.ts"
import type { Decoding } from "./decoder.ts"
import { dimensionReader } from "./dimensions.ts"
import type { DimensionReader } from "./dimensions.ts"
import { PhonemoError } from "./errors.ts"
import { RATE } from "./frames.ts"
import type { FrameGrid } from "./frames.ts"
import { Graph, Head } from "./graph.ts"
import type { Logits } from "./graph.ts"
import { boostQuiet } from "./levels.ts"
import { unpackedModel } from "./language_model.ts"
import type { Ort } from "./ort.ts"
import { timePhonemes } from "./phoneme_times.ts"
import type { PhonemeSpan } from "./prediction.ts"
import { headLogits, readReference } from "./reference.ts"
import type { Affine, Reference } from "./reference.ts"

/** Network output for one window or recording. */
export interface ClipScores {
  /** The scores, followed by the values of a trained head for dimensions. */
  row: Float64Array
  /** Phonemes in time from the clip's start; null for a network without a phoneme head. */
  spans: PhonemeSpan[] | null
  /** Input of the emotion head before a profile's map; null where it is unknown. */
  vector: Float32Array | null
}

/** An opened bundle in onnxruntime. */
export class Network {
  readonly card: BundleCard
  readonly reference: Reference | null
  readonly dimensions: DimensionReader | null
  #graph: Graph
  #head: Head | null
  #grid: FrameGrid
  #decoder: PhonemeDecoder

  private constructor(
    card: BundleCard,
    reference: Reference | null,
    graph: Graph,
    head: Head | null,
    decoder: PhonemeDecoder,
  ) {
    this.card = card
    this.reference = reference
    this.dimensions = dimensionReader(card.labels, card.dimensions?.names ?? null)
    this.#graph = graph
    this.#head = head
    this.#grid = gridOf(card)
    this.#decoder = decoder
    checkParts(card, reference, graph, head)
  }

  static async open(ort: Ort, bundle: Bundle, threads?: number): Promise<Network> {
    const { card, adaptation } = bundle
    const reference = adaptation && (await readReference(adaptation, card.labels.length))
    const graph = await Graph.open(ort, bundle.model, threads)
    const head = bundle.head && (await Head.open(ort, bundle.head, threads))
    return new Network(card, reference, graph, head, await decoderOf(bundle))
  }

  /** The same network with another decoding of phonemes. */
  withDecoding(decoding: Decoding): Network {
    return new Network(this.card, this.reference, this.#graph, this.#head, this.#decoder.with(decoding))
  }

  /** Process one clip at 16 kHz.
   *
   * @param shares whether to add each phoneme's contribution to the winning score.
   * @param affine a profile's map.
   */
  async recognize(samples: Float32Array, shares: boolean, affine: Affine | null): Promise<ClipScores> {
    const logits = await this.#logits(samples, affine)
    const scores = scaledSoftmax(logits.emotions, this.card.temperature)
    const row = Float64Array.from([...scores, ...(logits.dimensions ?? [])])
    let spans = this.#spans(logits, samples.length)
    if (shares && spans?.length) spans = await this.#withShares(logits, spans, affine)
    return { row, spans, vector: logits.vector }
  }

  async release(): Promise<void> {
    await this.#graph.release()
    await this.#head?.release()
  }

  /** A shared network has the emotion head of the reference; its map is not the graph's. */
  async #logits(samples: Float32Array, affine: Affine | null): Promise<Logits> {
    const { card, reference } = this
    const clip = card.normalise ? boostQuiet(samples) : samples
    const logits = await this.#graph.recognize(clip, card.fewest_samples, card.network ? null : affine)
    if (!card.network || !reference) return logits
    return { ...logits, emotions: Float32Array.from(headLogits(reference, logits.vector!, affine)) }
  }

  #spans({ phonemes }: Logits, samples: number): PhonemeSpan[] | null {
    const symbols = this.card.inventory?.symbols
    if (!symbols || !phonemes) return null
    const scores = phonemes.map(logSoftmax)
    return namedSpans(this.#decoder.decode(scores), scores, symbols, this.#grid, samples)
  }

  async #withShares(logits: Logits, spans: PhonemeSpan[], affine: Affine | null): Promise<PhonemeSpan[]> {
    const { frames, features } = logits
    const head = this.#head
    if (!head || !features)
      throw new PhonemoError(
        "CheckpointError",
        "expected head.onnx for the phonemes' shares in the emotion; export the model again",
      )
    const decide = async (kept: readonly Uint8Array[]): Promise<Float64Array[]> =>
      (await head.logits(features, kept, affine)).map((row) => scaledSoftmax(row, this.card.temperature))
    return withShares(spans, decide, this.#grid, frames, features.length / frames)
  }
}

async function decoderOf({ card, decoder }: Bundle): Promise<PhonemeDecoder> {
  const symbols = card.inventory?.symbols ?? []
  return new PhonemeDecoder(symbols, decoder && symbols.length ? await unpackedModel(decoder, symbols.length) : null)
}

/** Name decoded phonemes, in seconds. */
function namedSpans(
  aligned: readonly AlignedPhoneme[],
  scores: readonly Float64Array[],
  symbols: readonly string[],
  grid: FrameGrid,
  samples: number,
): PhonemeSpan[] {
  return timePhonemes(aligned, scores, grid, samples).map(({ symbol, startSample, endSample, confidence }) => ({
    symbol: symbols[symbol],
    start: startSample / RATE,
    end: endSample / RATE,
    confidence,
  }))
}

function checkParts(card: BundleCard, reference: Reference | null, graph: Graph, head: Head | null): void {
  const width = graph.width
  const widths = [head ? head.width : width, reference ? reference.centre.length : width]
  if (widths.some((other) => other !== width))
    throw new PhonemoError(
      "CheckpointError",
      `a profile maps ${width || "no"} features in model.onnx, ${widths[0] || "none"} in head.onnx, ` +
        `${widths[1] || "none"} in adaptation.npz; export the model again`,
    )
  if (graph.hasPhonemes !== (card.inventory !== null) || graph.hasDimensions !== Boolean(card.dimensions))
    throw new PhonemoError(
      "CheckpointError",
      "expected the phonemes and dimensions of the card, got a network of others; export the model again",
    )
}
