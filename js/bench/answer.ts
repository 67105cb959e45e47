/** Predicts clips that another program names, one JSON line each: used by benchmarks/js_runtime.py.
 *
 *   node js/bench/answer.ts node|web MODELS_FOLDER BUNDLE [DECODING or a language's file]
 *
 * A line of the input is {"clip": file of float32 at 16 kHz, "phonemes": true}; of the output,
 * {"prediction": ..., "seconds": of the prediction alone}.
 */

import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"

import { load } from "../src/index.ts"

const [runtime, folder, model, decoding] = process.argv.slice(2)
const ort = await import(runtime === "node" ? "onnxruntime-node" : "onnxruntime-web/wasm")
const opened = await load(folder, { ort, model, threads: 1 })
const chosen = decoding?.endsWith(".json") ? JSON.parse(readFileSync(decoding, "utf8")) : decoding
const recognizer = chosen ? opened.withDecoding(chosen) : opened

for await (const line of createInterface({ input: process.stdin })) {
  const { clip, phonemes } = JSON.parse(line)
  const bytes = readFileSync(clip)
  const samples = new Float32Array(new Uint8Array(bytes).buffer)
  const began = performance.now()
  const prediction = await recognizer.predict(samples, 16_000, { phonemes })
  const seconds = (performance.now() - began) / 1000
  process.stdout.write(`${JSON.stringify({ prediction, seconds })}\n`)
}
process.exit(0)
