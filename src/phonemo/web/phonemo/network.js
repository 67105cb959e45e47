/** A bundle's networks with their card: one clip in, scores, phonemes and vector out. */
import { withShares } from "./attribution.js";
import { logSoftmax, scaledSoftmax } from "./calibration.js";
import { gridOf } from "./card.js";
import { PhonemeDecoder } from "./decoder.js";
import { dimensionReader } from "./dimensions.js";
import { PhonemoError } from "./errors.js";
import { RATE } from "./frames.js";
import { Graph, Head } from "./graph.js";
import { boostQuiet } from "./levels.js";
import { unpackedModel } from "./language_model.js";
import { timePhonemes } from "./phoneme_times.js";
import { headLogits, readReference } from "./reference.js";
/** An opened bundle in onnxruntime. */
export class Network {
    card;
    reference;
    dimensions;
    #graph;
    #head;
    #grid;
    #decoder;
    constructor(card, reference, graph, head, decoder) {
        this.card = card;
        this.reference = reference;
        this.dimensions = dimensionReader(card.labels, card.dimensions?.names ?? null);
        this.#graph = graph;
        this.#head = head;
        this.#grid = gridOf(card);
        this.#decoder = decoder;
        checkParts(card, reference, graph, head);
    }
    static async open(ort, bundle, threads) {
        const { card, adaptation } = bundle;
        const reference = adaptation && (await readReference(adaptation, card.labels.length));
        const graph = await Graph.open(ort, bundle.model, threads);
        const head = bundle.head && (await Head.open(ort, bundle.head, threads));
        return new Network(card, reference, graph, head, await decoderOf(bundle));
    }
    /** The same network with another decoding of phonemes. */
    withDecoding(decoding) {
        return new Network(this.card, this.reference, this.#graph, this.#head, this.#decoder.with(decoding));
    }
    /** Process one clip at 16 kHz.
     *
     * @param shares whether to add each phoneme's contribution to the winning score.
     * @param affine a profile's map.
     */
    async recognize(samples, shares, affine) {
        const logits = await this.#logits(samples, affine);
        const scores = scaledSoftmax(logits.emotions, this.card.temperature);
        const row = Float64Array.from([...scores, ...(logits.dimensions ?? [])]);
        let spans = this.#spans(logits, samples.length);
        if (shares && spans?.length)
            spans = await this.#withShares(logits, spans, affine);
        return { row, spans, vector: logits.vector };
    }
    async release() {
        await this.#graph.release();
        await this.#head?.release();
    }
    /** A shared network has the emotion head of the reference; its map is not the graph's. */
    async #logits(samples, affine) {
        const { card, reference } = this;
        const clip = card.normalise ? boostQuiet(samples) : samples;
        const logits = await this.#graph.recognize(clip, card.fewest_samples, card.network ? null : affine);
        if (!card.network || !reference)
            return logits;
        return { ...logits, emotions: Float32Array.from(headLogits(reference, logits.vector, affine)) };
    }
    #spans({ phonemes }, samples) {
        const symbols = this.card.inventory?.symbols;
        if (!symbols || !phonemes)
            return null;
        const scores = phonemes.map(logSoftmax);
        return namedSpans(this.#decoder.decode(scores), scores, symbols, this.#grid, samples);
    }
    async #withShares(logits, spans, affine) {
        const { frames, features } = logits;
        const head = this.#head;
        if (!head || !features)
            throw new PhonemoError("CheckpointError", "expected head.onnx for the phonemes' shares in the emotion; export the model again");
        const decide = async (kept) => (await head.logits(features, kept, affine)).map((row) => scaledSoftmax(row, this.card.temperature));
        return withShares(spans, decide, this.#grid, frames, features.length / frames);
    }
}
async function decoderOf({ card, decoder }) {
    const symbols = card.inventory?.symbols ?? [];
    return new PhonemeDecoder(symbols, decoder && symbols.length ? await unpackedModel(decoder, symbols.length) : null);
}
/** Name decoded phonemes, in seconds. */
function namedSpans(aligned, scores, symbols, grid, samples) {
    return timePhonemes(aligned, scores, grid, samples).map(({ symbol, startSample, endSample, confidence }) => ({
        symbol: symbols[symbol],
        start: startSample / RATE,
        end: endSample / RATE,
        confidence,
    }));
}
function checkParts(card, reference, graph, head) {
    const width = graph.width;
    const widths = [head ? head.width : width, reference ? reference.centre.length : width];
    if (widths.some((other) => other !== width))
        throw new PhonemoError("CheckpointError", `a profile maps ${width || "no"} features in model.onnx, ${widths[0] || "none"} in head.onnx, ` +
            `${widths[1] || "none"} in adaptation.npz; export the model again`);
    if (graph.hasPhonemes !== (card.inventory !== null) || graph.hasDimensions !== Boolean(card.dimensions))
        throw new PhonemoError("CheckpointError", "expected the phonemes and dimensions of the card, got a network of others; export the model again");
}
