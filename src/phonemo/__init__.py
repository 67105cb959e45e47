"""phonemo: speech emotion recognition whose network also learns to hear phonemes.

``load`` opens a bundle or a model folder and gives something with ``predict``; ``predict`` does
both for one recording. Importing phonemo imports neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phonemo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from phonemo.annotations.prediction import Prediction
    from phonemo.runtime.recognizer import EmotionRecognizer, StreamingRecognizer

__all__ = [
    "Prediction",
    "StreamingRecognizer",
    "__version__",
    "from_pretrained",
    "load",
    "predict",
    "push_to_hub",
]

#: What is imported when it is asked for.
_ELSEWHERE = {
    "Prediction": "phonemo.annotations.prediction",
    "StreamingRecognizer": "phonemo.runtime.recognizer",
}


def load(model: str | Path | None = None) -> EmotionRecognizer:
    """Open a bundle, or a model folder that ``phonemo train`` wrote (with torch).

    Args:
        model: the folder; "phonemo-small" or "phonemo-open", which ship with phonemo, unless a
            folder of that name is here; or the name of a model on a hub: "org/name@revision".
            None opens phonemo-small.

    Raises:
        CheckpointError: the folder is absent, broken or neither; or no bundle ships with this
            copy of phonemo.
        HubError: the hub has no such model, or is out of reach.
        MissingExtraError: it is a model folder and torch is not installed.
    """
    from phonemo.loader import load_model

    return load_model(model)


def predict(audio: Any, model: str | Path | None = None, rate: int | None = None) -> Prediction:
    """The emotion of one recording; for many, ``load`` once and call its ``predict``.

    Args:
        audio: a path, bytes, an open binary file, or samples with their ``rate``.
        model: as ``load`` takes it; None is phonemo-small.
        rate: samples per second, for an array.
    """
    return load(model).predict(audio, rate=rate)


def from_pretrained(model: str | Path, token: str | None = None) -> EmotionRecognizer:
    """Open a model of a hub; of a folder that is there, as ``load`` does.

    Args:
        model: "org/name", "org/name@revision" (a branch, a tag or a commit) or a folder.
        token: for a private one; by default the one of ``hf auth login``.

    Raises:
        HubError: the hub has no such model, or is out of reach.
        CheckpointError: what was fetched is no whole model.
        MissingExtraError: it needs the extra hub, or it is a model folder and torch is not
            installed.
    """
    from phonemo.loader import load_model
    from phonemo.runtime.hub import parse_hub_id

    name = parse_hub_id(model, bare=True)
    if name is None:
        return load_model(model)
    from phonemo.runtime.hub import download_model

    return load_model(download_model(name, token))


def push_to_hub(folder: str | Path, repository: str, **options: Any) -> str:
    """Put a model onto a hub, with its card; ``phonemo push`` does the same.

    It is opened first: what cannot be opened here would be of no use there. The names of the
    speakers it learnt from (provenance.json) go with it.

    Args:
        folder: a bundle or a model folder.
        repository: "org/name".
        **options: ``private``, ``revision``, ``message``, ``create_pr``, ``metrics`` and
            ``token``, as in phonemo.integrations.hub_push.push.

    Returns:
        The address of the commit.

    Raises:
        HubError: the hub refuses, or is out of reach.
        CheckpointError: the folder is no whole model.
        UsageError: the repository is no "org/name".
        MissingExtraError: it needs the extra hub, or it is a model folder and torch is not
            installed.
    """
    from phonemo.integrations.hub_push import push
    from phonemo.loader import load_model

    load_model(folder)
    return push(folder, repository, **options)


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ELSEWHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
