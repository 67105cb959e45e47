"""Export predictions as Lhotse supervisions, with phonemes as alignment."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from phonemo.annotations.prediction import Prediction, Segment, segments_of
from phonemo.errors import MissingExtraError


def to_lhotse(answers: Iterable[tuple[str, Prediction]]) -> Any:
    """Convert predictions to a ``lhotse.SupervisionSet``, one supervision per segment.

    The recording id is the file's stem, as in ``Recording.from_file``; ``custom`` has emotion and
    scores, ``alignment["phoneme"]`` the phonemes whose midpoint lies in the segment.

    Args:
        answers: pairs of file name and prediction.

    Raises:
        MissingExtraError: lhotse is not installed.
    """
    lhotse = _lhotse()
    return lhotse.SupervisionSet.from_segments(
        _segment(lhotse, name, number, segment, prediction)
        for name, prediction in answers
        for number, segment in enumerate(segments_of(prediction))
    )


def _segment(lhotse: Any, name: str, number: int, segment: Segment, prediction: Prediction) -> Any:
    recording = PurePath(name).stem
    items = list(_phonemes(segment, prediction))
    return lhotse.SupervisionSegment(
        id=f"{recording}-{number}",
        recording_id=recording,
        start=segment.start,
        duration=segment.end - segment.start,
        speaker=segment.speaker,
        custom={
            "emotion": segment.label,
            "unsure": segment.is_doubtful,
            "scores": dict(segment.scores),
        },
        alignment={"phoneme": items} if items else None,
    )


def _phonemes(segment: Segment, prediction: Prediction) -> Iterator[Any]:
    item = importlib.import_module("lhotse.supervision").AlignmentItem
    for span in prediction.spans or ():
        if segment.start <= (span.start + span.end) / 2 < segment.end:
            yield item(span.symbol, span.start, span.end - span.start, span.confidence)


def _lhotse() -> Any:
    try:
        return importlib.import_module("lhotse")
    except ImportError as error:
        raise MissingExtraError("Lhotse's supervisions", "lhotse") from error
