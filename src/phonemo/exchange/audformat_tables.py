"""What was heard as an audformat database: one segmented table, with schemes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from phonemo.errors import MissingExtraError, UsageError
from phonemo.prediction import Prediction
from phonemo.tabular import to_pandas
from phonemo.version import __version__

TABLE = "emotion"


def to_audformat(answers: Iterable[tuple[str, Prediction]], name: str = "phonemo") -> Any:
    """An ``audformat.Database`` with a table "emotion", a row for each segment.

    Its columns are emotion (a scheme with the labels), a score from 0 to 1 for each emotion, and
    speaker where one is known. ``database.save(folder)`` writes it.

    Args:
        answers: file names and what was heard in them.
        name: of the database.

    Raises:
        UsageError: no answers.
        MissingExtraError: audformat is not installed.
    """
    audformat = _audformat()
    heard = list(answers)
    if not heard:
        raise UsageError("no answers to make a table of; give pairs of a file and a Prediction")
    frame = to_pandas(heard)
    emotions = list(dict.fromkeys(label for _, found in heard for label in found.scores))
    made = audformat.Database(
        name,
        source=f"phonemo {__version__}",
        usage=audformat.define.Usage.UNRESTRICTED,
        description="Emotions that a network heard; no human labels.",
    )
    made.schemes["emotion"] = audformat.Scheme(labels=emotions)
    made.schemes["score"] = audformat.Scheme("float", minimum=0, maximum=1)
    made.schemes["speaker"] = audformat.Scheme("str")
    made.raters["phonemo"] = audformat.Rater("machine")
    table = made[TABLE] = audformat.Table(frame.index)
    schemes = {"emotion": "emotion", **dict.fromkeys(emotions, "score"), "speaker": "speaker"}
    frame = frame.rename(columns={"label": "emotion"})
    for column, scheme in schemes.items():
        table[column] = audformat.Column(scheme_id=scheme, rater_id="phonemo")
        table[column].set(frame[column].tolist())
    return made


def _audformat() -> Any:
    try:
        return importlib.import_module("audformat")
    except ImportError as error:
        raise MissingExtraError("an audformat database", "audformat") from error
