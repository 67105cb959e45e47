"""Bundles that share a network: where it lies, and how it gets another emotion head."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from phonemo.errors import CheckpointError
from phonemo.runtime.adaptation import Affine, Reference
from phonemo.runtime.graph import OUTPUTS, VECTOR, Counts, Floats, Graph

#: What the bundle that holds a network for others may be called: a name, and never a path.
NETWORK_NAME = "^[a-z0-9][a-z0-9-]*$"


def place_of(folder: Path, file: str, network: str | None) -> Path:
    """Where a bundle's network lies: in its own folder, or in that of the bundle it shares one of.

    Args:
        folder: of the bundle.
        file: the network's name in it.
        network: the name of the bundle beside it, as ``NETWORK_NAME`` allows; None: it is whole.

    Raises:
        CheckpointError: the other bundle is absent, has no network, or is a link.
    """
    own = folder / file
    if network is None or own.exists():  # a copy of the network makes a sharing bundle whole
        return own
    home = Path(os.path.abspath(folder)).parent / network
    found = home / file
    if home.is_symlink() or found.is_symlink():
        raise CheckpointError(
            f"{folder}: expected the network in {found}, got a link; copy the bundle {network} "
            "itself beside this one"
        )
    if not found.is_file():
        raise CheckpointError(
            f"{folder}: expected the network in {found}, got no such file; copy the bundle "
            f"{network} beside this one"
        )
    return found


class SharedGraph(Graph):
    """A network under another emotion head, that of a reference; all other outputs are its own.

    Args:
        model: the content of model.onnx.
        reference: holds the head, and with it how many emotions there are.
        threads: how many threads one clip may use; None leaves it to onnxruntime.

    Raises:
        CheckpointError: the network gives no vector, or one of another width.
    """

    def __init__(self, model: bytes, reference: Reference, threads: int | None = None) -> None:
        super().__init__(model, threads)
        self._reference = reference
        width = len(reference.centre)
        if self.width != width:
            raise CheckpointError(
                f"expected a shared network with a vector of {width} features, got "
                f"{self.width or 'none'}; export the model again"
            )

    @property
    def emotions(self) -> int:
        """How many emotions the head tells apart."""
        return len(self._reference.bias)

    def run(
        self, waveform: Floats, samples: Counts, affine: Affine | None = None
    ) -> dict[str, Any]:
        """As of ``Graph``, with the emotion logits of the head."""
        found = super().run(waveform, samples)
        logits = self._reference.logits(found[VECTOR], affine)
        return found | {OUTPUTS[0]: logits.astype("float32")}
