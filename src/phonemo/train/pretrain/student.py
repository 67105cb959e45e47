"""The student: a wav2vec 2.0 network with the teacher's Transformer and a waveform front end.

Whisper's encoder layers and wav2vec 2.0's ``do_stable_layer_norm`` layers are the same
computation, so the teacher's weights and sinusoidal positions are copied. Only the waveform CNN and
its projection start untrained.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonemo.audio import RATE
from phonemo.audio.frames import FrameGrid
from phonemo.errors import ConfigError
from phonemo.files import loads_json
from phonemo.model.backbone import Backbone
from phonemo.model.encoders.positions import SinusoidalWav2Vec2Config, SinusoidalWav2Vec2Model
from phonemo.model.pretrained import load_backbone
from phonemo.train.pretrain.pretrain_config import StudentConfig
from phonemo.train.pretrain.teacher import Teacher
from phonemo.train.provenance import HEARD

#: Phases of each frequency in the first convolution, a quarter of a turn apart.
_PHASES = 4
_LOWEST_HZ = 20.0
_LETTERS = ("q", "k", "v", "out")


def build_student(config: StudentConfig, teacher: Teacher) -> SinusoidalWav2Vec2Model:
    """Build an untrained student with the teacher's layers and a front end of sinusoids.

    Raises:
        ConfigError: its frame rate differs from the teacher's.
    """
    _check_hop(config, teacher)
    student = SinusoidalWav2Vec2Model(_shape(config, teacher))
    with torch.no_grad():
        _copy_layers(student, teacher)
        first: Any = student.feature_extractor.conv_layers[0].conv
        first.weight.copy_(_sinusoids(*first.weight.shape[::2]))
        first.bias.normal_(std=0.3)
        projection = student.feature_projection.projection
        projection.weight.normal_(std=projection.in_features**-0.5)
    return student


def open_student(start: str, config: StudentConfig, teacher: Teacher) -> Backbone:
    """Open a student of an earlier pretraining, to continue from.

    Raises:
        ModelError: there is none.
        ConfigError: its frames or layers differ from those of the config and the teacher.
    """
    student = Backbone(*load_backbone(start))
    actual, expected = student.network.config, _shape(config, teacher)
    for key in ("conv_kernel", "conv_stride", "hidden_size", "num_hidden_layers"):
        value, expected_value = getattr(actual, key), getattr(expected, key)
        if list(np.atleast_1d(value)) != list(np.atleast_1d(expected_value)):
            raise ConfigError(
                f"start {start!r}: expected {key} {expected_value}, as in the teacher and the "
                f"config's student, got {value}; change student, or start from another"
            )
    return student


def pretraining_corpora(start: str | None) -> dict[str, Any] | None:
    """Return the content of a student's heard.json; None if there is none."""
    if start is None or not (Path(start) / HEARD).is_file():
        return None
    content: dict[str, Any] = loads_json((Path(start) / HEARD).read_text(encoding="utf-8"))
    return content


def frame_shift(config: StudentConfig) -> int:
    """Return the index of the teacher's frame that matches the student's frame 0.

    The teacher's frame n is centered on sample n x hop; the student's frame 0 on the middle of
    its receptive field.
    """
    grid = FrameGrid.of(config.kernels, config.strides)
    return round(grid.field_samples / 2 / grid.hop_samples)


def _check_hop(config: StudentConfig, teacher: Teacher) -> None:
    hop = FrameGrid.of(config.kernels, config.strides).hop_samples
    if hop != teacher.hop:
        raise ConfigError(
            f"expected student.strides with a product of {teacher.hop}, the teacher's samples per "
            f"frame, got {hop}; change them"
        )


def _shape(config: StudentConfig, teacher: Teacher) -> SinusoidalWav2Vec2Config:
    whisper = teacher.encoder.config
    off: dict[str, Any] = {
        f"{name}_dropout": 0.0
        for name in ("hidden", "attention", "activation", "feat_proj", "feat_quantizer", "final")
    }
    return SinusoidalWav2Vec2Config(
        hidden_size=whisper.d_model,
        num_hidden_layers=teacher.depth,
        num_attention_heads=whisper.encoder_attention_heads,
        intermediate_size=whisper.encoder_ffn_dim,
        conv_dim=(config.channels,) * len(config.kernels),
        conv_kernel=config.kernels,
        conv_stride=config.strides,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        first_position=frame_shift(config),
        mask_time_prob=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
        **off,
    )


def _copy_layers(student: SinusoidalWav2Vec2Model, teacher: Teacher) -> None:
    layers: Any = student.encoder.layers
    for source, target in zip(teacher.encoder.layers, layers, strict=True):
        for letter in _LETTERS:
            name = f"{letter}_proj"
            _copy(getattr(source.self_attn, name), getattr(target.attention, name))
        _copy(source.self_attn_layer_norm, target.layer_norm)
        _copy(source.final_layer_norm, target.final_layer_norm)
        _copy(source.fc1, target.feed_forward.intermediate_dense)
        _copy(source.fc2, target.feed_forward.output_dense)
    _copy(teacher.encoder.layer_norm, student.encoder.layer_norm)


def _copy(source: Any, target: Any) -> None:
    target.weight.copy_(source.weight)
    target.bias.copy_(torch.zeros_like(target.bias) if source.bias is None else source.bias)


def _sinusoids(channels: int, samples: int) -> Tensor:
    """Return windowed sinusoids (channel, 1, sample), mel-spaced, of unit norm at 0 Hz.

    They rise by 6 dB per octave above 1 kHz, to offset the falling spectrum of speech.
    """
    top = _mel(RATE / 2)
    mels = torch.linspace(_mel(_LOWEST_HZ), top, channels // _PHASES)
    hertz = 700 * (torch.pow(10.0, mels / 2595) - 1)
    seconds = (torch.arange(samples) - samples / 2) / RATE
    turns = hertz[:, None, None] * seconds + torch.arange(_PHASES)[None, :, None] / _PHASES
    waves: Tensor = torch.cos(2 * math.pi * turns) * torch.hann_window(samples)
    waves = waves / waves.norm(dim=-1, keepdim=True)
    rising: Tensor = waves * (1 + hertz / 1000)[:, None, None]
    return rising.reshape(-1, 1, samples)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
