"""Export predictions to audformat, and compute scores as audinterface features."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from phonemo.annotations.dimensions import dimension_names
from phonemo.annotations.prediction import Prediction, to_pandas
from phonemo.audio import RATE
from phonemo.errors import AudioError, MissingExtraError, UsageError
from phonemo.loader import load_model
from phonemo.version import __version__

TABLE = "emotion"


def to_audformat(answers: Iterable[tuple[str, Prediction]], name: str = "phonemo") -> Any:
    """Convert predictions to an ``audformat.Database`` with a table "emotion", a row per segment.

    Its columns are emotion (a scheme with the labels), unsure, a score from 0 to 1 for each
    emotion, speaker, if known, and arousal and valence, 0 to 1, where the model has them.
    ``database.save(folder)`` writes it.

    Args:
        answers: pairs of file name and prediction.
        name: the database's name.

    Raises:
        UsageError: no predictions.
        MissingExtraError: audformat is not installed.
    """
    audformat = _audformat()
    pairs = list(answers)
    if not pairs:
        raise UsageError("expected one or more (file, Prediction) pairs, got none")
    frame = to_pandas(pairs)
    emotions = list(dict.fromkeys(label for _, prediction in pairs for label in prediction.scores))
    database = audformat.Database(
        name,
        source=f"phonemo {__version__}",
        usage=audformat.define.Usage.UNRESTRICTED,
        description="Emotions predicted by a network; no human labels.",
    )
    database.schemes["emotion"] = audformat.Scheme(labels=emotions)
    database.schemes["unsure"] = audformat.Scheme("bool")
    database.schemes["score"] = audformat.Scheme("float", minimum=0, maximum=1)
    database.schemes["speaker"] = audformat.Scheme("str")
    database.raters["phonemo"] = audformat.Rater("machine")
    table = database[TABLE] = audformat.Table(frame.index)
    schemes = {
        "emotion": "emotion",
        "unsure": "unsure",
        **dict.fromkeys(emotions, "score"),
        "speaker": "speaker",
    }
    dimensions = dimension_names(prediction.dimensions for _, prediction in pairs)
    if dimensions:
        derived = "derived from the emotions' scores by published norms"
        trained = "output of a head trained on ratings"
        is_derived = any(p.dimensions and p.dimensions.derived for _, p in pairs)
        database.schemes["dimension"] = audformat.Scheme(
            "float", minimum=0, maximum=1, description=derived if is_derived else trained
        )
    schemes |= dict.fromkeys(dimensions, "dimension")
    frame = frame.rename(columns={"label": "emotion"})
    for column, scheme in schemes.items():
        table[column] = audformat.Column(scheme_id=scheme, rater_id="phonemo")
        table[column].set(frame[column].tolist())
    return database


def _audformat() -> Any:
    try:
        return importlib.import_module("audformat")
    except ImportError as error:
        raise MissingExtraError("an audformat database", "audformat") from error


def emotion_feature(model: str | Path | None = None, **options: Any) -> Any:
    """Create an ``audinterface.Feature`` whose features are the emotions' scores.

    Signals that are too short get NaN. Samples are resampled to 16 kHz and mixed to mono.

    Args:
        model: as in phonemo.load.
        **options: options of audinterface.Feature, such as ``win_dur`` and ``hop_dur``.

    Raises:
        CheckpointError: the model cannot be loaded.
        MissingExtraError: audinterface is not installed.
    """
    audinterface = _audinterface()
    recognizer = load_model(model)
    names = list(recognizer.labels)

    def scores(signal: Any, rate: int) -> list[float]:
        try:
            result = recognizer.predict(signal, rate=rate).scores
        except AudioError as error:
            if error.code in ("too_short", "empty_audio"):
                return [float("nan")] * len(names)
            raise
        return [result[name] for name in names]

    return audinterface.Feature(
        names, name="phonemo", process_func=scores, sampling_rate=RATE, resample=True, **options
    )


def _audinterface() -> Any:
    try:
        return importlib.import_module("audinterface")
    except ImportError as error:
        raise MissingExtraError("an audinterface feature", "audformat") from error
