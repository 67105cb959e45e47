/** phonemo with onnxruntime-node. */

import * as ort from "onnxruntime-node"

import { load as loadWith } from "./index.ts"
import type { LoadOptions } from "./index.ts"
import type { Recognizer } from "./recognizer.ts"
import type { Source } from "./sources.ts"

export * from "./index.ts"

/** Open a bundle with onnxruntime-node; see `load` of "phonemo". */
export function load(source: Source, options: Partial<LoadOptions> = {}): Promise<Recognizer> {
  return loadWith(source, { ort, ...options })
}
