/** phonemo with onnxruntime-web (wasm). */

import * as ort from "onnxruntime-web/wasm"

import { load as loadWith } from "./index.ts"
import type { LoadOptions } from "./index.ts"
import type { Recognizer } from "./recognizer.ts"
import type { Source } from "./sources.ts"

export * from "./index.ts"

/** Open a bundle with onnxruntime-web/wasm; see `load` of "phonemo". */
export function load(source: Source, options: Partial<LoadOptions> = {}): Promise<Recognizer> {
  return loadWith(source, { ort, ...options })
}
