/** 16-bit WAV. */

const HEADER = 44;

/**
 * @param {Int16Array<ArrayBuffer>[]} chunks samples of all channels, interleaved
 * @param {number} rate samples a second
 * @param {number} [channels]
 * @returns {Blob}
 */
export function encodeWav(chunks, rate, channels = 1) {
  const size = 2 * chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return new Blob([header(size, rate, channels), ...chunks], { type: "audio/wav" });
}

/** @param {number} size bytes of samples @param {number} rate @param {number} channels */
function header(size, rate, channels) {
  const view = new DataView(new ArrayBuffer(HEADER));
  const text = (/** @type {number} */ offset, /** @type {string} */ word) =>
    [...word].forEach((letter, index) => view.setUint8(offset + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER - 8 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * channels * rate, true);
  view.setUint16(32, 2 * channels, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, size, true);
  return view;
}
