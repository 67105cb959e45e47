"""Freezing strategies for the backbone, and weight transfer from a trained model.

A fine-tuned model copies all weights of the model it starts from, output rows by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from phonemo.config import TrainConfig
from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.errors import ConfigError, ModelError
from phonemo.labels import LabelSet
from phonemo.model.backbone import Backbone
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.model_folder import LoadedModel


@dataclass(frozen=True)
class FrozenDepth:
    """Number of frozen Transformer layers; None: the CNN alone is frozen."""

    layers: int | None


def freeze(model: PhonemoForAudioClassification, config: TrainConfig, epoch: int = 0) -> None:
    """Set the parameters trained in this epoch; those above the backbone always are."""
    _check_depth(model, config)
    model.requires_grad_(True)
    STRATEGIES[config.strategy](model.backbone, config, epoch)


def frozen_depth(model: PhonemoForAudioClassification, config: TrainConfig) -> FrozenDepth | None:
    """Return the depth that stays frozen during the whole training; None without any."""
    _check_depth(model, config)
    if config.strategy == "full":
        return None
    if config.strategy in ("freeze_cnn", "lora"):
        return FrozenDepth(None)
    depth = model.backbone.depth
    learning = 0 if config.strategy in ("frozen", "logistic") else config.top_k
    return FrozenDepth(depth - learning)


def trainable_parameters(model: PhonemoForAudioClassification, config: TrainConfig) -> list[str]:
    """Return names of the parameters trained in some epoch, which a checkpoint must save."""
    freeze(model, config, epoch=config.epochs + config.top_k)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    freeze(model, config, epoch=0)
    return names


def _check_depth(model: PhonemoForAudioClassification, config: TrainConfig) -> None:
    if config.strategy in ("top_k", "gradual") and config.top_k > model.backbone.depth:
        raise ConfigError(
            f"expected train.top_k of at most {model.backbone.depth}, the backbone's layers, got "
            f"{config.top_k}; lower it"
        )


def _freeze_all(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    _freeze(backbone.modules())


def _train_above_cnn(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    _freeze(backbone.parts()[0])


def _train_all(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    backbone.requires_grad_(True)


def _train_top_layers(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    _freeze_below(backbone, config.top_k)


def _unfreeze_gradually(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
    """Heads alone first, then one more layer an epoch from the top (Howard and Ruder 2018)."""
    if epoch == 0:
        _freeze(backbone.modules())
    else:
        _freeze_below(backbone, min(epoch, config.top_k))


def _train_adapters(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
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
    "frozen": _freeze_all,
    "freeze_cnn": _train_above_cnn,
    "full": _train_all,
    "top_k": _train_top_layers,
    "gradual": _unfreeze_gradually,
    "lora": _train_adapters,
    "logistic": _freeze_all,
}


log = logging.getLogger(__name__)


@torch.no_grad()
def load_matching_weights(
    network: PhonemoForAudioClassification,
    labels: LabelSet,
    inventory: PhonemeInventory | None,
    start: LoadedModel,
) -> None:
    """Copy a trained model's weights into a network of the same shape.

    Emotions and phonemes that both models have keep their output rows; new ones keep their
    initialization, and so does an emotion head of another kind.

    Args:
        network: the initialized network.
        labels: its emotions.
        inventory: its phonemes; None without that task.
        start: the trained model.

    Raises:
        ModelError: the shapes differ; the message has both.
    """
    outputs = _outputs(network, labels, inventory)
    start_outputs = _outputs(start.model, start.labels, start.inventory)
    start_weights = start.model.state_dict()
    new_head = _head_kind(network) != _head_kind(start.model)
    same_dimensions = not new_head and network.config.dimensions == start.model.config.dimensions
    for name, tensor in network.state_dict().items():
        if new_head and name.startswith("head."):
            continue
        if name not in outputs and name not in start_weights and not name.startswith(_OPTIONAL):
            raise ModelError(
                f"model.start {start.folder}: expected a weight {name!r}, got none; {_REMEDY}"
            )
        if name in outputs:
            if name in start_outputs:
                _copy_rows(tensor, outputs[name], start_weights[name], start_outputs[name])
        elif name.startswith(_DIMENSIONS) and not same_dimensions:
            continue
        elif name in start_weights:
            if start_weights[name].shape != tensor.shape:
                raise ModelError(
                    f"model.start {start.folder}: expected {name!r} of shape "
                    f"{tuple(tensor.shape)}, got {tuple(start_weights[name].shape)}; {_REMEDY}"
                )
            tensor.copy_(start_weights[name])
    new_labels = [name for name in labels.names if name not in start.labels.names]
    if new_labels and not new_head:
        log.warning("%s was not trained on: %s", start.folder, ", ".join(new_labels))


#: Parts that a start may lack.
_DIMENSIONS = "dimensions."
_OPTIONAL = ("auxiliary.", _DIMENSIONS)
_REMEDY = "give the same model section as the one it was trained with"


def _head_kind(network: PhonemoForAudioClassification) -> tuple[object, ...]:
    config = network.config
    return config.head, network.statistics, config.pooled, config.frames, config.moments


def _outputs(
    network: PhonemoForAudioClassification,
    labels: LabelSet,
    inventory: PhonemeInventory | None,
) -> dict[str, Sequence[str]]:
    """Map the weights with one row per output to the names of their rows."""
    last = max(
        index for index, layer in enumerate(network.head.layers) if isinstance(layer, nn.Linear)
    )
    outputs: dict[str, Sequence[str]] = {}
    for part in ("weight", "bias"):
        outputs[f"head.layers.{last}.{part}"] = labels.names
        if inventory is not None:
            outputs[f"auxiliary.output.{part}"] = inventory.symbols
    return outputs


def _copy_rows(
    target: torch.Tensor,
    row_names: Sequence[str],
    source: torch.Tensor,
    source_names: Sequence[str],
) -> None:
    source_rows = {name: row for row, name in enumerate(source_names)}
    if target.shape[1:] != source.shape[1:]:
        raise ModelError(
            f"model.start: expected heads of width {tuple(target.shape[1:])}, got "
            f"{tuple(source.shape[1:])}; {_REMEDY}"
        )
    for row, name in enumerate(row_names):
        if name in source_rows:
            target[row] = source[source_rows[name]]
