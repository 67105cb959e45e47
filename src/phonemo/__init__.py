"""phonemo: speech emotion recognition with a network trained jointly on emotions and phonemes.

``load`` opens a bundle or a model folder and returns a recognizer; ``predict`` loads the model and
recognizes one recording. Importing phonemo imports neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phonemo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from phonemo.annotations.prediction import Prediction
    from phonemo.runtime.recognizer import EmotionRecognizer
    from phonemo.runtime.streaming_recognizer import StreamingRecognizer

__all__ = [
    "Prediction",
    "StreamingRecognizer",
    "__version__",
    "from_pretrained",
    "load",
    "predict",
    "push_to_hub",
]

#: Names that are imported on first access.
_LAZY_IMPORTS = {
    "Prediction": "phonemo.annotations.prediction",
    "StreamingRecognizer": "phonemo.runtime.streaming_recognizer",
}


def load(model: str | Path | None = None, device: str = "cpu") -> EmotionRecognizer:
    """Open a bundle, or a model folder that ``phonemo train`` wrote (with torch).

    Args:
        model: a folder; "phonemo-small" or "phonemo-open", which ship with phonemo (a folder with
            that name in the working directory takes precedence); or a hub model,
            "org/name@revision". None opens phonemo-small.
        device: "cpu", "cuda" (needs onnxruntime-gpu in place of onnxruntime), "cuda:1", or "auto":
            the card if the network opens there. The recognizer's ``device`` says which it is.

    Raises:
        CheckpointError: the folder is missing, broken or neither kind; or this copy of phonemo
            has no packaged bundle.
        DeviceError: the requested card is missing, or the network does not open there.
        UsageError: an unknown device.
        HubError: the hub has no such model or is unreachable.
        MissingExtraError: a model folder was given and torch is not installed.
    """
    from phonemo.loader import load_model

    return load_model(model, device=device)


def predict(audio: Any, model: str | Path | None = None, rate: int | None = None) -> Prediction:
    """Recognize the emotion of one recording; for many, ``load`` once and call its ``predict``.

    Args:
        audio: a path, bytes, an open binary file, or samples with their ``rate``.
        model: as for ``load``; None is phonemo-small.
        rate: samples per second, for an array.
    """
    return load(model).predict(audio, rate=rate)


def from_pretrained(
    model: str | Path, token: str | None = None, device: str = "cpu"
) -> EmotionRecognizer:
    """Open a hub model, or an existing folder as ``load`` does.

    Args:
        model: "org/name", "org/name@revision" (a branch, tag or commit) or a folder.
        token: for a private model; defaults to the token of ``hf auth login``.
        device: as for ``load``.

    Raises:
        HubError: the hub has no such model or is unreachable.
        CheckpointError: the downloaded model is incomplete.
        DeviceError: the requested card is missing, or the network does not open there.
        MissingExtraError: the extra hub is missing, or torch for a model folder.
    """
    from phonemo.loader import load_model
    from phonemo.runtime.hub import parse_hub_id

    name = parse_hub_id(model, bare=True)
    if name is None:
        return load_model(model, device=device)
    from phonemo.runtime.hub import download_model

    return load_model(download_model(name, token), device=device)


def push_to_hub(folder: str | Path, repository: str, **options: Any) -> str:
    """Upload a model and its card to a hub, as ``phonemo push`` does.

    The model is opened first, so that a broken one is not uploaded. The upload includes
    provenance.json, which names the speakers in the training data.

    Args:
        folder: a bundle or a model folder.
        repository: "org/name".
        **options: ``private``, ``revision``, ``message``, ``create_pr``, ``metrics`` and
            ``token``, as in phonemo.integrations.hub_push.push.

    Returns:
        The URL of the commit.

    Raises:
        HubError: the hub rejects the upload or is unreachable.
        CheckpointError: the folder is not a complete model.
        UsageError: the repository is not "org/name".
        MissingExtraError: the extra hub is missing, or torch for a model folder.
    """
    from phonemo.integrations.hub_push import push
    from phonemo.loader import load_model

    load_model(folder)
    return push(folder, repository, **options)


def __getattr__(name: str) -> Any:
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY_IMPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
