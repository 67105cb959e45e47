/** Speech emotion recognition with a phonemo bundle; onnxruntime is passed by the caller. */
import { openBundle } from "./bundle.js";
import { PhonemoError } from "./errors.js";
import { Network } from "./network.js";
import { checkOptions } from "./options.js";
import { Recognizer } from "./recognizer.js";
import { readerOf } from "./sources.js";
/** Open a bundle, which is verified by its checksums.
 *
 * @param source its folder's path (Node) or address, or a function from a file's name to its content.
 */
export async function load(source, options) {
    checkOptions("load", options ?? {}, ["ort", "model", "threads"]);
    const { ort, model, threads } = options ?? {};
    if (!ort?.InferenceSession)
        throw new PhonemoError("UsageError", "expected onnxruntime-web or onnxruntime-node as ort, got none; pass { ort }, or import phonemo/node or phonemo/web");
    const bundle = await openBundle(readerOf(source, model));
    return new Recognizer(await Network.open(ort, bundle, threads));
}
export { PhonemoError } from "./errors.js";
export { Recognizer } from "./recognizer.js";
export { Stream } from "./stream.js";
export { resample, Resampler } from "./resampler.js";
