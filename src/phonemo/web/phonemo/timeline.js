/** Window scores to a timeline of emotions: cells of half a window, smoothed, and joined. */
import { RATE } from "./frames.js";
import { CHUNK_SAMPLES } from "./vad.js";
import { addScaled, argmax, weightedMean } from "./vectors.js";
/** Windows on either side that a cell depends on, beyond the two that contain it. */
const SMOOTHING = 1;
/** A longer pause splits cells of one emotion into two segments. */
const GAP_SECONDS = 1;
/** A cell with less speech takes the emotion of a neighbor, where there is one near. */
const SLIGHT_SECONDS = 0.5;
/** Turns the scores of windows, added in time order, into segments. */
export class Timeline {
    /** All closed segments. */
    segments = [];
    #labels;
    #hop;
    #extent;
    #dimensions;
    #reach = SMOOTHING + 1;
    #scores = new Map();
    #windows = 0;
    #cells = 0;
    #open = [];
    constructor(labels, hop, extent, dimensions = null) {
        this.#labels = labels;
        this.#hop = hop;
        this.#extent = extent;
        this.#dimensions = dimensions;
    }
    /** Add the next window's scores, null without speech; return the segments that closed. */
    add(score) {
        if (score)
            this.#scores.set(this.#windows, score);
        this.#windows++;
        return this.#decide(this.#windows - this.#reach + 1, this.#windows * this.#hop);
    }
    /** Decide all remaining cells of a recording; return the closed segments. */
    finish(samples) {
        return [...this.#decide(Math.ceil(samples / this.#hop), samples), ...this.#close()];
    }
    #decide(stop, samples) {
        const closed = [];
        for (let number = this.#cells; number < stop; number++) {
            const end = Math.min((number + 1) * this.#hop, samples);
            const cell = this.#cell(number, end);
            if (!this.#extendsSegment(cell, end))
                closed.push(...this.#close(cell));
            if (cell)
                this.#open.push(cell);
            this.#scores.delete(number - this.#reach);
            this.#cells = number + 1;
        }
        return closed;
    }
    #cell(number, end) {
        const extent = this.#extent(number * this.#hop, end);
        let total = 0;
        let mean = null;
        for (let window = number - this.#reach; window < number + this.#reach; window++) {
            const score = this.#scores.get(window);
            if (!score)
                continue;
            const weight = score.weight * (1 - Math.abs(window + 0.5 - number) / this.#reach);
            mean ??= new Float64Array(score.scores.length);
            addScaled(mean, score.scores, weight);
            total += weight;
        }
        if (!extent || !mean || !(total > 0))
            return null;
        const scores = mean.map((value) => value / total);
        const label = argmax(scores.subarray(0, this.#labels.length));
        return { start: extent[0], end: extent[1], scores, label };
    }
    /** Whether the open segment may include this cell or, if it has no speech, a later one. */
    #extendsSegment(cell, end) {
        const last = this.#open.at(-1);
        if (!last)
            return true;
        if ((cell ? cell.start : end) - last.end > GAP_SECONDS * RATE)
            return false;
        const decided = this.#open.filter((member) => !isShort(member));
        return !cell || isShort(cell) || !decided.length || cell.label === decided.at(-1).label;
    }
    /** Close the open segment, extended to the next cell where that follows directly. */
    #close(following = null) {
        if (!this.#open.length)
            return [];
        const longer = this.#open.filter((cell) => !isShort(cell));
        const decided = longer.length ? longer : this.#open;
        const mean = weightedMean(decided.map((cell) => cell.scores), decided.map((cell) => cell.end - cell.start));
        let end = this.#open.at(-1).end;
        if (following && following.start - end < CHUNK_SAMPLES)
            end = following.start;
        const segment = segmentOf(this.#open[0].start, end, this.#labels, mean, this.#dimensions);
        this.#open = [];
        this.segments.push(segment);
        return [segment];
    }
}
function isShort(cell) {
    return cell.end - cell.start < SLIGHT_SECONDS * RATE;
}
/** Build a segment from samples and a row of scores. */
export function segmentOf(start, end, labels, row, dimensions = null) {
    const scores = Object.fromEntries(labels.map((name, number) => [name, row[number]]));
    const label = labels[argmax(Array.from(row).slice(0, labels.length))];
    const read = dimensions && dimensions(row);
    return { start: start / RATE, end: end / RATE, label, scores, unsure: false, dimensions: read };
}
