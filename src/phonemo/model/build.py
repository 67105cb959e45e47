"""From a config to a network with its backbone's weights; from a folder to a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, Wav2Vec2FeatureExtractor

from phonemo.audio import RATE
from phonemo.config import ModelConfig
from phonemo.errors import ModelError
from phonemo.labels import LabelSet
from phonemo.model.backbone import BACKBONES
from phonemo.model.foreign import ForeignError, read_config, read_network, read_preprocessor
from phonemo.model.logmel import NAME, LogMelConfig, LogMelModel
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification

log = logging.getLogger(__name__)

_PREPROCESSOR = "preprocessor_config.json"
#: Regularisers of pretraining that would make resuming inexact or masking happen twice.
_OFF = {"layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0}


def build_network(
    model: ModelConfig,
    labels: LabelSet,
    symbols: Mapping[str, Any] | None,
    lora_rank: int | None = None,
) -> PhonemoForAudioClassification:
    """A network with a pretrained backbone and fresh heads.

    Args:
        model: its description.
        labels: the emotions, in the order of the outputs.
        symbols: the closed inventory of the auxiliary task as JSON, or None without the task.
        lora_rank: rank of the adapters, for the strategy lora.

    Raises:
        ModelError: the backbone is absent, of an unknown kind or incomplete.
    """
    network, normalise = load_backbone(model.backbone, model.layers)
    shape: Any = network.config
    auxiliary = None
    if model.auxiliary is not None and symbols is not None:
        auxiliary = {**model.auxiliary.model_dump(mode="json"), **symbols}
    config = PhonemoConfig(
        backbone=shape.to_diff_dict() | {"model_type": shape.model_type},
        normalise=normalise,
        auxiliary=auxiliary,
        lora_rank=lora_rank,
        id2label=dict(enumerate(labels.names)),
        label2id={name: index for index, name in enumerate(labels.names)},
        **model.model_dump(exclude={"backbone", "layers", "auxiliary"}),
    )
    if model.width % model.attention_heads:
        raise ModelError(
            f"width {model.width} is not a multiple of attention_heads {model.attention_heads}"
        )
    return PhonemoForAudioClassification(config, network)


def load_backbone(name: str, layers: int | None = None) -> tuple[nn.Module, bool]:
    """A bare transformers encoder in fp32, and whether it wants each clip normalised.

    Args:
        name: a folder, or a hub id with an optional @revision.
        layers: use only so many Transformer layers from the bottom.
    """
    if name == NAME:
        shape = LogMelConfig()
        shape.num_hidden_layers = layers or shape.num_hidden_layers
        return LogMelModel(shape), True
    folder = Path(name)
    path, _, revision = (name, "", "") if folder.exists() else name.partition("@")
    where = {"revision": revision} if revision else {}
    try:
        config = read_config(AutoConfig, path, **where)
    except ForeignError as error:
        found = "no such folder, and no model hub gave it"
        if folder.exists():
            found = f"it has no config.json that may be used ({error})"
        raise ModelError(
            f"backbone {name!r}: {found}; name a folder with config.json and model.safetensors"
        ) from error
    if config.model_type == PhonemoConfig.model_type:
        return _trained_backbone(name, path, layers, where)
    _check_kind(name, config, layers)
    config.update(_OFF | ({"num_hidden_layers": layers} if layers else {}))
    network = _read_whole(name, AutoModel, path, config, where)
    return network, _wants_normalising(path, where)


def _trained_backbone(
    name: str, path: str, layers: int | None, where: dict[str, str]
) -> tuple[nn.Module, bool]:
    """The backbone of a trained phonemo model, cut to so many layers."""
    try:
        config = read_config(PhonemoConfig, path, **where)
    except ForeignError as error:
        raise ModelError(f"backbone {name!r}: its config cannot be read ({error})") from error
    trained = _read_whole(name, PhonemoForAudioClassification, path, config, where)
    network: Any = trained.backbone.network
    _check_kind(name, network.config, layers)
    if layers is not None:
        del network.encoder.layers[layers:]
        network.config.num_hidden_layers = layers
    return network, trained.backbone.normalise


def _read_whole(name: str, kind: Any, path: str, config: Any, where: dict[str, str]) -> Any:
    try:
        network, missing, _ = read_network(kind, path, config, **where)
    except ForeignError as error:
        raise ModelError(f"backbone {name!r}: its weights cannot be read ({error})") from error
    if missing:
        raise ModelError(
            f"backbone {name!r}: {len(missing)} weights are missing, as {missing[0]!r}"
        )
    return network


def feature_extractor(normalise: bool = False) -> Wav2Vec2FeatureExtractor:
    """The preprocessor beside saved weights.

    Args:
        normalise: whether it brings each clip to zero mean and unit variance: for a backbone that
            wants it. A whole phonemo model normalises by itself.
    """
    return Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=RATE,
        padding_value=0.0,
        do_normalize=normalise,
        return_attention_mask=True,
    )


def _check_kind(name: str, config: Any, layers: int | None) -> None:
    if config.model_type not in BACKBONES:
        raise ModelError(
            f"backbone {name!r} is a {config.model_type}; known kinds: {', '.join(BACKBONES)}"
        )
    if getattr(config, "add_adapter", False):
        raise ModelError(f"backbone {name!r} has a convolutional adapter, which is not supported")
    if layers is not None and layers > config.num_hidden_layers:
        raise ModelError(
            f"model.layers is {layers}, but backbone {name!r} has {config.num_hidden_layers}"
        )


def _wants_normalising(path: str, where: dict[str, str]) -> bool:
    try:
        extractor = read_preprocessor(AutoFeatureExtractor, path, **where)
    except ForeignError as error:
        if (Path(path) / _PREPROCESSOR).exists():
            raise ModelError(
                f"backbone {path!r}: its {_PREPROCESSOR} cannot be read ({error})"
            ) from error
        log.warning("%s has no %s: clips will be normalised", path, _PREPROCESSOR)
        return True
    if extractor.sampling_rate != RATE:
        raise ModelError(
            f"backbone {path!r} wants {extractor.sampling_rate} Hz; phonemo has {RATE}"
        )
    return bool(extractor.do_normalize)
