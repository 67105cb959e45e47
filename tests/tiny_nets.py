"""Tiny random backbones of every kind, in a few kilobytes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel

import phonemo.model.encoders.logmel
import phonemo.model.encoders.positions  # noqa: F401  (they make their kinds known to transformers)

_SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.05,
    "layerdrop": 0.1,
}

_LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "num_conv_pos_embeddings": 8}
_GROUP = {"feat_extract_norm": "group", "num_conv_pos_embeddings": 8}

#: name -> (model_type, settings)
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "wav2vec2-layer": ("wav2vec2", _LAYER),
    "wav2vec2-sinusoidal": ("wav2vec2-sinusoidal", _LAYER | {"first_position": 2}),
    "wav2vec2-group": ("wav2vec2", _GROUP),
    "hubert-layer": ("hubert", _LAYER),
    "hubert-group": ("hubert", _GROUP),
    "hubert-batch-norm": ("hubert", _GROUP | {"conv_pos_batch_norm": True}),
    "wavlm-layer": ("wavlm", _LAYER),
    "wavlm-group": ("wavlm", _GROUP),
    "log-mel": ("log-mel", {"mels": 4, "channels": 4, "conv_dim": [4, 4, 4]}),
    "data2vec-audio": ("data2vec-audio", {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 7}),
}


def make_network(kind: str, **changes: object) -> torch.nn.Module:
    """A random encoder of this kind, in evaluation mode, with large weights."""
    model_type, settings = KINDS[kind]
    settings = settings | changes
    torch.manual_seed(7)
    network = AutoModel.from_config(AutoConfig.for_model(model_type, **(_SHAPE | settings)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, buffer in network.named_buffers():
            if "running_mean" in name:
                buffer.add_(0.3)
    return network.eval()


def make_backbone_folder(folder: Path, kind: str = "wav2vec2-layer", **changes: object) -> Path:
    """Save such an encoder as a folder that transformers can open."""
    make_network(kind, **changes).save_pretrained(folder)
    preprocessor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": 16000,
        "padding_value": 0.0,
        "do_normalize": True,
        "return_attention_mask": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder
