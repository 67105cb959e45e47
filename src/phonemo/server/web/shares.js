/** Scaling of phoneme shares (their contribution to the emotion's score) for display. */

// Below a tenth of a point, noise would be drawn in full color.
const MIN_SCALE = 0.001;
const MIN_SHARE = 0.00005;

/** @typedef {import("./types.js").Span} Span */

// A few phonemes of a long recording may exceed the scale, so that one outlier does not hide the others.
const SCALE_QUANTILE = 0.99;

/** The share drawn in full color. @param {Span[]} spans */
export function shareScale(spans) {
  const sizes = spans.map((span) => Math.abs(span.share ?? 0)).sort((left, right) => left - right);
  return Math.max(MIN_SCALE, sizes[Math.ceil(SCALE_QUANTILE * sizes.length) - 1] ?? 0);
}

/**
 * Strength of a share, -1 to 1; the square root keeps small shares visible next to a large one.
 * @param {number | null | undefined} share
 * @param {number} scale
 */
export function strength(share, scale) {
  if (!share || Math.abs(share) < MIN_SHARE) return 0;
  return Math.sign(share) * Math.sqrt(Math.min(1, Math.abs(share) / scale));
}

/** Whether the prediction contains shares. @param {Span[]} spans */
export const hasShares = (spans) => spans.some(({ share }) => share !== null && share !== undefined);

/** "adds", "takes", "none", or null without a share. @param {Span} span */
export function direction({ share }) {
  if (share === null || share === undefined) return null;
  if (Math.abs(share) < MIN_SHARE) return "none";
  return share > 0 ? "adds" : "takes";
}
