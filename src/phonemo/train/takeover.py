"""Fine-tuning from a trained model: its weights are taken over, its outputs by their names."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import nn

from phonemo.corpora.phonemes import PhonemeInventory
from phonemo.errors import ModelError
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.folder import Trained

log = logging.getLogger(__name__)


@torch.no_grad()
def take_over(
    network: PhonemoForAudioClassification,
    labels: LabelSet,
    inventory: PhonemeInventory | None,
    start: Trained,
) -> None:
    """Put a trained model's weights into a network of the same shape.

    Emotions and phonemes that both know keep their outputs; those the trained model does not know
    stay fresh, and so does an emotion head of another kind.

    Args:
        network: as it was built.
        labels: its emotions.
        inventory: its phonemes, or None without that task.
        start: the trained model.

    Raises:
        ModelError: another shape; both are named.
    """
    outputs = _outputs(network, labels, inventory)
    before = _outputs(start.model, start.labels, start.inventory)
    theirs = start.model.state_dict()
    anew = _head_kind(network) != _head_kind(start.model)
    for name, tensor in network.state_dict().items():
        if anew and name.startswith("head."):
            continue
        if name not in outputs and name not in theirs and not name.startswith("auxiliary."):
            raise ModelError(f"model.start {start.folder} has no {name!r}; {_WANTED}")
        if name in outputs:
            if name in before:
                _copy_rows(tensor, outputs[name], theirs[name], before[name])
        elif name in theirs:
            if theirs[name].shape != tensor.shape:
                raise ModelError(
                    f"model.start {start.folder}: {name!r} has the shape "
                    f"{tuple(theirs[name].shape)}, {tuple(tensor.shape)} is wanted; {_WANTED}"
                )
            tensor.copy_(theirs[name])
    fresh = [name for name in labels.names if name not in start.labels.names]
    if fresh and not anew:
        log.warning("%s does not know: %s", start.folder, ", ".join(fresh))


_WANTED = "give the same model section as the one it was trained with"


def _head_kind(network: PhonemoForAudioClassification) -> tuple[object, ...]:
    config = network.config
    return config.head, network.statistics, config.pooled, config.frames, config.moments


def _outputs(
    network: PhonemoForAudioClassification,
    labels: LabelSet,
    inventory: PhonemeInventory | None,
) -> dict[str, Sequence[str]]:
    """Names of the weights with one row an output, and what each row stands for."""
    last = max(n for n, layer in enumerate(network.head.layers) if isinstance(layer, nn.Linear))
    found: dict[str, Sequence[str]] = {}
    for part in ("weight", "bias"):
        found[f"head.layers.{last}.{part}"] = labels.names
        if inventory is not None:
            found[f"auxiliary.output.{part}"] = inventory.symbols
    return found


def _copy_rows(
    to: torch.Tensor, wanted: Sequence[str], source: torch.Tensor, known: Sequence[str]
) -> None:
    places = {name: row for row, name in enumerate(known)}
    if to.shape[1:] != source.shape[1:]:
        raise ModelError(f"the heads of model.start have another width; {_WANTED}")
    for row, name in enumerate(wanted):
        if name in places:
            to[row] = source[places[name]]
