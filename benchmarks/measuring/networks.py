"""The compared networks: a wav2vec2-base with random weights, in both engines.

Speed does not depend on the values of the weights, so none are downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
)

from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.train.model_folder import save_trained

LABELS = ("anger", "happiness", "neutral", "sadness")


def base_folder(folder: Path) -> Path:
    """Save a wav2vec2-base with its feature extractor for ``pipeline("audio-classification")``."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(num_labels=len(LABELS), id2label=dict(enumerate(LABELS)))
    Wav2Vec2ForSequenceClassification(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder


def base_pipeline(folder: Path) -> Any:
    """Load the network in transformers' pipeline."""
    from transformers import pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return pipeline("audio-classification", model=str(folder), device="cpu")


def phonemo_base(folder: Path) -> Path:
    """Save a phonemo model folder with a backbone of that shape."""
    torch.manual_seed(0)
    backbone = Wav2Vec2Model(Wav2Vec2Config())
    config = PhonemoConfig(
        backbone=backbone.config.to_diff_dict() | {"model_type": "wav2vec2"},
        id2label=dict(enumerate(LABELS)),
        fusion="semantic",
        pooling="mean",
    )
    save_trained(folder, PhonemoForAudioClassification(config, backbone), LabelSet(LABELS))
    return folder
