/** A recording's loudness over time, for drawing. */

// A context at this rate resamples while it decodes: ten minutes take 20 MB instead of 230.
const RATE = 8000;
const PLAIN_RATE = 44_100;
const PER_SECOND = 200;

/**
 * Peaks of short stretches; `loudest` is remembered for stretches of `asked` seconds.
 * @typedef {{peaks: Float32Array, perSecond: number, seconds: number, asked: number, loudest: number}} Peaks
 */

/** @param {Blob} blob @returns {Promise<Peaks | null>} null where the browser cannot decode it */
export async function peaksOf(blob) {
  try {
    return measured(await decoder().decodeAudioData(await blob.arrayBuffer()));
  } catch {
    return null;
  }
}

function decoder() {
  try {
    return new OfflineAudioContext(1, 1, RATE);
  } catch {
    // Older browsers want a rate of their own.
    return new OfflineAudioContext(1, 1, PLAIN_RATE);
  }
}

/** @param {AudioBuffer} audio @returns {Peaks} */
function measured(audio) {
  const size = Math.round(audio.sampleRate / PER_SECOND);
  const peaks = new Float32Array(Math.ceil(audio.length / size));
  for (let channel = 0; channel < audio.numberOfChannels; channel += 1) {
    const samples = audio.getChannelData(channel);
    for (let at = 0; at < samples.length; at += 1) {
      const bucket = (at / size) | 0;
      const loud = Math.abs(samples[at]);
      if (loud > peaks[bucket]) peaks[bucket] = loud;
    }
  }
  return { peaks, perSecond: audio.sampleRate / size, seconds: audio.duration, asked: 0, loudest: 0 };
}

/**
 * How loud a stretch is, 0 to 1. Its loudest moment alone would fill the picture of a long recording.
 * @param {Peaks} found
 * @param {number} from
 * @param {number} to seconds
 */
export function loudness({ peaks, perSecond }, from, to) {
  const first = Math.max(0, Math.floor(from * perSecond));
  const last = Math.min(peaks.length, Math.max(first + 1, Math.ceil(to * perSecond)));
  let sum = 0;
  for (let at = first; at < last; at += 1) sum += peaks[at] ** 2;
  return last > first ? Math.sqrt(sum / (last - first)) : 0;
}

/** The loudest stretch of a length. @param {Peaks} found @param {number} seconds */
export function loudest(found, seconds) {
  if (found.asked === seconds) return found.loudest;
  const step = Math.max(seconds, 1 / found.perSecond);
  let most = 0;
  for (let from = 0; from < found.seconds; from += step)
    most = Math.max(most, loudness(found, from, from + step));
  Object.assign(found, { asked: seconds, loudest: most });
  return most;
}
