/** Bundles: a trained network as a folder of files, verified by their SHA-256. */
import { CARD, parseCard } from "./card.js";
import { PhonemoError } from "./errors.js";
import { sha256 } from "./hashing.js";
const MODEL = "model.onnx";
const HEAD = "head.onnx";
const ADAPTATION = "adaptation.npz";
const DECODER = "phonemes.npz";
/** Read and check a bundle. */
export async function openBundle(read) {
    const card = parseCard(await read(CARD));
    const [model, head, adaptation, decoder] = await Promise.all([
        readModel(read, card),
        card.head_sha256 ? readVerified(read, HEAD, card.head_sha256) : null,
        card.adaptation_sha256 ? readVerified(read, ADAPTATION, card.adaptation_sha256) : null,
        card.decoder_sha256 ? readVerified(read, DECODER, card.decoder_sha256) : null,
    ]);
    return { card, model, head, adaptation, decoder };
}
/** The network, which may be that of an adjacent bundle or a copy of it in this one. */
async function readModel(read, card) {
    if (!card.network)
        return readVerified(read, MODEL, card.sha256);
    try {
        return await readVerified(read, `../${card.network}/${MODEL}`, card.sha256);
    }
    catch (error) {
        try {
            return await readVerified(read, MODEL, card.sha256);
        }
        catch {
            throw error; // the message that names the shared network
        }
    }
}
async function readVerified(read, name, expected) {
    const content = await read(name);
    const digest = await sha256(content);
    if (digest !== expected)
        throw new PhonemoError("CheckpointError", `${name}: expected SHA-256 ${expected.slice(0, 12)}... (${CARD}), got ${digest.slice(0, 12)}...; copy the ` +
            "whole folder again");
    return content;
}
