/** The runtimes that the tests run with: PHONEMO_RUNTIME=node or web chooses one. */

import type { Ort } from "../src/ort.ts"

const modules: Record<string, string> = { node: "onnxruntime-node", web: "onnxruntime-web/wasm" }
const chosen = process.env.PHONEMO_RUNTIME

export const runtimes: [string, Ort][] = []
for (const [name, module] of Object.entries(modules)) {
  if (chosen && chosen !== name) continue
  const ort = await import(module)
  if (ort.env.wasm) ort.env.wasm.numThreads = 1
  ort.env.logLevel = "fatal"
  runtimes.push([name, ort])
}
