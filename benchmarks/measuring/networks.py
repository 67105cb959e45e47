"""The networks that are compared: a wav2vec2-base with drawn weights, in both engines.

Speed does not depend on what weights say, so none are fetched.
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
    """A wav2vec2-base for ``pipeline("audio-classification")``, saved with its extractor."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(num_labels=len(LABELS), id2label=dict(enumerate(LABELS)))
    Wav2Vec2ForSequenceClassification(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder


def base_pipeline(folder: Path) -> Any:
    """transformers' own way to the same answers."""
    from transformers import pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return pipeline("audio-classification", model=str(folder), device="cpu")


def phonemo_base(folder: Path) -> Path:
    """A phonemo model folder on a backbone of that shape."""
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
