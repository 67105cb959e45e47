"""From a config to a network with its backbone's weights; from a folder to a network.

Folders of others, opened by transformers so that nothing in them runs or leads out of them.

A config may name Python beside it, a kernel of a hub, a pickle or a file elsewhere; transformers
would ask on standard input, fetch it, or open it. None of that is wanted: weights are safetensors
in the folder, and the code is that of the installed packages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, Wav2Vec2FeatureExtractor
from transformers.utils import logging as transformers_logging

from phonemo.audio import RATE
from phonemo.config import ModelConfig
from phonemo.errors import ModelError
from phonemo.files import loads_json
from phonemo.labels import LabelSet
from phonemo.model.backbone import BACKBONES
from phonemo.model.logmel import NAME, LogMelConfig, LogMelModel
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification

INDEX = "model.safetensors.index.json"
_ATTENTIONS = (None, "eager", "sdpa")


class ForeignError(Exception):
    """A folder of others cannot be opened; the reason in one line."""


def read_config(kind: Any, path: str | Path, **where: Any) -> Any:
    """A config of transformers.

    Args:
        kind: AutoConfig, or the class of the config.
        path: a folder, or a hub's id.
        where: ``revision`` and the like.

    Raises:
        ForeignError: it is absent, malformed, or asks for what is not allowed.
    """
    with _parser_errors(), quiet_transformers():
        config = kind.from_pretrained(path, trust_remote_code=False, **where)
    _check(config.to_dict())
    # private to transformers, and not part of what it writes
    _check_attention(getattr(config, "_attn_implementation", None))
    return config


def read_network(
    kind: Any, path: str | Path, config: Any, **where: Any
) -> tuple[Any, list[str], list[str]]:
    """A network in float32, and the names of weights that are missing and that are too many.

    Args:
        kind: AutoModel, or the class of the network.
        path: a folder, or a hub's id.
        config: from :func:`read_config`.
        where: ``revision`` and the like.

    Raises:
        ForeignError: the weights are absent, malformed, no safetensors, or lie elsewhere.
    """
    _check_shards(Path(path))
    with _parser_errors(), quiet_transformers():
        network, info = kind.from_pretrained(
            path,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
            **where,
        )
    return network, sorted(info["missing_keys"]), sorted(info["unexpected_keys"])


def read_preprocessor(kind: Any, path: str | Path, **where: Any) -> Any:
    """A feature extractor of transformers.

    Raises:
        ForeignError: absent, malformed, or of a kind that only code of others knows.
    """
    with _parser_errors(), quiet_transformers():
        return kind.from_pretrained(path, trust_remote_code=False, **where)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' report of weights that are left out on purpose."""
    before = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        if bar:
            transformers_logging.enable_progress_bar()


@contextmanager
def _parser_errors() -> Iterator[None]:
    """What a parser raises of a file that it did not expect may be anything."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ForeignError(lines[0]) from error


def _check(config: Mapping[str, Any]) -> None:
    for key in ("auto_map", "quantization_config"):
        if config.get(key):
            raise ForeignError(f"its config has {key}, which would run code of others")
    _check_attention(config.get("attn_implementation"))
    if isinstance(inner := config.get("backbone"), Mapping):
        _check(inner)
        _check_attention(inner.get("_attn_implementation"))


def _check_attention(name: object) -> None:
    if name not in _ATTENTIONS:
        raise ForeignError(f"its config wants the attention {name!r}; eager or sdpa is allowed")


def _check_shards(folder: Path) -> None:
    """Weights in parts are files of this folder."""
    if not (folder / INDEX).is_file():
        return
    with _parser_errors():
        shards = set(loads_json((folder / INDEX).read_bytes())["weight_map"].values())
    for name in shards:
        if not isinstance(name, str) or Path(name).name != name:
            raise ForeignError(f"{INDEX} names {name!r}, which is not in the folder")


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
    network = _read_file(name, AutoModel, path, config, where)
    return network, _wants_normalising(path, where)


def _trained_backbone(
    name: str, path: str, layers: int | None, where: dict[str, str]
) -> tuple[nn.Module, bool]:
    """The backbone of a trained phonemo model, cut to so many layers."""
    try:
        config = read_config(PhonemoConfig, path, **where)
    except ForeignError as error:
        raise ModelError(f"backbone {name!r}: its config cannot be read ({error})") from error
    trained = _read_file(name, PhonemoForAudioClassification, path, config, where)
    network: Any = trained.backbone.network
    _check_kind(name, network.config, layers)
    if layers is not None:
        del network.encoder.layers[layers:]
        network.config.num_hidden_layers = layers
    return network, trained.backbone.normalise


def _read_file(name: str, kind: Any, path: str, config: Any, where: dict[str, str]) -> Any:
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
