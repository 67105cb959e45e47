"""phonemo behind audEERING's audinterface: scores as features of files, segments and windows."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from phonemo.audio import RATE
from phonemo.errors import AudioError, MissingExtraError
from phonemo.opening import open_model


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
    listener = open_model(model)
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
