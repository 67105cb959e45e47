"""phonemo: speech emotion recognition whose network also learns to hear phonemes.

``load`` opens a bundle or a model folder and gives something with ``predict``; ``predict`` does
both for one recording. Importing phonemo imports neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phonemo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from phonemo.prediction import Prediction
    from phonemo.runtime.listener import Listener
    from phonemo.runtime.stream import StreamingRecognizer

__all__ = ["Prediction", "StreamingRecognizer", "__version__", "load", "predict"]

#: What is imported when it is asked for.
_ELSEWHERE = {
    "Prediction": "phonemo.prediction",
    "StreamingRecognizer": "phonemo.runtime.stream",
}


def load(model: str | Path | None = None) -> Listener:
    """Open a bundle, or a model folder that ``phonemo train`` wrote (with torch).

    Args:
        model: the folder; None opens the bundle that ships with phonemo.

    Raises:
        CheckpointError: the folder is absent, broken or neither; or no bundle ships with this
            copy of phonemo.
        MissingExtraError: it is a model folder and torch is not installed.
    """
    from phonemo.opening import open_model

    return open_model(model)


def predict(audio: Any, model: str | Path | None = None, rate: int | None = None) -> Prediction:
    """The emotion of one recording; for many, ``load`` once and call its ``predict``.

    Args:
        audio: a path, bytes, an open binary file, or samples with their ``rate``.
        model: a bundle or a model folder; None is the bundle that ships with phonemo.
        rate: samples per second, for an array.
    """
    return load(model).predict(audio, rate=rate)


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ELSEWHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
