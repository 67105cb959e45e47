/** The samples of a 16-bit recording as Python reads them. */

const NEGATIVE = 32_768;
const POSITIVE = 32_767;
const CLOSE = 0.01;

/**
 * Chromium divides positive 16-bit samples by 32767, everything else that reads audio by 32768. The difference is
 * inaudible, but an int8 network's scores can change by 0.01. Undone where every sample is such a quotient.
 * @param {Float32Array} samples changed in place
 */
export function exactSamples(samples) {
  for (const value of samples) {
    const steps = value * (value > 0 ? POSITIVE : NEGATIVE);
    if (Math.abs(steps - Math.round(steps)) > CLOSE) return samples;
  }
  for (let index = 0; index < samples.length; index += 1)
    if (samples[index] > 0) samples[index] = Math.round(samples[index] * POSITIVE) / NEGATIVE;
  return samples;
}
