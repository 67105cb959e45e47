/** How strongly a phoneme's share is shown. */

// Below a tenth of a point everything would be noise in full colour.
const SMALLEST_SCALE = 0.001;
const SHOWN_POINT = 0.00005;

/** @typedef {import("./types.js").Span} Span */

// Of a long recording a few phonemes may exceed it, so that one of thousands does not hide the others.
const WITHIN_SCALE = 0.99;

/** The share that has the full colour. @param {Span[]} spans */
export function scaleOf(spans) {
  const sizes = spans.map((one) => Math.abs(one.share ?? 0)).sort((one, other) => one - other);
  return Math.max(SMALLEST_SCALE, sizes[Math.ceil(WITHIN_SCALE * sizes.length) - 1] ?? 0);
}

/**
 * -1 to 1; the root lets small shares be seen beside a large one.
 * @param {number | null | undefined} share
 * @param {number} scale
 */
export function strength(share, scale) {
  if (!share || Math.abs(share) < SHOWN_POINT) return 0;
  return Math.sign(share) * Math.sqrt(Math.min(1, Math.abs(share) / scale));
}

/** Whether anybody asked for shares. @param {Span[]} spans */
export const hasShares = (spans) => spans.some((one) => one.share !== null && one.share !== undefined);

/** "adds", "takes", "none", or null without a share. @param {Span} span */
export function direction({ share }) {
  if (share === null || share === undefined) return null;
  if (Math.abs(share) < SHOWN_POINT) return "none";
  return share > 0 ? "adds" : "takes";
}
