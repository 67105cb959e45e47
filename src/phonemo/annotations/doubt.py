"""How far a prediction can be believed: no label without speech, doubt, and one answer per sound.

Every entrance finishes its predictions here (files, arrays, streams, channels, turns), so that the
same rules hold for the recording as a whole and for its segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from phonemo.annotations.prediction import Prediction, Segment, Word

#: Warnings of a recording without any speech.
WITHOUT_SPEECH = frozenset({"no_speech", "silent"})


def with_doubt(prediction: Prediction, threshold: float) -> Prediction:
    """Return a copy that states what is unknown.

    - Without speech there is no label, and no phoneme has a share in it.
    - A timeline of one segment has the scores of the whole: they are one answer to one sound.
    - A score below the threshold makes the prediction, a segment or a word ``unsure``.
    - If no segment has the emotion of the whole, the prediction has "timeline_differs".

    Args:
        prediction: with the scores of all emotions.
        threshold: the model's ``abstain_below``.
    """
    if WITHOUT_SPEECH & set(prediction.warnings):
        prediction = replace(prediction, label=None).without_shares()
    segments = tuple(mark_segment(segment, threshold) for segment in _agreeing(prediction))
    return replace(prediction, segments=segments).flag_unsure(threshold).flag_timeline()


def mark_segment(segment: Segment, threshold: float) -> Segment:
    """Return a copy whose ``unsure``, and that of its words, says if the score is too low."""
    words = tuple(_mark_word(word, threshold) for word in segment.words)
    unsure = max(segment.scores.values()) < threshold
    return replace(segment, unsure=unsure, words=words)


def _agreeing(prediction: Prediction) -> Iterable[Segment]:
    """The segments; one that is all there is of the timeline has the scores of the whole."""
    if len(prediction.segments) != 1 or prediction.label is None:
        return prediction.segments
    (only,) = prediction.segments
    label, scores, dimensions = prediction.label, prediction.scores, prediction.dimensions
    return (replace(only, label=label, scores=scores, dimensions=dimensions),)


def _mark_word(word: Word, threshold: float) -> Word:
    if word.scores is None:
        return word
    return replace(word, unsure=max(word.scores.values()) < threshold)
