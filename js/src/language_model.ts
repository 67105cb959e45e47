/** A phoneme language model: n-gram counts, interpolated with Witten and Bell's weights.
 *
 * Index 0, CTC's blank, stands for the start and the end of an utterance. A context is its phonemes' index in
 * base `symbols`; that of the start is 0.
 */

import { PhonemoError } from "./errors.ts"
import { readNpz } from "./npz.ts"
import type { NpyArray } from "./npz.ts"

const ORDERS = [2, 3]
const MOST_SYMBOLS = 255
const MOST_COUNT = 2 ** 32 - 1
const MOST_BEAM = 1000
/** The start and the end of an utterance, in a language's n-grams. */
const BOUNDARY = "#"
/** A model must have the phonemes of this share of the counted n-grams. */
const LEAST_SHARE = 0.95

/** How a language model is combined with the network's posteriors. */
export interface DecoderSettings {
  /** Factor of the language model's log probabilities; the network's have 1. */
  weight: number
  /** Added for each phoneme (natural logarithm), as longer strings have lower probabilities. */
  bonus: number
  /** Prefixes kept in each frame. */
  beam: number
}

/** The content of a language's file, such as english.json: n-grams of phonemes by name, with their counts. */
export interface LanguageContent {
  settings: DecoderSettings
  ngrams: Readonly<Record<string, number>>
}

/** An n-gram as indices, and its count. */
type Gram = readonly [readonly number[], number]

/** Natural log probabilities of each phoneme after a context. */
export class PhonemeModel {
  readonly symbols: number
  readonly settings: DecoderSettings
  readonly #order: number
  /** By order, from 1: context -> phoneme -> count. */
  readonly #counts: Map<number, Map<number, number>>[] = []
  /** By order, from 1: context -> probabilities. Rows are computed when they are first used. */
  readonly #known: Map<number, Float64Array>[] = []
  readonly #rows = new Map<number, Float32Array>()

  constructor(symbols: number, order: number, grams: readonly Gram[], settings: DecoderSettings) {
    this.symbols = symbols
    this.settings = settings
    this.#order = order
    for (let length = 0; length <= order; length++) {
      this.#counts.push(new Map())
      this.#known.push(new Map())
    }
    for (const [gram, count] of grams) if (count) this.#add(gram, count)
  }

  /** Log probabilities by phoneme; the first is the end of the utterance. */
  rowAfter(context: number): Float32Array {
    const known = this.#rows.get(context) ?? Float32Array.from(this.#probabilities(this.#order, context), Math.log)
    this.#rows.set(context, known)
    return known
  }

  /** The context after one more phoneme. */
  contextAfter(context: number, symbol: number): number {
    return (context * this.symbols + symbol) % this.symbols ** (this.#order - 1)
  }

  /** Count an n-gram, and its ends in the lower orders. */
  #add(gram: readonly number[], count: number): void {
    for (let order = 1; order <= this.#order; order++) {
      const end = gram.slice(this.#order - order)
      const context = end.slice(0, -1).reduce((index, symbol) => index * this.symbols + symbol, 0)
      const after = this.#counts[order].get(context) ?? new Map<number, number>()
      this.#counts[order].set(context, after)
      const symbol = end[order - 1]
      after.set(symbol, (after.get(symbol) ?? 0) + count)
    }
  }

  /** Probabilities of one order: the more kinds follow a context, the more the lower order counts. */
  #probabilities(order: number, context: number): Float64Array {
    if (order === 0) return new Float64Array(this.symbols).fill(1 / this.symbols)
    const known = this.#known[order].get(context)
    if (known) return known
    const below = this.#probabilities(order - 1, order > 1 ? context % this.symbols ** (order - 2) : 0)
    const after = this.#counts[order].get(context) ?? new Map<number, number>()
    const kinds = Math.max(after.size, 1)
    let total = 0
    for (const count of after.values()) total += count
    const mixed = below.map((value, symbol) => ((after.get(symbol) ?? 0) + kinds * value) / (total + kinds))
    this.#known[order].set(context, mixed)
    return mixed
  }
}

/** A model without knowledge: the beam search then only adds up the paths of each string. */
export function uniformModel(symbols: number): PhonemeModel {
  checkSize(symbols)
  return new PhonemeModel(symbols, ORDERS[0], [], { weight: 0, bonus: 0, beam: 8 })
}

/** The model in a bundle's phonemes.npz.
 *
 * @param symbols size of the inventory, blank included.
 */
export async function unpackedModel(content: Uint8Array, symbols: number): Promise<PhonemeModel> {
  const { found, order, grams, settings } = await unpackedCounts(content)
  if (found !== symbols)
    throw checkpoint(`expected ${symbols} symbols as in the card, got ${found}`)
  return new PhonemeModel(symbols, order, grams, settings)
}

