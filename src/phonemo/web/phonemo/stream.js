/** Emotion recognition for live streams: samples in, events out. */
import { withDoubt } from "./doubt.js";
import { PhonemoError } from "./errors.js";
import { RATE } from "./frames.js";
import { GrowingProfile } from "./growing_profile.js";
import { LevelMeter } from "./levels.js";
import { predictionData } from "./prediction.js";
import { Resampler } from "./resampler.js";
import { checkStreamRate, streamSamples } from "./samples.js";
import { SlidingInference } from "./sliding.js";
import { joined } from "./vectors.js";
/** Recognizes emotions in a live stream; `push` may be called without waiting for the one before. */
export class Stream {
    #network;
    #growing;
    #first;
    #inference;
    #resampler;
    #level = new LevelMeter();
    #kept;
    #keptSamples = 0;
    #predictWhole;
    #turn = Promise.resolve();
    #isFinished = false;
    /** Made by `Recognizer.stream`. */
    constructor(network, rate, options, applied, predictWhole) {
        checkStreamRate(rate);
        this.#network = network;
        this.#first = applied;
        this.#growing = options.adapt ? new GrowingProfile(adaptable(network), applied) : null;
        this.#inference = new SlidingInference(network, options.phonemes ?? false, applied, this.#growing);
        this.#resampler = rate === RATE ? null : new Resampler(rate);
        this.#kept = options.adapt ? null : [];
        this.#predictWhole = predictWhole;
    }
    /** Mark of the profile that is applied to the next window; null without one. */
    get applied() {
        return (this.#growing?.applied ?? this.#first).mark;
    }
    /** The profile of this stream so far; null without `adapt`, or before there is speech. Personal data. */
    get profile() {
        return this.#growing?.profile ?? null;
    }
    /** Reset the stream's profile; with `everything`, the one that it started from, too. */
    resetProfile(everything = false) {
        if (!this.#growing)
            throw new PhonemoError("UsageError", "the stream has no profile to reset; open it with adapt=True");
        this.#growing.reset(everything);
    }
    /** Process the next mono samples and return the new events. */
    async push(samples) {
        this.#checkOpen();
        const values = streamSamples(samples);
        return this.#inTurn(() => {
            this.#level.updateRaw(values);
            return this.#process(this.#resampler ? this.#resampler.push(values) : values);
        });
    }
    /** Return the last events and the prediction for the whole stream. */
    async finish() {
        this.#checkOpen();
        this.#isFinished = true;
        return this.#inTurn(async () => {
            const events = this.#resampler ? await this.#process(this.#resampler.finish()) : [];
            events.push(...(await this.#inference.finish()));
            const prediction = predictionData(await this.#whole(this.#level.warnings()));
            return this.#growing ? { events, prediction, profile: this.profile } : { events, prediction };
        });
    }
    async #process(samples) {
        this.#level.updateMono(samples);
        this.#keep(samples);
        return this.#inference.push(samples);
    }
    async #whole(warnings) {
        if (!this.#kept) {
            const windowed = await this.#inference.answer(warnings);
            return withDoubt(windowed, this.#network.card.abstain_below);
        }
        if (!this.#keptSamples)
            throw new PhonemoError("empty_audio", "expected audio, got no samples");
        return this.#predictWhole(joined(this.#kept), warnings, this.#inference.segments);
    }
    /** Keep the samples for the pass over the whole, until there are too many for one. */
    #keep(samples) {
        if (!this.#kept)
            return;
        this.#kept.push(samples);
        this.#keptSamples += samples.length;
        if (this.#keptSamples > this.#network.card.window_seconds * RATE)
            this.#kept = null;
    }
    #inTurn(work) {
        const result = this.#turn.then(work);
        this.#turn = result.catch(() => undefined);
        return result;
    }
    #checkOpen() {
        if (this.#isFinished)
            throw new PhonemoError("UsageError", "the stream was finished; create a new one");
    }
}
/** The model's reference; an error where it takes no profile. */
export function adaptable(network) {
    if (network.reference)
        return network.reference;
    throw new PhonemoError("ModelError", "this model takes no profile: it has no statistics of its training sources; train it with head: linear and " +
        "strategy: logistic, and export it again");
}
