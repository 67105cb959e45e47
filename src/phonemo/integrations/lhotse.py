"""What was heard as Lhotse's supervisions, phonemes as their alignment."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from phonemo.annotations.prediction import Prediction, Segment, segments_of
from phonemo.errors import MissingExtraError


def to_lhotse(answers: Iterable[tuple[str, Prediction]]) -> Any:
    """A ``lhotse.SupervisionSet`` with a supervision for each segment.

    A recording's id is its file's stem, as ``Recording.from_file`` names it; ``custom`` has emotion
    and scores, ``alignment["phoneme"]`` the phonemes whose middle lies in the segment.

    Args:
        answers: file names and what was heard in them.

    Raises:
        MissingExtraError: lhotse is not installed.
    """
    lhotse = _lhotse()
    return lhotse.SupervisionSet.from_segments(
        _segment(lhotse, name, number, one, found)
        for name, found in answers
        for number, one in enumerate(segments_of(found))
    )


def _segment(lhotse: Any, name: str, number: int, one: Segment, found: Prediction) -> Any:
    recording = PurePath(name).stem
    items = list(_phonemes(one, found))
    return lhotse.SupervisionSegment(
        id=f"{recording}-{number}",
        recording_id=recording,
        start=one.start,
        duration=one.end - one.start,
        speaker=one.speaker,
        custom={"emotion": one.label, "scores": dict(one.scores)},
        alignment={"phoneme": items} if items else None,
    )


def _phonemes(one: Segment, found: Prediction) -> Iterator[Any]:
    item = importlib.import_module("lhotse.supervision").AlignmentItem
    for span in found.spans or ():
        if one.start <= (span.start + span.end) / 2 < one.end:
            yield item(span.symbol, span.start, span.end - span.start, span.confidence)


def _lhotse() -> Any:
    try:
        return importlib.import_module("lhotse")
    except ImportError as error:
        raise MissingExtraError("Lhotse's supervisions", "lhotse") from error
