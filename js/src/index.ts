/** Speech emotion recognition with a phonemo bundle; onnxruntime is passed by the caller. */

import { openBundle } from "./bundle.ts"
import { PhonemoError } from "./errors.ts"
import { Network } from "./network.ts"
import { checkOptions } from "./options.ts"
import type { Ort } from "./ort.ts"
import { Recognizer } from "./recognizer.ts"
import { readerOf } from "./sources.ts"
import type { Source } from "./sources.ts"

/** Options of `load`. */
export interface LoadOptions {
  /** The module onnxruntime-web or onnxruntime-node. */
  ort: Ort
  /** Name of a bundle, where the source holds several, such as "phonemo-small". */
  model?: string
  /** Threads per clip; by default onnxruntime chooses. */
  threads?: number
}

/** Open a bundle, which is verified by its checksums.
 *
 * @param source its folder's path (Node) or address, or a function from a file's name to its content.
 */
export async function load(source: Source, options: LoadOptions): Promise<Recognizer> {
  checkOptions("load", options ?? {}, ["ort", "model", "threads"])
  const { ort, model, threads } = options ?? {}
  if (!ort?.InferenceSession)
    throw new PhonemoError(
      "UsageError",
      "expected onnxruntime-web or onnxruntime-node as ort, got none; pass { ort }, or import phonemo/node or phonemo/web",
    )
  const bundle = await openBundle(readerOf(source, model))
  return new Recognizer(await Network.open(ort, bundle, threads))
}

export type { Decoding } from "./decoder.ts"
export type { DecoderSettings, LanguageContent } from "./language_model.ts"
export { PhonemoError } from "./errors.ts"
export { Recognizer } from "./recognizer.ts"
export type { PredictOptions } from "./recognizer.ts"
export { Stream } from "./stream.ts"
export type { StreamOptions, StreamResult } from "./stream.ts"
export type { StreamEvent } from "./sliding.ts"
export type { BundleCard, Inventory } from "./card.ts"
export type { DimensionData, PhonemeSpan, PredictionData, Scores, SegmentData } from "./prediction.ts"
export type { Profile, ProfileMark } from "./profile.ts"
export type { Recording, Samples } from "./samples.ts"
export type { ReadFile, Source } from "./sources.ts"
export type { Ort, OrtSession, OrtTensor } from "./ort.ts"
export { resample, Resampler } from "./resampler.ts"
