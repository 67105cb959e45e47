/** What the recognizer needs of a browser. */

// A module with one SIMD instruction, i8x16.splat.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** @type {[string, () => boolean][]} */
const NEEDED = [
  ["WebAssembly", () => typeof WebAssembly === "object" && WebAssembly.validate(SIMD)],
  ["Worker", () => typeof Worker === "function"],
  ["OfflineAudioContext", () => typeof OfflineAudioContext === "function"],
  ["DecompressionStream", () => typeof DecompressionStream === "function"],
];

/** @returns {string | null} the first that is missing */
export const missingFeature = () => NEEDED.find(([, exists]) => !exists())?.[0] ?? null;
