/** Predictions and their plain data, which is that of Python's `Prediction.to_dict(spans=True)`. */
import { dimensionData } from "./dimensions.js";
import { rescaleScores } from "./labels.js";
import { PhonemoError } from "./errors.js";
import { roundTo } from "./rounding.js";
import { sum } from "./vectors.js";
/** A recording is a mixture if it has this much speech and no emotion has this share of it. */
const MIXTURE_SECONDS = 20;
const MIXTURE_SHARE = 0.5;
/** Plain data, rounded as in Python. */
export function predictionData(found) {
    const mixture = mixtureOf(found.segments);
    return {
        label: found.label,
        unsure: found.label === null || found.warnings.includes("unsure"),
        scores: found.scores,
        seconds: roundTo(found.seconds, 3),
        phonemes: found.spans && found.spans.map((span) => span.symbol),
        warnings: found.warnings,
        speech_ratio: found.speechRatio === null ? null : roundTo(found.speechRatio, 4),
        segments: found.segments.map(segmentData),
        ...(mixture && { mixture }),
        ...(found.dimensions && { dimensions: dimensionData(found.dimensions) }),
        ...(found.profile && { profile: found.profile }),
        spans: found.spans && found.spans.map(spanData),
    };
}
/** Plain data of a segment. */
export function segmentData(segment) {
    return {
        start: roundTo(segment.start, 4),
        end: roundTo(segment.end, 4),
        label: segment.label,
        unsure: segment.unsure || segment.label === null,
        scores: segment.scores,
        ...(segment.dimensions && { dimensions: dimensionData(segment.dimensions) }),
    };
}
function spanData(span) {
    const { symbol, share } = span;
    const times = { start: roundTo(span.start, 4), end: roundTo(span.end, 4) };
    const data = { symbol, ...times, confidence: roundTo(span.confidence, 4) };
    return share === undefined || share === null ? data : { ...data, share: roundTo(share, 6) };
}
/** Emotion -> share of the segments' time, largest first, where none has most of it. */
function mixtureOf(segments) {
    const seconds = {};
    for (const { label, start, end } of segments)
        if (label !== null)
            seconds[label] = (seconds[label] ?? 0) + end - start;
    const ranked = Object.entries(seconds).sort((left, right) => right[1] - left[1]);
    const total = sum(Object.values(seconds));
    const lengths = sum(segments.map((segment) => segment.end - segment.start));
    if (!(total > 0) || lengths < MIXTURE_SECONDS)
        return null;
    const shares = ranked.map(([name, value]) => [name, value / total]);
    if (shares[0][1] >= MIXTURE_SHARE)
        return null;
    return Object.fromEntries(shares.map(([name, share]) => [name, roundTo(share, 4)]));
}
/** The label with the highest score, the first of equal ones. */
export function bestLabel(scores) {
    return Object.keys(scores).reduce((best, name) => (scores[name] > scores[best] ? name : best));
}
/** "timeline_differs" only if no segment has the label of the whole. */
export function withTimelineFlag(found) {
    const labels = new Set(found.segments.map((segment) => segment.label));
    labels.delete(null);
    const differs = found.label !== null && labels.size > 0 && !labels.has(found.label);
    const warnings = found.warnings.filter((name) => name !== "timeline_differs");
    return { ...found, warnings: differs ? [...warnings, "timeline_differs"] : warnings };
}
/** Restrict to some emotions, whose scores are rescaled to sum to one. */
export function among(found, names) {
    const restrict = (part) => {
        const scores = rescaleScores(part.scores, names);
        return { ...part, scores, label: part.label === null ? null : bestLabel(scores) };
    };
    const chosen = { ...restrict(found), segments: found.segments.map(restrict) };
    // the shares are those of the label before
    const spans = chosen.label === found.label ? found.spans : withoutShares(found.spans);
    return withTimelineFlag({ ...chosen, spans });
}
/** Return spans without shares, which are those of another emotion. */
export function withoutShares(spans) {
    return spans && spans.map((span) => ({ ...span, share: null }));
}
/** Keep the highest scores only, unscaled, highest first. */
export function top(found, count) {
    if (!(Number.isInteger(count) && count >= 1))
        throw new PhonemoError("UsageError", `expected a number of top scores of at least 1, got ${count}`);
    const keep = (part) => {
        const ranked = Object.entries(part.scores).sort((left, right) => right[1] - left[1]);
        return { ...part, scores: Object.fromEntries(ranked.slice(0, count)) };
    };
    return { ...keep(found), segments: found.segments.map(keep) };
}
