"""phonemo: speech emotion recognition whose network also learns to hear phonemes.

``load`` opens a model folder and gives something with ``predict``; ``predict`` does both for one
recording. Importing phonemo imports neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phonemo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from phonemo.prediction import Prediction
    from phonemo.train.predictor import Predictor

__all__ = ["Prediction", "__version__", "load", "predict"]


def load(model: str | Path) -> Predictor:
    """Open a model folder that ``phonemo train`` wrote.

    Raises:
        CheckpointError: the folder is absent, broken or not a phonemo model.
        MissingExtraError: torch is not installed.
    """
    try:
        from phonemo.train.predictor import Predictor
    except ModuleNotFoundError as error:
        from phonemo.errors import MissingExtraError

        raise MissingExtraError("opening a trained model", "train") from error
    return Predictor.load(model)


def predict(audio: Any, model: str | Path, rate: int | None = None) -> Prediction:
    """The emotion of one recording; for many, ``load`` once and call its ``predict``.

    Args:
        audio: a path, bytes, an open binary file, or samples with their ``rate``.
        model: a model folder.
        rate: samples per second, for an array.
    """
    return load(model).predict(audio, rate=rate)


def __getattr__(name: str) -> Any:
    if name == "Prediction":
        from phonemo.prediction import Prediction

        return Prediction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
