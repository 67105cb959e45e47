/** Runs in the worker: one prediction of several channels, by the rules of channel_predictions.py and doubt.py. */

const IF_EVERY_CHANNEL = ["silent", "no_speech"];
const OF_THE_WHOLE = ["unsure", "timeline_differs"];
const MIXTURE_SECONDS = 20;
const MIXTURE_SHARE = 0.5;

/** The mean of all channels. @param {Float32Array[]} channels */
export function mixOf(channels) {
  if (channels.length === 1) return channels[0];
  const mix = new Float32Array(channels[0].length);
  for (let index = 0; index < mix.length; index += 1) {
    let sum = 0;
    for (const samples of channels) sum += samples[index];
    mix[index] = sum / channels.length;
  }
  return mix;
}

/** A copy that names its channel, from 1 on. @param {any} prediction @param {number} channel */
export function onChannel(prediction, channel) {
  const segments = prediction.segments.map((/** @type {any} */ segment) => ({ ...segment, channel }));
  return { ...prediction, channel, segments };
}

/**
 * The predictions of channels as that of their recording; silent channels are left out.
 * @param {any[]} predictions one for each channel
 * @param {number} abstainBelow the model's threshold
 */
export function combineChannels(predictions, abstainBelow) {
  const sounding = predictions.filter(({ warnings }) => !warnings.includes("silent"));
  if (!sounding.length) return withoutChannel(predictions[0]);
  const kept = sounding.length < predictions.length ? sounding.map(withSilentChannel) : sounding;
  const weights = weightsOf(kept);
  const scores = meanRecord(kept.map((part) => part.scores), weights);
  const segments = kept.flatMap((part) => part.segments).sort((left, right) => left.start - right.start);
  const warnings = mergedWarnings(kept);
  const speaks = !IF_EVERY_CHANNEL.some((name) => warnings.includes(name));
  const label = speaks ? bestOf(scores) : null;
  if (scores[bestOf(scores)] < abstainBelow) warnings.push("unsure");
  const labels = segments.map((segment) => segment.label).filter((name) => name !== null);
  if (label !== null && labels.length && !labels.includes(label)) warnings.push("timeline_differs");
  const [first] = kept;
  return {
    label,
    unsure: label === null || warnings.includes("unsure"),
    scores,
    seconds: Math.max(...kept.map(({ seconds }) => seconds)),
    phonemes: null,
    warnings,
    speech_ratio: null,
    segments,
    ...mixtureOf(segments),
    ...meanDimensions(kept, weights),
    ...(first.profile ? { profile: first.profile } : {}),
    spans: null,
    channels: kept,
    timings: { network: kept.reduce((sum, { timings }) => sum + (timings?.network ?? 0), 0) },
  };
}

/** @param {any} prediction */
function withoutChannel({ channel, ...rest }) {
  const segments = rest.segments.map(({ channel: _, ...segment }) => segment);
  return { ...rest, segments };
}

/** @param {any} prediction */
const withSilentChannel = (prediction) => ({ ...prediction, warnings: [...prediction.warnings, "silent_channel"] });

/** Seconds of speech; equal where there are none. @param {any[]} predictions */
function weightsOf(predictions) {
  const speech = predictions.map(({ seconds, speech_ratio: ratio }) => seconds * (ratio ?? 0));
  return speech.some((value) => value > 0) ? speech : predictions.map(() => 1);
}

/** @param {Record<string, number>[]} records @param {number[]} weights */
function meanRecord(records, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = (/** @type {string} */ name) =>
    records.reduce((sum, record, index) => sum + weights[index] * record[name], 0) / total;
  return Object.fromEntries(Object.keys(records[0]).map((name) => [name, mean(name)]));
}

/** @param {any[]} predictions @returns {string[]} */
function mergedWarnings(predictions) {
  const names = [...new Set(predictions.flatMap(({ warnings }) => warnings))];
  const everywhere = (/** @type {string} */ name) => predictions.every(({ warnings }) => warnings.includes(name));
  return names.filter((name) => !OF_THE_WHOLE.includes(name) && (!IF_EVERY_CHANNEL.includes(name) || everywhere(name)));
}

/** @param {any[]} predictions @param {number[]} weights */
function meanDimensions(predictions, weights) {
  if (predictions.some(({ dimensions }) => !dimensions)) return {};
  const { derived, ...first } = predictions[0].dimensions;
  const values = predictions.map(({ dimensions }) => Object.fromEntries(Object.keys(first).map((name) => [name, dimensions[name]])));
  return { dimensions: { ...meanRecord(values, weights), derived } };
}

/** Shares of time by emotion, where none has most of it. @param {any[]} segments */
function mixtureOf(segments) {
  /** @type {Record<string, number>} */
  const seconds = {};
  for (const { label, start, end } of segments) if (label) seconds[label] = (seconds[label] ?? 0) + end - start;
  const total = Object.values(seconds).reduce((sum, value) => sum + value, 0);
  const ranked = Object.entries(seconds).sort((left, right) => right[1] - left[1]);
  if (total < MIXTURE_SECONDS || ranked[0][1] / total >= MIXTURE_SHARE) return {};
  return { mixture: Object.fromEntries(ranked.map(([name, value]) => [name, value / total])) };
}

/** @param {Record<string, number>} scores */
const bestOf = (scores) => Object.keys(scores).reduce((best, name) => (scores[name] > scores[best] ? name : best));
