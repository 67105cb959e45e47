"""The layers of whatever holds a network, by name; opened once in a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from phonemo.errors import UsageError
from phonemo.loader import needs_torch, resolve_model
from phonemo.runtime.bundle import is_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer

Floats = npt.NDArray[np.float32]

#: How many networks stay open.
_OPEN = 4


class NamedLayers(Protocol):
    """Something whose layers are asked for by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, from the bottom."""

    def frames(self, name: str, samples: Floats) -> Floats:
        """A layer's output (frame, feature) for one clip (sample,) at 16 kHz."""


class BundleLayers:
    """What a bundle gives without torch: ``features``, ``phonemes`` and ``emotions``.

    They are what phonemo.train.layers.Layers calls so. Hidden layers are inside the graph and
    cannot be reached.
    """

    def __init__(self, recognizer: OnnxRecognizer) -> None:
        self._recognizer = recognizer
        graph = recognizer.graph
        has = {"features": graph.has_features, "phonemes": graph.has_phonemes, "emotions": True}
        self.names = tuple(name for name, there in has.items() if there)

    def frames(self, name: str, samples: Floats) -> Floats:
        """A layer's output (frame, feature) for one clip (sample,) at 16 kHz."""
        found = self._recognizer.logits(samples)
        chosen = {
            "features": found.features,
            "phonemes": found.phonemes,
            "emotions": found.emotions[None],
        }[name]
        assert chosen is not None
        return chosen


@lru_cache(maxsize=_OPEN)
def layers_of(model: str | Path | None) -> NamedLayers:
    """The layers of a bundle, a model folder, a backbone, or a model on a hub.

    Args:
        model: as phonemo.load takes it, or the folder of a backbone; None is the bundle that
            ships with phonemo.

    Raises:
        PhonemoError: it is none of these, or it is broken.
        MissingExtraError: torch is needed and not installed.
    """
    folder = resolve_model(model)
    if folder is None or is_bundle(folder):
        return BundleLayers(OnnxRecognizer.load(folder))
    needs_torch("the layers of a model folder")
    from phonemo.train.layers import Layers

    return Layers.load(folder)


def checked(model: str | Path | None, layer: str) -> NamedLayers:
    """The layers of a model that has this one.

    Raises:
        UsageError: it has none of that name; those that it has are named.
    """
    found = layers_of(model)
    if layer not in found.names:
        more = "" if len(found.names) > 3 else "; a model folder or a backbone has every layer"
        raise UsageError(
            f"layer {layer!r}: {model or 'phonemo-small'} has {', '.join(found.names)}{more}"
        )
    return found
