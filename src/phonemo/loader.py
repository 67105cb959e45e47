"""From the name of a model to something with ``predict``: the one place that tells them apart.

A bundle (``phonemo export``) is heard by onnxruntime, a model folder (``phonemo train``) by torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from phonemo.errors import CheckpointError, MissingExtraError
from phonemo.files import CHECKSUMS

if TYPE_CHECKING:
    from phonemo.runtime.recognizer import EmotionRecognizer

#: What phonemo.files names the file with the hashes of a model folder.


def load_model(model: str | Path | None = None, threads: int | None = None) -> EmotionRecognizer:
    """Open a bundle or a model folder; without a name, the bundle that ships with phonemo.

    Args:
        model: the folder, the name of a model that ships with phonemo ("phonemo-small"; a folder
            of that name in the working directory wins), or of one on a hub: "org/name@revision".
        threads: how many threads one clip may use; None leaves it to the engine.

    Raises:
        CheckpointError: the folder is absent, broken or neither.
        HubError: the hub has no such model, or is out of reach.
        MissingExtraError: it is a model folder and torch is not installed.
    """
    from phonemo.runtime.bundle import is_bundle

    model = resolve_model(model)
    if model is None or is_bundle(model):
        from phonemo.runtime.onnx_recognizer import OnnxRecognizer

        return OnnxRecognizer.load(model, threads)
    if not Path(model).is_dir():
        raise CheckpointError(f"{model}: no such model folder; {_expected(str(model))}")
    needs_torch("predicting with a model folder")
    from phonemo.train.torch_recognizer import TorchRecognizer

    return TorchRecognizer.load(model, threads)


def resolve_model(model: str | Path | None) -> Path | None:
    """The folder of a model: a path, the name of one that ships, or one of a hub, fetched.

    None stays None. A path that exists wins over the name of a model that ships.

    Nothing is asked of a network unless the name has a revision, or begins with hf://.

    Raises:
        HubError: the hub has no such model, or is out of reach.
        MissingExtraError: huggingface-hub is not installed.
    """
    if model is None:
        return None
    from phonemo.runtime.hub import parse_hub_id

    name = parse_hub_id(model)
    if name is None:
        from phonemo.runtime.bundle import named

        return named(model)
    from phonemo.runtime.hub import download_model

    return download_model(name)


def _expected(model: str) -> str:
    from phonemo.runtime.hub import parse_hub_id

    if Path(model).name == model:
        from phonemo.runtime.bundle import packaged_names

        shipped = ", ".join(packaged_names()) or "none"
        return f"a bundle or a model is expected; models that ship with phonemo: {shipped}"
    if parse_hub_id(model, bare=True) is None:
        return "a bundle or a model is wanted"
    return f"a bundle or a model is wanted; one of a hub is {model}@main"


def model_digest(model: str | Path | None = None) -> str:
    """SHA-256 that changes with a model: of the file that names the hashes of all its others.

    Raises:
        CheckpointError: there is no such file.
    """
    from phonemo.runtime.bundle import CARD, is_bundle, named, packaged

    folder = packaged() if model is None else named(model)
    path = folder / (CARD if is_bundle(folder) else CHECKSUMS)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{folder}: no {path.name} can be read; a bundle or a model folder is wanted"
        ) from error


def needs_torch(what: str) -> None:
    """Raise MissingExtraError where torch or transformers are not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtraError(what, "train")
