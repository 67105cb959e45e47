/** RMS level of a recording over time, for drawing. */

// A context with a low rate resamples while it decodes: ten minutes take 20 MB instead of 230.
const RATE = 8000;
const FALLBACK_RATE = 44_100;
const PEAKS_PER_SECOND = 200;

/**
 * Peaks of short intervals; `cachedMax` is the maximum level of intervals of `cachedSeconds`.
 * @typedef {{peaks: Float32Array, perSecond: number, seconds: number, cachedSeconds: number, cachedMax: number}} Peaks
 * @typedef {{mix: Peaks, channels: Peaks[]}} Waveforms the loudest of all channels, and each channel
 */

/** @param {Blob} blob @returns {Promise<Waveforms | null>} null where the browser cannot decode it */
export async function computePeaks(blob) {
  try {
    return bufferPeaks(await createDecoder().decodeAudioData(await blob.arrayBuffer()));
  } catch {
    return null;
  }
}

function createDecoder() {
  try {
    return new OfflineAudioContext(1, 1, RATE);
  } catch {
    // Older browsers do not accept such a low rate.
    return new OfflineAudioContext(1, 1, FALLBACK_RATE);
  }
}

/** @param {AudioBuffer} audio @returns {Waveforms} */
function bufferPeaks(audio) {
  const size = Math.round(audio.sampleRate / PEAKS_PER_SECOND);
  const perSecond = audio.sampleRate / size;
  const described = { perSecond, seconds: audio.duration, cachedSeconds: 0, cachedMax: 0 };
  const all = Array.from({ length: audio.numberOfChannels }, (_, channel) =>
    channelPeaks(audio.getChannelData(channel), size),
  );
  const mix = all[0].map((_, index) => Math.max(...all.map((peaks) => peaks[index])));
  return { mix: { peaks: mix, ...described }, channels: all.map((peaks) => ({ peaks, ...described })) };
}

/** @param {Float32Array} samples @param {number} size samples of an interval */
function channelPeaks(samples, size) {
  const peaks = new Float32Array(Math.ceil(samples.length / size));
  for (let index = 0; index < samples.length; index += 1) {
    const bucket = (index / size) | 0;
    const magnitude = Math.abs(samples[index]);
    if (magnitude > peaks[bucket]) peaks[bucket] = magnitude;
  }
  return peaks;
}

/** The waveform of a channel, or of all. @param {Waveforms | null} waveforms @param {number} [channel] from 1 on */
export function peaksOf(waveforms, channel) {
  return waveforms && ((channel && waveforms.channels[channel - 1]) || waveforms.mix);
}

/**
 * RMS of the peaks of an interval, 0 to 1. The maximum alone would fill the picture of a long recording.
 * @param {Peaks} peaks
 * @param {number} start
 * @param {number} end seconds
 */
export function rmsLevel({ peaks, perSecond }, start, end) {
  const first = Math.max(0, Math.floor(start * perSecond));
  const last = Math.min(peaks.length, Math.max(first + 1, Math.ceil(end * perSecond)));
  let sum = 0;
  for (let index = first; index < last; index += 1) sum += peaks[index] ** 2;
  return last > first ? Math.sqrt(sum / (last - first)) : 0;
}

/** Maximum level over intervals of a length. @param {Peaks} peaks @param {number} seconds */
export function maxRmsLevel(peaks, seconds) {
  if (peaks.cachedSeconds === seconds) return peaks.cachedMax;
  const step = Math.max(seconds, 1 / peaks.perSecond);
  let max = 0;
  for (let start = 0; start < peaks.seconds; start += step)
    max = Math.max(max, rmsLevel(peaks, start, start + step));
  Object.assign(peaks, { cachedSeconds: seconds, cachedMax: max });
  return max;
}
