"""What was heard as an audformat database: one segmented table, with schemes.

phonemo behind audEERING's audinterface: scores as features of files, segments and windows.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from phonemo.annotations.prediction import Prediction, to_pandas
from phonemo.audio import RATE
from phonemo.errors import AudioError, MissingExtraError, UsageError
from phonemo.loader import load_model
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


def emotion_feature(model: str | Path | None = None, **options: Any) -> Any:
    """An ``audinterface.Feature`` whose features are the emotions' scores.

    A signal that is too short to hear has no scores (NaN). Samples are brought to 16 kHz, and
    several channels are mixed into one.

    Args:
        model: as phonemo.load takes it.
        **options: of audinterface.Feature, such as ``win_dur`` and ``hop_dur``.

    Raises:
        CheckpointError: the model cannot be opened.
        MissingExtraError: audinterface is not installed.
    """
    audinterface = _audinterface()
    listener = load_model(model)
    names = list(listener.labels)

    def scores(signal: Any, rate: int) -> list[float]:
        try:
            found = listener.predict(signal, rate=rate).scores
        except AudioError as error:
            if error.code in ("too_short", "empty_audio"):
                return [float("nan")] * len(names)
            raise
        return [found[name] for name in names]

    return audinterface.Feature(
        names, name="phonemo", process_func=scores, sampling_rate=RATE, resample=True, **options
    )


def _audinterface() -> Any:
    try:
        return importlib.import_module("audinterface")
    except ImportError as error:
        raise MissingExtraError("an audinterface feature", "audformat") from error
