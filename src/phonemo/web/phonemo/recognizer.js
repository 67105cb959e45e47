/** Emotion recognition for recordings: samples in, a prediction as plain data out. */
import { withDoubt } from "./doubt.js";
import { PhonemoError } from "./errors.js";
import { RATE } from "./frames.js";
import { appliedOf, UNADAPTED } from "./growing_profile.js";
import { resolvedLabels } from "./labels.js";
import { LevelMeter } from "./levels.js";
import { checkOptions } from "./options.js";
import { among, predictionData, top } from "./prediction.js";
import { checkedProfile } from "./profile.js";
import { resample } from "./resampler.js";
import { checkedSamples, checkLength } from "./samples.js";
import { SlidingInference } from "./sliding.js";
import { adaptable, Stream } from "./stream.js";
import { segmentOf } from "./timeline.js";
import { VadTrack } from "./vad.js";
import { VectorPool } from "./vector_pool.js";
import { LEAST_SPEECH_SECONDS, SlidingWindows, WINDOW_SECONDS } from "./windows.js";
/** Samples at 16 kHz that are processed between two calls of `progress`. */
const PIECE = RATE;
const OPTIONS = ["phonemes", "timeline", "emotions", "topK", "profile", "progress"];
const STREAM_OPTIONS = ["phonemes", "adapt"];
/** Recognizes emotions with a bundle, in samples of any rate. */
export class Recognizer {
    #network;
    #applied;
    /** Made by `load`. */
    constructor(network, applied = UNADAPTED) {
        this.#network = network;
        this.#applied = applied;
    }
    /** The content of bundle.json. */
    get card() {
        return this.#network.card;
    }
    /** The emotions, in the order of the scores. */
    get labels() {
        return this.card.labels;
    }
    /** Mark of the profile that is applied; null without one. */
    get applied() {
        return this.#applied.mark;
    }
    /** Whether the model takes profiles. */
    get takesProfiles() {
        return this.#network.reference !== null;
    }
    /** Seconds of a window of long recordings and streams; a new one starts after half of it. */
    get windowSeconds() {
        return WINDOW_SECONDS;
    }
    /** Predict the emotion of one recording.
     *
     * @param samples mono; copied, so that the caller may reuse or transfer them at once.
     * @param rate samples per second.
     */
    async predict(samples, rate, options = {}) {
        checkOptions("predict", options, OPTIONS);
        const recording = opened(samples, rate);
        const { profile } = options;
        const adapted = profile === undefined ? this : await this.withProfile(profile);
        return adapted.#predictOpened(recording, options);
    }
    /** Open a stream of mono samples. */
    stream(rate = RATE, options = {}) {
        checkOptions("stream", options, STREAM_OPTIONS);
        const whole = (clip, warnings, segments) => this.#predictWhole(clip, warnings, options, segments);
        return new Stream(this.#network, rate, options, this.#applied, whole);
    }
    /** Return a recognizer that applies a profile and shares this one's network.
     *
     * @param profile parsed JSON or the text of a profile's file; null applies none.
     */
    async withProfile(profile) {
        if (profile === null || profile === undefined)
            return new Recognizer(this.#network);
        const reference = adaptable(this.#network);
        return new Recognizer(this.#network, await appliedOf(checkedProfile(profile, reference), reference));
    }
    /** Return a recognizer with another decoding of phonemes, which shares this one's network.
     *
     * @param decoding "best-path", "beam-search", "language-model" (the bundle's), or the parsed content of a language's
     * file such as english.json. By default the bundle's language model, or the best path. Scores do not depend on it.
     */
    withDecoding(decoding) {
        return new Recognizer(this.#network.withDecoding(decoding), this.#applied);
    }
    /** Compute a source's profile from unlabeled recordings; those that cannot be used are left out. */
    async profile(recordings) {
        const pool = new VectorPool(adaptable(this.#network));
        if (!Array.isArray(recordings))
            throw new PhonemoError("UsageError", "expected recordings as a list of { samples, rate }, got another; pass an array");
        for (const recording of recordings) {
            try {
                const { samples, rate } = recording ?? {};
                await this.#addVectors(pool, opened(samples, rate).clip);
            }
            catch (error) {
                if (!(error instanceof PhonemoError))
                    throw error;
                pool.failed++;
            }
        }
        return pool.profile();
    }
    /** Free the network's memory; recognizers that share it must not be used any more. */
    async release() {
        await this.#network.release();
    }
    async #predictOpened({ clip, warnings }, options) {
        const found = this.#isLong(clip)
            ? await this.#predictLong(clip, warnings, options)
            : await this.#predictWhole(clip, warnings, options);
        return predictionData(this.#narrowed(found, options));
    }
    #isLong(clip) {
        return clip.length > this.card.window_seconds * RATE;
    }
    async #predictLong(clip, warnings, options) {
        const inference = await this.#windowed(clip, options);
        return withDoubt(await inference.answer(warnings), this.card.abstain_below);
    }
    async #predictWhole(clip, warnings, options, timeline = []) {
        const found = await this.#network.recognize(clip, options.phonemes ?? false, this.#applied.affine);
        const ratio = VadTrack.ofClip(clip).share(0, clip.length);
        const whole = segmentOf(0, clip.length, this.labels, found.row, this.#network.dimensions);
        const parts = options.timeline && ratio ? (await this.#windowed(clip, {})).segments : timeline;
        const prediction = {
            label: whole.label,
            scores: whole.scores,
            seconds: clip.length / RATE,
            spans: found.spans,
            warnings: ratio ? warnings : [...warnings, "no_speech"],
            segments: ratio ? (parts.length ? parts : [whole]) : [],
            speechRatio: ratio,
            profile: this.#applied.mark,
            dimensions: whole.dimensions,
        };
        return withDoubt(prediction, this.card.abstain_below);
    }
    async #windowed(clip, { phonemes, progress }) {
        const inference = new SlidingInference(this.#network, phonemes ?? false, this.#applied);
        for (let start = 0; start < clip.length; start += PIECE) {
            await inference.push(clip.subarray(start, start + PIECE));
            progress?.(Math.min(1, (start + PIECE) / clip.length));
        }
        await inference.finish();
        return inference;
    }
    #narrowed(found, { emotions, topK }) {
        const chosen = emotions && emotions.length !== 0 ? among(found, resolvedLabels(this.labels, emotions)) : found;
        return topK === undefined ? chosen : top(chosen, topK);
    }
    /** Add a recording's vector; of a long one those of every second window, as they overlap by half. */
    async #addVectors(pool, clip) {
        const isLong = this.#isLong(clip);
        const track = isLong ? new VadTrack() : VadTrack.ofClip(clip);
        if (isLong)
            track.push(clip);
        const cutter = new SlidingWindows();
        const windows = isLong ? [...cutter.push(clip), ...cutter.finish()] : [{ start: 0, samples: clip }];
        const before = pool.size;
        for (const { start, samples } of windows) {
            const seconds = track.seconds(start, start + samples.length);
            const counts = isLong ? start % (2 * cutter.hop) === 0 && seconds >= LEAST_SPEECH_SECONDS : seconds > 0;
            if (counts)
                pool.add(await this.#vectorOf(samples), seconds);
        }
        if (pool.size === before)
            pool.silent++;
    }
    async #vectorOf(samples) {
        const { vector } = await this.#network.recognize(samples, false, null);
        if (vector)
            return vector;
        throw new PhonemoError("ModelError", "this model outputs no vector for a profile; export it again");
    }
}
/** Check a recording, and convert it to 16 kHz. */
function opened(samples, rate) {
    const values = checkedSamples(samples, rate);
    const level = new LevelMeter();
    level.updateRaw(values);
    const clip = resample(values, rate);
    level.updateMono(clip);
    checkLength(clip.length);
    return { clip: clip === samples ? clip.slice() : clip, warnings: level.warnings() };
}
