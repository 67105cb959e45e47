/** Limits of the server; defaults until they are loaded. */

/** @typedef {import("./types.js").Limits} Limits */

/** @type {Limits} */
let current = {
  body_bytes: 25 << 20,
  audio_seconds: 600,
  stream_seconds: 3600,
  key_required: false,
  formats: [],
  media: false,
};

export const limits = () => current;

/** @param {Partial<Limits>} loaded */
export function setLimits(loaded) {
  current = { ...current, ...loaded };
}
