"""Which part of the backbone learns, and where the frozen part ends.

Fine-tuning from a trained model: its weights are taken over, its outputs by their names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from phonemo.config import TrainConfig
from phonemo.corpora.inventory import PhonemeInventory
from phonemo.errors import ConfigError, ModelError
from phonemo.labels import LabelSet
from phonemo.model.backbone import Backbone
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.model_folder import LoadedModel


@dataclass(frozen=True)
class FrozenDepth:
    """Where the frozen part ends: after so many Transformer layers, or None: after the CNN."""

    layers: int | None


def freeze(model: PhonemoForAudioClassification, config: TrainConfig, epoch: int = 0) -> None:
    """Set what learns in this epoch; everything above the backbone always does."""
    _check_depth(model, config)
    model.requires_grad_(True)
    STRATEGIES[config.strategy](model.backbone, config, epoch)


def frozen_depth(model: PhonemoForAudioClassification, config: TrainConfig) -> FrozenDepth | None:
    """How far the backbone stays frozen through the whole training; None where nothing does."""
    _check_depth(model, config)
    if config.strategy == "full":
        return None
    if config.strategy in ("freeze_cnn", "lora"):
        return FrozenDepth(None)
    depth = model.backbone.depth
    learning = 0 if config.strategy in ("frozen", "logistic") else config.top_k
    return FrozenDepth(depth - learning)


def trainable_parameters(model: PhonemoForAudioClassification, config: TrainConfig) -> list[str]:
    """Names of the parameters that learn in some epoch; what a checkpoint must keep."""
    freeze(model, config, epoch=config.epochs + config.top_k)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    freeze(model, config, epoch=0)
    return names


def _check_depth(model: PhonemoForAudioClassification, config: TrainConfig) -> None:
    if config.strategy in ("top_k", "gradual") and config.top_k > model.backbone.depth:
        raise ConfigError(
            f"train.top_k is {config.top_k}, but the backbone has {model.backbone.depth} layers"
        )


def _nothing(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    _freeze(backbone.modules())


def _above_cnn(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    _freeze(backbone.parts()[0])


def _everything(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    backbone.requires_grad_(True)


def _top_layers(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    _freeze_below(backbone, config.top_k)


def _unfreeze_gradually(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    """Heads alone first, then one more layer an epoch from the top (Howard and Ruder 2018)."""
    if epoch == 0:
        _freeze(backbone.modules())
    else:
        _freeze_below(backbone, min(epoch, config.top_k))


def _adapters(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_("lora_" in name)


def _freeze_below(backbone: Backbone, layers: int) -> None:
    parts = backbone.parts()
    for part in parts[: len(parts) - layers]:
        _freeze(part)


def _freeze(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        module.requires_grad_(False)


STRATEGIES: dict[str, Callable[[Backbone, TrainConfig, int], None]] = {
    "frozen": _nothing,
    "freeze_cnn": _above_cnn,
    "full": _everything,
    "top_k": _top_layers,
    "gradual": _unfreeze_gradually,
    "lora": _adapters,
    "logistic": _nothing,
}


log = logging.getLogger(__name__)


@torch.no_grad()
def load_matching_weights(
    network: PhonemoForAudioClassification,
    labels: LabelSet,
    inventory: PhonemeInventory | None,
    start: LoadedModel,
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
