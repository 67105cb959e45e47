"""Resolve a model name and load its recognizer.

A bundle (``phonemo export``) runs on onnxruntime, a model folder (``phonemo train``) on torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from phonemo.errors import CheckpointError, MissingExtraError
from phonemo.files import CHECKSUMS

if TYPE_CHECKING:
    from phonemo.runtime.recognizer import EmotionRecognizer


def load_model(
    model: str | Path | None = None, threads: int | None = None, device: str = "cpu"
) -> EmotionRecognizer:
    """Open a bundle or a model folder; None opens the bundle that ships with phonemo.

    Args:
        model: a folder, a model that ships with phonemo ("phonemo-small"; a folder with that name
            in the working directory takes precedence), or a hub model, "org/name@revision".
        threads: threads per clip; None uses the engine's default.
        device: "cpu", "cuda", "cuda:1", or "auto", the card if the network opens there.

    Raises:
        CheckpointError: the folder is missing, broken or neither kind.
        DeviceError: the requested card is missing, or the network does not open there.
        UsageError: an unknown device.
        HubError: the hub has no such model or is unreachable.
        MissingExtraError: a model folder was given and torch is not installed.
    """
    from phonemo.runtime.bundle import is_bundle

    model = resolve_model(model)
    if model is None or is_bundle(model):
        from phonemo.runtime.onnx_recognizer import OnnxRecognizer

        return OnnxRecognizer.load(model, threads, device)
    if not Path(model).is_dir():
        raise CheckpointError(f"{model}: no such model folder; {_expected_model(str(model))}")
    needs_torch("predicting with a model folder")
    from phonemo.train.torch_recognizer import TorchRecognizer

    return TorchRecognizer.load(model, threads, device)


def resolve_model(model: str | Path | None) -> Path | None:
    """Return the folder of a path, a packaged model or a hub model, which is downloaded.

    None stays None. An existing path takes precedence over a packaged model. The network is used
    only if the name has a revision or begins with hf://.

    Raises:
        HubError: the hub has no such model or is unreachable.
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


def _expected_model(model: str) -> str:
    from phonemo.runtime.hub import parse_hub_id

    if Path(model).name == model:
        from phonemo.runtime.bundle import packaged_names

        shipped = ", ".join(packaged_names()) or "none"
        return f"expected a bundle or a model folder; models that ship with phonemo: {shipped}"
    if parse_hub_id(model, bare=True) is None:
        return "expected a bundle or a model folder"
    return f"expected a bundle or a model folder; for a hub model write {model}@main"


def model_digest(model: str | Path | None = None) -> str:
    """Return the SHA-256 of the file that lists the hashes of all other files of the model.

    Raises:
        CheckpointError: that file cannot be read.
    """
    from phonemo.runtime.bundle import CARD, is_bundle, named, packaged

    folder = packaged() if model is None else named(model)
    path = folder / (CARD if is_bundle(folder) else CHECKSUMS)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot read {path.name}; expected a bundle or a model folder"
        ) from error


def needs_torch(what: str) -> None:
    """Raise MissingExtraError unless torch and transformers are installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtraError(what, "train")
