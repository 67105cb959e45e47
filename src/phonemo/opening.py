"""From the name of a model to something with ``predict``: the one place that tells them apart.

A bundle (``phonemo export``) is heard by onnxruntime, a model folder (``phonemo train``) by torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from phonemo.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    from phonemo.runtime.listener import Listener


def open_model(model: str | Path | None = None) -> Listener:
    """Open a bundle or a model folder; without a name, the bundle that ships with phonemo.

    Raises:
        CheckpointError: the folder is absent, broken or neither.
        MissingExtraError: it is a model folder and torch is not installed.
    """
    from phonemo.runtime.bundle import is_bundle

    if model is None or is_bundle(model):
        from phonemo.runtime.engine import Recognizer

        return Recognizer.load(model)
    if not Path(model).is_dir():
        raise CheckpointError(f"{model}: no such model folder; a bundle or a model is wanted")
    needs_torch("predicting with a model folder")
    from phonemo.train.predictor import Predictor

    return Predictor.load(model)


def needs_torch(what: str) -> None:
    """Raise MissingExtraError where torch or transformers are not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtraError(what, "train")
