/** Samples and rates as callers pass them. */
import { PhonemoError } from "./errors.js";
import { FRAME_SAMPLES, RATE } from "./frames.js";
import { pythonGeneral } from "./rounding.js";
const LOWEST_RATE = 4_000;
const HIGHEST_RATE = 384_000;
const MAX_LEVEL = 2 ** 31;
const MOST_SECONDS = 7_200;
/** Return samples as float32 with a full scale of 1, the same array where they are that.
 *
 * @param name what messages call them.
 */
export function toFloat32(samples, name = "array") {
    if (samples instanceof Float32Array)
        return samples;
    if (samples instanceof Float64Array)
        return Float32Array.from(samples);
    if (Array.isArray(samples))
        return fromNumbers(samples, name);
    if (samples instanceof Int16Array)
        return Float32Array.from(samples, (value) => value / 2 ** 15);
    if (samples instanceof Int32Array)
        return Float32Array.from(samples, (value) => Math.fround(value) / 2 ** 31);
    const actual = samples?.constructor?.name ?? String(samples);
    throw new PhonemoError("invalid_audio", `${name}: expected float32, float64, int16 or int32, got ${actual}; convert it`);
}
function fromNumbers(samples, name) {
    const index = samples.findIndex((value) => typeof value !== "number");
    if (index < 0)
        return Float32Array.from(samples);
    const actual = samples[index] === null ? "null" : typeof samples[index];
    throw new PhonemoError("invalid_audio", `${name}: expected numbers, got ${actual} at index ${index}; convert it`);
}
/** Check the rate and the samples of a whole recording. */
export function checkedSamples(samples, rate) {
    const values = toFloat32(samples);
    checkWhole(rate, "array");
    if (rate < LOWEST_RATE || rate > HIGHEST_RATE)
        throw new PhonemoError("unsupported_audio", `array: expected a sample rate from ${LOWEST_RATE} to ${HIGHEST_RATE} Hz, got ${rate} Hz`);
    if (!values.length)
        throw new PhonemoError("empty_audio", "array: expected audio, got no samples");
    if (values.length > MOST_SECONDS * rate)
        throw new PhonemoError("audio_too_long", `array: expected at most ${MOST_SECONDS} s, got ${(values.length / rate).toFixed(1)} s or more; split it or ` +
            "raise max_seconds");
    const peak = peakOf(values);
    if (!(peak <= MAX_LEVEL)) {
        const actual = Number.isNaN(peak) ? "NaN (not a number)" : peak === Infinity ? "inf" : pythonGeneral(peak);
        const expected = "expected samples with a full scale of 1";
        throw new PhonemoError("invalid_audio", `array: ${expected}, got ${actual}; write the file again`);
    }
    return values;
}
/** Refuse a recording that is too short for the network, at 16 kHz. */
export function checkLength(samples) {
    if (samples >= FRAME_SAMPLES)
        return;
    if (!samples)
        throw new PhonemoError("empty_audio", "array: no samples could be decoded");
    throw new PhonemoError("too_short", `array: expected at least ${FRAME_SAMPLES} samples at 16 kHz (${FRAME_SAMPLES / RATE} s), got ${samples}`);
}
/** Check the rate of a stream. */
export function checkStreamRate(rate) {
    checkWhole(rate, "stream");
    if (rate < LOWEST_RATE || rate > HIGHEST_RATE)
        throw new PhonemoError("UsageError", `expected a rate of ${LOWEST_RATE} to ${HIGHEST_RATE} Hz, got ${rate} Hz`);
}
/** Copy the next samples of a stream, so that the caller may reuse the buffer. */
export function streamSamples(samples) {
    const values = toFloat32(samples, "stream");
    if (!(peakOf(values) <= MAX_LEVEL))
        throw new PhonemoError("invalid_audio", "stream: expected finite samples with a full scale of 1, got NaN, infinite or far larger ones; leave them out");
    return values.slice();
}
function checkWhole(rate, name) {
    if (Number.isInteger(rate))
        return;
    const isMissing = rate === undefined || rate === null;
    const advice = isMissing ? "pass rate=, the array's samples per second" : "pass a number";
    const actual = isMissing ? "none" : String(rate).slice(0, 40);
    throw new PhonemoError("UsageError", `${name}: expected rate as an integer in hertz, got ${actual}; ${advice}`);
}
/** The highest absolute value, NaN where there is one. */
function peakOf(samples) {
    let peak = 0;
    for (let index = 0; index < samples.length; index++) {
        const value = Math.abs(samples[index]);
        if (Number.isNaN(value))
            return NaN;
        if (value > peak)
            peak = value;
    }
    return peak;
}
