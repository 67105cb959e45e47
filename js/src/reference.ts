/** A model's statistics of its training sources, with its linear emotion head: adaptation.npz. */

import { flattened } from "./calibration.ts"
import { PhonemoError } from "./errors.ts"
import { sha256 } from "./hashing.ts"
import { readNpz } from "./npz.ts"
import type { NpyArray } from "./npz.ts"
import type { Row } from "./vectors.ts"

const ARRAYS = ["centre", "spread", "class_means", "weight", "bias"] as const
const NUMBERS = ["k_mean", "k_spread", "em_iterations", "radius"] as const
const MOST_ITERATIONS = 1000

/** The map v * scale + shift of a vector. */
export interface Affine {
  scale: Float64Array
  shift: Float64Array
}

/** "Standardized" means minus `centre`, divided by `spread`. */
export interface Reference {
  centre: Float64Array
  /** Deviations, above 0. */
  spread: Float64Array
  /** (emotion, feature), standardized. */
  classMeans: Float64Array[]
  /** (emotion, feature), of standardized vectors. */
  weight: Float64Array[]
  bias: Float64Array
  kMean: number
  kSpread: number
  emIterations: number
  /** Distance of a standardized vector beyond which the logits are flattened. */
  radius: number
  /** SHA-256 of the vector space and the head, in float32. */
  digest: string
}

/** The head's logits of a vector under a profile's map. */
export function headLogits(
  reference: Pick<Reference, "centre" | "spread" | "weight" | "bias" | "radius">,
  vector: Row,
  map: Affine | null = null,
): Float64Array {
  const { centre, spread, weight, bias, radius } = reference
  const standardized = Float64Array.from(vector, (value, index) => {
    const mapped = map ? value * map.scale[index] + map.shift[index] : value
    return (mapped - centre[index]) / spread[index]
  })
  const logits = weight.map((row, emotion) =>
    row.reduce((total, value, index) => total + value * standardized[index], 0) + bias[emotion],
  )
  return flattened(logits, standardized, radius)
}

/** Read the reference from the content of adaptation.npz. */
export async function readReference(content: Uint8Array, emotions: number): Promise<Reference> {
  let arrays: Map<string, NpyArray>
  try {
    arrays = await readNpz(content)
    for (const name of [...ARRAYS, ...NUMBERS]) if (!arrays.has(name)) throw new Error(`expected ${name}`)
  } catch (error) {
    throw invalid("cannot be read as numpy arrays", error)
  }
  const fault = faultOf(arrays, emotions)
  if (fault) throw invalid(fault)
  const rows = (name: string): Float64Array[] => rowsOf(arrays.get(name)!)
  const number = (name: string): number => arrays.get(name)!.values[0]
  return {
    centre: rows("centre")[0],
    spread: rows("spread")[0],
    classMeans: rows("class_means"),
    weight: rows("weight"),
    bias: rows("bias")[0],
    kMean: number("k_mean"),
    kSpread: number("k_spread"),
    emIterations: number("em_iterations"),
    radius: number("radius"),
    digest: await digestOf(ARRAYS.map((name) => arrays.get(name)!)),
  }
}

function rowsOf({ shape, values }: NpyArray): Float64Array[] {
  const width = shape[shape.length - 1]
  const count = shape.length === 1 ? 1 : shape[0]
  return Array.from({ length: count }, (_, row) => Float64Array.from(values.subarray(row * width, (row + 1) * width)))
}

/** The digest of arrays in their order, as Python writes their shapes and float32 values. */
export async function digestOf(arrays: readonly Pick<NpyArray, "shape" | "values">[]): Promise<string> {
  const parts = arrays.flatMap(({ shape, values }) => {
    const text = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`
    return [new TextEncoder().encode(text), new Uint8Array(Float32Array.from(values).buffer)]
  })
  const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let position = 0
  for (const part of parts) {
    all.set(part, position)
    position += part.length
  }
  return sha256(all)
}

function faultOf(arrays: Map<string, NpyArray>, emotions: number): string | null {
  if (ARRAYS.some((name) => arrays.get(name)!.dtype !== "<f4")) return "expected float32 arrays"
  const centre = arrays.get("centre")!.shape
  const width = centre.length === 1 ? centre[0] : 0
  const shapes: Record<string, number[]> = { centre: [width], spread: [width], bias: [emotions] }
  shapes.class_means = shapes.weight = [emotions, width]
  for (const [name, shape] of Object.entries(shapes)) {
    const { shape: actual, values } = arrays.get(name)!
    const fits = width > 0 && actual.join() === shape.join() && values.length === shape.reduce((a, b) => a * b, 1)
    if (!fits) return `expected ${name} of shape (${shape.join(", ")}), not empty, got (${actual.join(", ")})`
  }
  const numbers = NUMBERS.map((name) => arrays.get(name)!)
  if (numbers.some(({ shape, dtype, values }) => shape.length || dtype !== "<f8" || values.length !== 1))
    return `expected numbers in ${NUMBERS.slice(0, -1).join(", ")} and ${NUMBERS.at(-1)}`
  const [kMean, kSpread, iterations, radius] = numbers.map(({ values }) => values[0])
  if (!(radius > 0)) return "expected a radius above 0"
  const finite = ARRAYS.every((name) => arrays.get(name)!.values.every(Number.isFinite))
  if (!finite || ![kMean, kSpread, iterations].every(Number.isFinite)) return "expected finite numbers, got NaN or infinity"
  if (!arrays.get("spread")!.values.every((value) => value > 0)) return "expected a spread above 0"
  if (Math.min(kMean, kSpread, iterations) < 0) return "expected k_mean, k_spread and em_iterations of 0 or more"
  if (iterations > MOST_ITERATIONS || !Number.isInteger(iterations))
    return `expected a whole number of em_iterations up to ${MOST_ITERATIONS}`
  return null
}

function invalid(fault: string, cause?: unknown): PhonemoError {
  return new PhonemoError("CheckpointError", `adaptation.npz: ${fault}; export the model again`, { cause })
}
