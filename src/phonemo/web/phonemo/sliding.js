/** Windowed inference: samples in pieces, segments as soon as they are decided. */
import { markSegment } from "./doubt.js";
import { PhonemoError } from "./errors.js";
import { RATE } from "./frames.js";
import { segmentData } from "./prediction.js";
import { segmentOf, Timeline } from "./timeline.js";
import { VadTrack } from "./vad.js";
import { addScaled } from "./vectors.js";
import { LEAST_SPEECH_SECONDS, SlidingWindows } from "./windows.js";
/** Windowed inference for one long recording or stream.
 *
 * `applied` is the profile of all windows, `growing` one that each window updates for the next.
 */
export class SlidingInference {
    #network;
    #shares;
    #applied;
    #growing;
    #windows = new SlidingWindows();
    #track = new VadTrack();
    #timeline;
    #total = null;
    #weight = 0;
    #last = null;
    #spans = [];
    #mark;
    constructor(network, shares, applied, growing = null) {
        this.#network = network;
        this.#shares = shares;
        this.#applied = applied;
        this.#growing = growing;
        this.#mark = applied.mark;
        const extent = (start, end) => this.#track.extent(start, end);
        this.#timeline = new Timeline(network.card.labels, this.#windows.hop, extent, network.dimensions);
    }
    /** The timeline so far. */
    get segments() {
        return this.#timeline.segments;
    }
    /** Process the next samples at 16 kHz and return the new events. */
    async push(samples) {
        this.#track.push(samples);
        return this.#events(this.#windows.push(samples), false);
    }
    /** Process the end of the recording; nothing may be pushed afterwards. */
    async finish() {
        const events = await this.#events(this.#windows.finish(), true);
        return [...events, ...this.#segmentEvents(this.#timeline.finish(this.#windows.samples))];
    }
    /** The prediction for the whole recording, after `finish`, without doubt. */
    async answer(warnings) {
        const isSilent = this.#weight === 0;
        const mean = isSilent ? await this.#scoresWithoutSpeech() : this.#total.map((value) => value / this.#weight);
        const { samples } = this.#windows;
        const { labels } = this.#network.card;
        const overall = segmentOf(0, samples, labels, mean, this.#network.dimensions);
        return {
            label: overall.label,
            scores: overall.scores,
            seconds: samples / RATE,
            spans: this.#spans,
            warnings: [...warnings, "windowed", ...(isSilent ? ["no_speech"] : [])],
            segments: this.segments,
            speechRatio: this.#track.share(0, samples),
            profile: this.#mark,
            dimensions: overall.dimensions,
        };
    }
    async #events(windows, last) {
        const events = [];
        for (const window of windows) {
            this.#last = window;
            const seconds = this.#track.seconds(window.start, window.start + window.samples.length);
            if (seconds < LEAST_SPEECH_SECONDS) {
                events.push(...this.#segmentEvents(this.#timeline.add(null)));
                continue;
            }
            const clip = await this.#recognize(window);
            this.#accumulate(window, clip, seconds, last);
            if (this.#growing)
                this.#mark = this.#growing.applied.mark;
            events.push(this.#windowEvent(window, clip));
            if (this.#growing && window.start % (2 * this.#windows.hop) === 0)
                await this.#growing.add(clip.vector, seconds);
            events.push(...this.#segmentEvents(this.#timeline.add({ scores: clip.row, weight: seconds })));
        }
        return events;
    }
    #recognize(window) {
        const { affine } = this.#growing ? this.#growing.applied : this.#applied;
        return this.#network.recognize(window.samples, this.#shares, affine);
    }
    async #scoresWithoutSpeech() {
        if (!this.#last)
            throw new PhonemoError("empty_audio", "expected audio, got no samples");
        return (await this.#recognize(this.#last)).row;
    }
    #windowEvent(window, clip) {
        const { card, dimensions } = this.#network;
        const end = window.start + window.samples.length;
        const segment = segmentOf(window.start, end, card.labels, clip.row, dimensions);
        return this.#event("window", segment, this.#track.share(window.start, end));
    }
    #segmentEvents(closed) {
        return closed.map((segment) => this.#event("segment", segment, null));
    }
    #event(type, segment, ratio) {
        const data = segmentData(markSegment(segment, this.#network.card.abstain_below));
        return { type, segment: data, speech_ratio: ratio, ...(this.#mark && { profile: this.#mark }) };
    }
    #accumulate(window, clip, seconds, last) {
        this.#total ??= new Float64Array(clip.row.length);
        addScaled(this.#total, clip.row, seconds);
        this.#weight += seconds;
        this.#spans = clip.spans && this.#spans ? [...this.#spans, ...this.#middleSpans(window, clip.spans, last)] : null;
    }
    /** The phonemes in a window's middle half, which has the most context, in the recording's time. */
    #middleSpans(window, spans, last) {
        const begin = window.start / RATE;
        const quarter = this.#windows.hop / RATE / 2;
        const first = window.start === 0 ? 0 : begin + quarter;
        const stop = last ? Infinity : begin + 3 * quarter;
        const moved = spans.map((span) => ({ ...span, start: span.start + begin, end: span.end + begin }));
        return moved.filter(({ start, end }) => first <= (start + end) / 2 && (start + end) / 2 < stop);
    }
}