/** The model of a language's file for an inventory.
 *
 * @param content parsed JSON.
 * @param symbols the inventory's phonemes, the blank first.
 * @param language its name, for messages.
 */
export function modelOfContent(content: unknown, symbols: readonly string[], language: string): PhonemeModel {
  checkSize(symbols.length)
  if (!isLanguage(content))
    throw usage(`${language}: expected n-grams of 2 or 3 phonemes with their counts, and settings; count them again`)
  const counted = Object.entries(content.ngrams).map(([gram, count]) => [gram.split(" "), count] as const)
  const index = new Map(symbols.map((name, place) => [place ? name : BOUNDARY, place]))
  const known = counted.filter(([gram]) => gram.every((name) => index.has(name)))
  const total = (rows: typeof counted): number => rows.reduce((sum, [, count]) => sum + count, 0)
  if (total(known) < LEAST_SHARE * total(counted)) {
    const lacking = [...new Set(counted.flatMap(([gram]) => gram))].filter((name) => !index.has(name)).sort(byCodePoint)
    throw usage(
      `expected a model with the phonemes of ${language}, got one without ${lacking.slice(0, 5).join(", ")}; ` +
        "choose another model, or best-path",
    )
  }
  const grams = known.map(([gram, count]): Gram => [gram.map((name) => index.get(name)!), count])
  return new PhonemeModel(symbols.length, counted[0][0].length, grams, content.settings)
}

async function unpackedCounts(content: Uint8Array) {
  let arrays: Map<string, NpyArray>
  try {
    arrays = await readNpz(content)
  } catch (cause) {
    throw checkpoint("expected n-gram counts of phonemes", cause)
  }
  const [symbols, grams, counts, numbers] = ["symbols", "grams", "counts", "settings"].map((name) => arrays.get(name))
  const order = grams?.shape[1] ?? 0
  const [weight, bonus, beam] = numbers?.values ?? []
  const settings = { weight, bonus, beam: Math.trunc(beam) }
  const found = symbols?.values[0] ?? 0
  const isRight =
    symbols?.shape.length === 0 && grams?.dtype === "|u1" && counts?.dtype === "<u4" &&
    grams.shape.length === 2 && ORDERS.includes(order) && counts.shape.length === 1 && counts.shape[0] === grams.shape[0] &&
    numbers?.shape.join() === "3" && areSettings(settings) && found >= 2 && found <= MOST_SYMBOLS &&
    grams.values.every((symbol) => symbol < found)
  if (!isRight) throw checkpoint("expected n-gram counts of phonemes")
  const rows = Array.from(counts!.values, (count, row): Gram => [Array.from(grams!.values.subarray(row * order, (row + 1) * order)), count])
  return { found, order, grams: rows, settings }
}

function isLanguage(content: unknown): content is LanguageContent {
  const { settings, ngrams } = (content ?? {}) as Partial<LanguageContent>
  if (!areSettings(settings) || typeof ngrams !== "object" || ngrams === null) return false
  const lengths = new Set(Object.keys(ngrams).map((gram) => gram.split(" ").length))
  const areCounts = Object.values(ngrams).every((count) => Number.isInteger(count) && count >= 0 && count <= MOST_COUNT)
  return areCounts && Object.values(ngrams).some(Boolean) && lengths.size === 1 && ORDERS.includes([...lengths][0])
}

function areSettings(settings: Partial<DecoderSettings> | undefined): settings is DecoderSettings {
  const { weight, bonus, beam, ...others } = settings ?? {}
  return (
    Object.keys(others).length === 0 &&
    Number.isFinite(weight) && weight! >= 0 && Number.isFinite(bonus) &&
    Number.isInteger(beam) && beam! >= 1 && beam! <= MOST_BEAM
  )
}

function checkSize(symbols: number): void {
  if (symbols > MOST_SYMBOLS)
    throw usage(`expected a model of at most ${MOST_SYMBOLS} symbols, got ${symbols}; choose best-path`)
}

/** Python's order of texts. */
function byCodePoint(left: string, right: string): number {
  const [one, other] = [left, right].map((text) => Array.from(text, (letter) => letter.codePointAt(0)!))
  const place = one.findIndex((code, number) => code !== other[number])
  return place < 0 ? one.length - other.length : one[place] - (other[place] ?? -1)
}

function usage(message: string): PhonemoError {
  return new PhonemoError("UsageError", message)
}

function checkpoint(fault: string, cause?: unknown): PhonemoError {
  return new PhonemoError("CheckpointError", `phonemes.npz: ${fault}; export the model again`, { cause })
}
