/** The choice of how phonemes are decoded. */

import { decodePhonemes } from "./alignment.ts"
import type { AlignedPhoneme } from "./alignment.ts"
import { decodeWith } from "./beam_search.ts"
import { PhonemoError } from "./errors.ts"
import { modelOfContent, uniformModel } from "./language_model.ts"
import type { LanguageContent, PhonemeModel } from "./language_model.ts"
import type { Row } from "./vectors.ts"

/** "best-path", "beam-search" (without a language model), "language-model" (the bundle's), or a language's content. */
export type Decoding = "best-path" | "beam-search" | "language-model" | LanguageContent

const NAMES = ["best-path", "beam-search", "language-model"]

/** Decodes phonemes by the best path, or by a beam search with or without a language model. */
export class PhonemeDecoder {
  readonly #symbols: readonly string[]
  readonly #own: PhonemeModel | null
  readonly #chosen: PhonemeModel | null

  /** @param own the bundle's language model, which is the default.
   * @param chosen of the beam search; null is the best path. */
  constructor(symbols: readonly string[], own: PhonemeModel | null, chosen: PhonemeModel | null = own) {
    this.#symbols = symbols
    this.#own = own
    this.#chosen = chosen
  }

  /** The same decoder with another decoding. */
  with(decoding: Decoding): PhonemeDecoder {
    return new PhonemeDecoder(this.#symbols, this.#own, this.#modelOf(decoding))
  }

  /** Decode phonemes from log posteriors (frame, phoneme), the blank first. */
  decode(scores: readonly Row[]): AlignedPhoneme[] {
    return this.#chosen ? decodeWith(scores, this.#chosen) : decodePhonemes(scores)
  }

  #modelOf(decoding: unknown): PhonemeModel | null {
    this.#check(decoding)
    if (decoding === "best-path") return null
    if (decoding === "beam-search") return uniformModel(this.#symbols.length)
    if (decoding === "language-model") return this.#own
    return modelOfContent(decoding, this.#symbols, "the language")
  }

  #check(decoding: unknown): void {
    if (decoding === "language-model" && !this.#own)
      throw usage(
        "expected a bundle with a phoneme language model, got one without; export it with --decoder, or choose " +
          "another decoding",
      )
    const isContent = typeof decoding === "object" && decoding !== null
    if (!isContent && !NAMES.includes(decoding as string)) {
      const got = typeof decoding === "string" ? `'${decoding.slice(0, 60)}'` : String(decoding)
      throw usage(`decoding: expected ${NAMES.join(", ")} or the content of a language's file, got ${got}; choose one`)
    }
    if (decoding !== "best-path" && !this.#symbols.length) {
      const name = isContent ? "a language" : decoding
      throw usage(`decoding: ${name} needs phonemes, and this model has none; open another one`)
    }
  }
}

function usage(message: string): PhonemoError {
  return new PhonemoError("UsageError", message)
}
