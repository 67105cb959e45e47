"""Readers of what other systems return: nested lists, dicts and tensors of one recording."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from phonemo.errors import LabelError, safe_text

_SHOWN = 60
#: Scores of merged labels are added, and their sum must be a float too.
_LARGEST = sys.float_info.max / 1000


def shown(value: object) -> str:
    """A value in one short line, for a message."""
    text = safe_text(repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def as_plain(value: Any) -> Any:
    """Plain lists instead of an array or a tensor, on whatever device it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def only_result(value: Any, source: str, of_numbers: bool = False) -> Any:
    """The single recording of a result: the content of a list of one, or the value itself.

    Args:
        value: the result.
        source: the other system, for the message.
        of_numbers: whether the content is a list of numbers itself.

    Raises:
        LabelError: several recordings, or none.
    """
    if not isinstance(value, list | tuple):
        return value
    if of_numbers and value and not isinstance(value[0], list | tuple):
        return value
    if len(value) != 1:
        raise LabelError(
            f"expected the result of one recording of {source}, got {len(value)}; pass them one "
            "by one"
        )
    return value[0]


def paired(labels: Any, scores: Any, source: str) -> list[tuple[str, float]]:
    """Labels with their scores; LabelError for unequal numbers or other types."""
    scores = as_plain(scores)
    if not _is_list(labels) or not _is_list(scores) or len(labels) != len(scores):
        raise LabelError(
            f"expected a score for each label of {source}, got {shown(labels)} and "
            f"{shown(scores)}; pass the result as it was returned"
        )
    return [
        (str(label), number_of(score, source)) for label, score in zip(labels, scores, strict=True)
    ]


def named_scores(
    result: Any, source: str, name: str = "label", scores: Sequence[str] = ("score",)
) -> list[tuple[str, float]]:
    """Labels with their scores from a list of dicts, or of objects with these attributes.

    Args:
        result: the list.
        source: the other system, for the message.
        name: key of the label.
        scores: keys of the score; the first that is there counts.

    Raises:
        LabelError: another shape, such as the results of several recordings.
    """
    rows = result if _is_list(result) else ()
    found = [_entry(row, name, scores) for row in rows]
    pairs = [(str(entry[0]), number_of(entry[1], source)) for entry in found if entry is not None]
    if not pairs or len(pairs) != len(found):
        raise LabelError(
            f"expected a list of {{{name!r}: ..., {scores[0]!r}: ...}} of {source}, got "
            f"{shown(result)}; pass the result of one recording"
        )
    return pairs


def number_of(value: Any, source: str) -> float:
    """A finite number; LabelError for anything else."""
    value = as_plain(value)
    if not _is_finite(value):
        raise LabelError(
            f"expected finite scores of {source}, got {shown(value)}; check the recording"
        )
    return float(value)


def _is_finite(value: Any) -> bool:
    """Whether it is a number that a float can hold: JSON's whole numbers have no limit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _LARGEST


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _entry(row: object, name: str, scores: Sequence[str]) -> tuple[Any, Any] | None:
    """Label and score of a dict or an SDK's object; None if it lacks one of them."""
    label = _field(row, name)
    score = next((value for key in scores if (value := _field(row, key)) is not None), None)
    return None if label is None or score is None else (label, score)


def _field(row: object, key: str) -> Any:
    return row.get(key) if isinstance(row, Mapping) else getattr(row, key, None)
