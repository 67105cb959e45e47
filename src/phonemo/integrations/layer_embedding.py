"""Named layers of bundles, model folders and backbones, cached per process."""

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

#: Number of cached networks.
_CACHED = 4


class NamedLayers(Protocol):
    """A network whose layers are accessed by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, lowest first."""

    def frames(self, name: str, samples: Floats) -> Floats:
        """Compute a layer's output (frame, feature) for one clip (sample,) at 16 kHz."""


class BundleLayers:
    """The layers of a bundle, without torch: ``features``, ``phonemes`` and ``emotions``.

    The names match phonemo.train.layers.Layers. Hidden layers of the graph are not accessible.
    """

    def __init__(self, recognizer: OnnxRecognizer) -> None:
        self._recognizer = recognizer
        graph = recognizer.graph
        has = {"features": graph.has_features, "phonemes": graph.has_phonemes, "emotions": True}
        self.names = tuple(name for name, present in has.items() if present)

    def frames(self, name: str, samples: Floats) -> Floats:
        """Compute a layer's output (frame, feature) for one clip (sample,) at 16 kHz."""
        outputs = self._recognizer.logits(samples)
        output = {
            "features": outputs.features,
            "phonemes": outputs.phonemes,
            "emotions": outputs.emotions[None],
        }[name]
        assert output is not None
        return output


@lru_cache(maxsize=_CACHED)
def layers_of(model: str | Path | None) -> NamedLayers:
    """Load the layers of a bundle, a model folder, a backbone, or a model on a hub.

    Args:
        model: as in phonemo.load, or a backbone folder; None is the included bundle.

    Raises:
        PhonemoError: the model is none of these, or it is broken.
        MissingExtraError: torch is needed and not installed.
    """
    folder = resolve_model(model)
    if folder is None or is_bundle(folder):
        return BundleLayers(OnnxRecognizer.load(folder))
    needs_torch("the layers of a model folder")
    from phonemo.train.layers import Layers

    return Layers.load(folder)


def checked(model: str | Path | None, layer: str) -> NamedLayers:
    """Load a model's layers and check that they include this one.

    Raises:
        UsageError: there is no such layer; the message lists the names.
    """
    layers = layers_of(model)
    if layer not in layers.names:
        hint = "" if len(layers.names) > 3 else "; a model folder or a backbone has every layer"
        raise UsageError(
            f"{model or 'phonemo-small'}: expected a layer of {', '.join(layers.names)}, got "
            f"{layer!r}{hint}"
        )
    return layers
