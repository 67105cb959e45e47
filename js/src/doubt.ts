/** How far a prediction can be believed: no label without speech, doubt, one answer per sound. */

import { withTimelineFlag, withoutShares } from "./prediction.ts"
import type { Prediction, Scores, Segment } from "./prediction.ts"

const WITHOUT_SPEECH = ["no_speech", "silent"]

/** Return a copy that states what is unknown.
 *
 * @param threshold the model's `abstain_below`.
 */
export function withDoubt(prediction: Prediction, threshold: number): Prediction {
  const isSilent = WITHOUT_SPEECH.some((name) => prediction.warnings.includes(name))
  const found = isSilent ? { ...prediction, label: null, spans: withoutShares(prediction.spans) } : prediction
  const segments = agreeing(found).map((segment) => markSegment(segment, threshold))
  const warnings = isBelow(found.scores, threshold) ? [...found.warnings, "unsure"] : found.warnings
  return withTimelineFlag({ ...found, segments, warnings })
}

/** Return a copy whose `unsure` says if the score is too low. */
export function markSegment(segment: Segment, threshold: number): Segment {
  return { ...segment, unsure: isBelow(segment.scores, threshold) }
}

/** The segments; one that is all there is of the timeline has the scores of the whole. */
function agreeing(found: Prediction): Segment[] {
  const { label, scores, dimensions, segments } = found
  if (segments.length !== 1 || label === null) return segments
  return [{ ...segments[0], label, scores, dimensions }]
}

function isBelow(scores: Scores, threshold: number): boolean {
  return Math.max(...Object.values(scores)) < threshold
}
