"""Pretrained networks: build one from a config, or open a folder safely.

Folders of third parties are opened by transformers in a way that executes no code and reads no
files outside the folder. A config may name Python files, a kernel on a hub, a pickle or a file
elsewhere; transformers would prompt on standard input, download it or open it. Here weights must be
safetensors in the folder, and only code of the installed packages runs.
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
from phonemo.model.encoders.logmel import NAME, LogMelConfig, LogMelModel
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification

INDEX = "model.safetensors.index.json"
_ATTENTIONS = (None, "eager", "sdpa")


class ForeignError(Exception):
    """A third-party folder cannot be opened; the reason in one line."""


def read_config(kind: Any, path: str | Path, **where: Any) -> Any:
    """Read a transformers config.

    Args:
        kind: AutoConfig, or the config class.
        path: a folder, or a hub id.
        where: ``revision`` and similar arguments.

    Raises:
        ForeignError: it is missing, malformed, or requires something that is not allowed.
    """
    with _parser_errors(), quiet_transformers():
        config = kind.from_pretrained(path, trust_remote_code=False, **where)
    _check_config(config.to_dict())
    # a private attribute of transformers, not part of the saved config
    _check_attention(getattr(config, "_attn_implementation", None))
    return config


def read_network(
    kind: Any, path: str | Path, config: Any, **where: Any
) -> tuple[Any, list[str], list[str]]:
    """Load a network in float32; also return the names of missing and of unexpected weights.

    Args:
        kind: AutoModel, or the network class.
        path: a folder, or a hub id.
        config: from :func:`read_config`.
        where: ``revision`` and similar arguments.

    Raises:
        ForeignError: the weights are missing, malformed, not safetensors, or outside the folder.
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
    """Read a transformers feature extractor.

    Raises:
        ForeignError: it is missing, malformed, or of a class that needs third-party code.
    """
    with _parser_errors(), quiet_transformers():
        return kind.from_pretrained(path, trust_remote_code=False, **where)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress transformers' progress bars and its report of unused weights."""
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
    """Convert errors to ForeignError: on unexpected files a parser may raise anything."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ForeignError(lines[0]) from error


def _check_config(config: Mapping[str, Any]) -> None:
    for key in ("auto_map", "quantization_config"):
        if config.get(key):
            raise ForeignError(f"its config has {key}, which would run third-party code")
    _check_attention(config.get("attn_implementation"))
    if isinstance(inner := config.get("backbone"), Mapping):
        _check_config(inner)
        _check_attention(inner.get("_attn_implementation"))


def _check_attention(name: object) -> None:
    if name not in _ATTENTIONS:
        raise ForeignError(f"its config expects attention {name!r}; eager or sdpa is allowed")


def _check_shards(folder: Path) -> None:
    """Check that sharded weights are files of this folder."""
    if not (folder / INDEX).is_file():
        return
    with _parser_errors():
        shards = set(loads_json((folder / INDEX).read_bytes())["weight_map"].values())
    for name in shards:
        if not isinstance(name, str) or Path(name).name != name:
            raise ForeignError(f"expected shards in the folder, got {name!r} in {INDEX}")


log = logging.getLogger(__name__)

_PREPROCESSOR = "preprocessor_config.json"
#: Pretraining regularizers that would make resuming inexact or mask twice.
_DISABLED = {"layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0}


def build_network(
    model: ModelConfig,
    labels: LabelSet,
    symbols: Mapping[str, Any] | None,
    lora_rank: int | None = None,
) -> PhonemoForAudioClassification:
    """Build a network with a pretrained backbone and newly initialized heads.

    Args:
        model: the model config.
        labels: the emotions, in the order of the outputs.
        symbols: the auxiliary task's closed inventory as JSON, or None without the task.
        lora_rank: rank of the adapters, for the strategy lora.

    Raises:
        ModelError: the backbone is missing, of an unknown kind or incomplete.
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
        dimensions=() if model.dimensions is None else model.dimensions.names,
        **model.model_dump(exclude={"backbone", "layers", "auxiliary", "dimensions"}),
    )
    if model.width % model.attention_heads:
        raise ModelError(
            f"expected a width that is a multiple of attention_heads {model.attention_heads}, got "
            f"{model.width}"
        )
    return PhonemoForAudioClassification(config, network)


