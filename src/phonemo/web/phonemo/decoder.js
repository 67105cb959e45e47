/** The choice of how phonemes are decoded. */
import { decodePhonemes } from "./alignment.js";
import { decodeWith } from "./beam_search.js";
import { PhonemoError } from "./errors.js";
import { modelOfContent, uniformModel } from "./language_model.js";
const NAMES = ["best-path", "beam-search", "language-model"];
/** Decodes phonemes by the best path, or by a beam search with or without a language model. */
export class PhonemeDecoder {
    #symbols;
    #own;
    #chosen;
    /** @param own the bundle's language model, which is the default.
     * @param chosen of the beam search; null is the best path. */
    constructor(symbols, own, chosen = own) {
        this.#symbols = symbols;
        this.#own = own;
        this.#chosen = chosen;
    }
    /** The same decoder with another decoding. */
    with(decoding) {
        return new PhonemeDecoder(this.#symbols, this.#own, this.#modelOf(decoding));
    }
    /** Decode phonemes from log posteriors (frame, phoneme), the blank first. */
    decode(scores) {
        return this.#chosen ? decodeWith(scores, this.#chosen) : decodePhonemes(scores);
    }
    #modelOf(decoding) {
        this.#check(decoding);
        if (decoding === "best-path")
            return null;
        if (decoding === "beam-search")
            return uniformModel(this.#symbols.length);
        if (decoding === "language-model")
            return this.#own;
        return modelOfContent(decoding, this.#symbols, "the language");
    }
    #check(decoding) {
        if (decoding === "language-model" && !this.#own)
            throw usage("expected a bundle with a phoneme language model, got one without; export it with --decoder, or choose " +
                "another decoding");
        const isContent = typeof decoding === "object" && decoding !== null;
        if (!isContent && !NAMES.includes(decoding)) {
            const got = typeof decoding === "string" ? `'${decoding.slice(0, 60)}'` : String(decoding);
            throw usage(`decoding: expected ${NAMES.join(", ")} or the content of a language's file, got ${got}; choose one`);
        }
        if (decoding !== "best-path" && !this.#symbols.length) {
            const name = isContent ? "a language" : decoding;
            throw usage(`decoding: ${name} needs phonemes, and this model has none; open another one`);
        }
    }
}
function usage(message) {
    return new PhonemoError("UsageError", message);
}
