/** Half-overlapping windows cut while samples arrive. */
import { PhonemoError } from "./errors.js";
import { RATE } from "./frames.js";
import { joined } from "./vectors.js";
/** Windows with less speech are skipped. */
export const LEAST_SPEECH_SECONDS = 0.25;
export const WINDOW_SECONDS = 3;
const LEAST_SECONDS = 0.5;
/** Cuts samples, pushed in pieces of any size, into windows; buffers at most one window. */
export class SlidingWindows {
    /** Samples from the start of one window to the start of the next. */
    hop;
    /** Samples received so far. */
    samples = 0;
    #start = 0;
    #pending = [];
    constructor(windowSeconds = WINDOW_SECONDS) {
        if (!(windowSeconds >= LEAST_SECONDS))
            throw new PhonemoError("UsageError", `expected windows of at least ${LEAST_SECONDS} seconds, got ${windowSeconds}`);
        this.hop = Math.floor(Math.trunc(windowSeconds * RATE) / 2);
    }
    /** The windows completed by the next samples. */
    push(samples) {
        this.samples += samples.length;
        this.#pending.push(samples);
        const windows = [];
        if (this.samples < this.#start + 2 * this.hop)
            return windows;
        let pending = joined(this.#pending);
        while (pending.length >= 2 * this.hop) {
            windows.push({ start: this.#start, samples: pending.slice(0, 2 * this.hop) });
            this.#start += this.hop;
            pending = pending.subarray(this.hop);
        }
        this.#pending = [pending.slice()];
        return windows;
    }
    /** The last window, where samples remain that no window covers. */
    finish() {
        const covered = this.#start === 0 ? 0 : this.#start + this.hop;
        if (this.samples <= covered)
            return [];
        return [{ start: this.#start, samples: joined(this.#pending) }];
    }
}