def load_backbone(name: str, layers: int | None = None) -> tuple[nn.Module, bool]:
    """Load a bare transformers encoder in fp32; also return whether clips must be normalized.

    Args:
        name: a folder, or a hub id with an optional @revision.
        layers: number of Transformer layers to use, from the bottom; None uses all.
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
        reason = "no such folder, and no model hub has it"
        if folder.exists():
            reason = f"its config.json cannot be used ({error})"
        raise ModelError(
            f"backbone {name!r}: {reason}; name a folder with config.json and model.safetensors"
        ) from error
    if config.model_type == PhonemoConfig.model_type:
        return _trained_backbone(name, path, layers, where)
    _check_kind(name, config, layers)
    config.update(_DISABLED | ({"num_hidden_layers": layers} if layers else {}))
    network = _read_weights(name, AutoModel, path, config, where)
    return network, _needs_normalization(path, where)


def _trained_backbone(
    name: str, path: str, layers: int | None, where: dict[str, str]
) -> tuple[nn.Module, bool]:
    """The backbone of a trained phonemo model, cut to ``layers`` layers."""
    try:
        config = read_config(PhonemoConfig, path, **where)
    except ForeignError as error:
        raise ModelError(f"backbone {name!r}: its config cannot be read ({error})") from error
    trained = _read_weights(name, PhonemoForAudioClassification, path, config, where)
    network: Any = trained.backbone.network
    _check_kind(name, network.config, layers)
    if layers is not None:
        del network.encoder.layers[layers:]
        network.config.num_hidden_layers = layers
    return network, trained.backbone.normalise


def _read_weights(name: str, kind: Any, path: str, config: Any, where: dict[str, str]) -> Any:
    try:
        network, missing, _ = read_network(kind, path, config, **where)
    except ForeignError as error:
        raise ModelError(f"backbone {name!r}: its weights cannot be read ({error})") from error
    if missing:
        raise ModelError(
            f"backbone {name!r}: {len(missing)} weights are missing, such as {missing[0]!r}"
        )
    return network


def feature_extractor(normalise: bool = False) -> Wav2Vec2FeatureExtractor:
    """The preprocessor that is saved with weights.

    Args:
        normalise: whether it normalizes each clip to zero mean and unit variance, for a backbone
            that needs it. A complete phonemo model normalizes inside the network.
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
            f"backbone {name!r}: expected one of {', '.join(BACKBONES)}, got {config.model_type}"
        )
    if getattr(config, "add_adapter", False):
        raise ModelError(f"backbone {name!r}: a convolutional adapter is not supported")
    if layers is not None and layers > config.num_hidden_layers:
        raise ModelError(
            f"backbone {name!r}: expected model.layers of at most {config.num_hidden_layers}, got "
            f"{layers}"
        )


def _needs_normalization(path: str, where: dict[str, str]) -> bool:
    try:
        extractor = read_preprocessor(AutoFeatureExtractor, path, **where)
    except ForeignError as error:
        if (Path(path) / _PREPROCESSOR).exists():
            raise ModelError(
                f"backbone {path!r}: its {_PREPROCESSOR} cannot be read ({error})"
            ) from error
        log.warning("%s has no %s: clips will be normalized", path, _PREPROCESSOR)
        return True
    if extractor.sampling_rate != RATE:
        raise ModelError(
            f"backbone {path!r}: expected a sampling rate of {RATE} Hz, got "
            f"{extractor.sampling_rate}"
        )
    return bool(extractor.do_normalize)
