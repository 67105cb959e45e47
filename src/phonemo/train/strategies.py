"""Which part of the backbone learns, and where the frozen part ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn

from phonemo.config import TrainConfig
from phonemo.errors import ConfigError
from phonemo.model.backbone import Backbone
from phonemo.model.network import PhonemoForAudioClassification


@dataclass(frozen=True)
class Boundary:
    """Where the frozen part ends: after so many Transformer layers, or None: after the CNN."""

    layers: int | None


def freeze(model: PhonemoForAudioClassification, config: TrainConfig, epoch: int = 0) -> None:
    """Set what learns in this epoch; everything above the backbone always does."""
    _check_depth(model, config)
    model.requires_grad_(True)
    STRATEGIES[config.strategy](model.backbone, config, epoch)


def boundary(model: PhonemoForAudioClassification, config: TrainConfig) -> Boundary | None:
    """How far the backbone stays frozen through the whole training; None where nothing does."""
    _check_depth(model, config)
    if config.strategy == "full":
        return None
    if config.strategy in ("freeze_cnn", "lora"):
        return Boundary(None)
    depth = model.backbone.depth
    learning = 0 if config.strategy in ("frozen", "logistic") else config.top_k
    return Boundary(depth - learning)


def will_learn(model: PhonemoForAudioClassification, config: TrainConfig) -> list[str]:
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


def _one_more_each_epoch(backbone: Backbone, config: TrainConfig, epoch: int) -> None:
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
    "gradual": _one_more_each_epoch,
    "lora": _adapters,
    "logistic": _nothing,
}
