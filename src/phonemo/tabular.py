"""Predictions as a data frame that audformat's tables understand.

pandas is no part of phonemo: it is imported where a frame is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from phonemo.errors import MissingExtraError
from phonemo.intervals import heard_in, segments_of
from phonemo.prediction import Prediction, Segment


def to_pandas(answers: Iterable[tuple[str, Prediction]]) -> Any:
    """A pandas.DataFrame with a row for each segment.

    Its index is audformat's segmented index: file, and start and end as timedelta64[ns]. Its
    columns are label, the score of each emotion (NaN where a model does not know it), speaker,
    speech_ratio, phonemes (those whose middle lies in the segment, parted by spaces; None for a
    model without them), warnings and, where a profile was applied to any, profile: the hash of the
    one that decided. A recording without speech has one row without label and
    scores, so that it is not missed.

    Args:
        answers: file names and what was heard in them.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    pandas = _pandas()
    heard = [
        (name, found, one)
        for name, found in answers
        for one in segments_of(found) or (Segment(0.0, found.seconds, "", {}),)
    ]
    emotions = list(dict.fromkeys(label for _, found, _ in heard for label in found.scores))
    columns = ["label", *emotions, "speaker", "speech_ratio", "phonemes", "warnings"]
    rows = [_row(found, one, emotions) for _, found, one in heard]
    marks = [one.profile or found.profile for _, found, one in heard]
    if any(marks):
        columns.append("profile")
        rows = [[*row, mark and mark.hash] for row, mark in zip(rows, marks, strict=True)]
    frame = pandas.DataFrame(rows, columns=columns, index=_index(pandas, heard), dtype=object)
    return frame.astype(dict.fromkeys([*emotions, "speech_ratio"], "float64"))


def _index(pandas: Any, heard: list[tuple[str, Prediction, Segment]]) -> Any:
    files = pandas.array([name for name, _, _ in heard], dtype="string")
    starts = _times(pandas, [one.start for _, _, one in heard])
    ends = _times(pandas, [one.end for _, _, one in heard])
    return pandas.MultiIndex.from_arrays([files, starts, ends], names=["file", "start", "end"])


def _times(pandas: Any, seconds: list[float]) -> Any:
    """Whole nanoseconds: a float of seconds would be cut, not rounded."""
    whole = [round(second * 1e9) for second in seconds]
    return pandas.to_timedelta(pandas.Series(whole, dtype="int64"), unit="ns")


def _row(found: Prediction, one: Segment, emotions: list[str]) -> list[Any]:
    scores = [one.scores.get(label) for label in emotions]
    phonemes = None if found.spans is None else heard_in(one, found)
    return [
        one.label or None,
        *scores,
        one.speaker,
        found.speech_ratio,
        phonemes,
        " ".join(found.warnings),
    ]


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtraError("a data frame", "pandas") from error
