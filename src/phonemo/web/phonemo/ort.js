/** What this package uses of onnxruntime-web and onnxruntime-node, which the caller passes. */
import { PhonemoError } from "./errors.js";
/** A session whose runs wait for each other: onnxruntime-web cannot run two at once. */
export class Session {
    #session;
    #turn = Promise.resolve();
    #released;
    constructor(session) {
        this.#session = session;
    }
    /** Open a network.
     *
     * @param threads threads per run; undefined leaves the choice to onnxruntime. In a browser it counts for
     * the first session of a page.
     */
    static async open(ort, model, threads) {
        if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
            throw new PhonemoError("UsageError", `expected 1 or more threads, got threads=${threads}`);
        if (threads !== undefined && ort.env?.wasm)
            ort.env.wasm.numThreads = threads;
        const options = { logSeverityLevel: 4, enableMemPattern: false };
        const threaded = threads === undefined ? options : { ...options, intraOpNumThreads: threads };
        try {
            return new Session(await ort.InferenceSession.create(model, threaded));
        }
        catch (cause) {
            throw new PhonemoError("CheckpointError", `onnxruntime cannot open the network (${firstLine(cause)}); update onnxruntime, or export the model again`, { cause });
        }
    }
    get inputs() {
        return this.#session.inputNames;
    }
    get outputs() {
        return this.#session.outputNames;
    }
    /** The size of the last axis of an input; null where it is unknown or dynamic. */
    lastAxis(input) {
        const metadata = this.#session.inputMetadata?.[this.inputs.indexOf(input)];
        const size = metadata?.shape?.at(-1);
        return typeof size === "number" ? size : null;
    }
    /** Run; `size` describes the input in error messages. */
    async run(feeds, size) {
        const result = this.#turn.then(() => this.#session.run(feeds));
        this.#turn = result.catch(() => undefined);
        try {
            return await result;
        }
        catch (cause) {
            throw new PhonemoError("ModelError", `onnxruntime fails on ${size} (${firstLine(cause)}); free memory, or export the model again`, { cause });
        }
    }
    /** Free the memory, after the runs that wait. */
    release() {
        this.#released ??= this.#turn.then(() => this.#session.release?.());
        return this.#released;
    }
}
function firstLine(error) {
    const text = error instanceof Error ? error.message : String(error);
    return text.trim().split("\n")[0] || "no message";
}
