"""Pretraining config: teacher, speech, student and the two training stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from phonemo.config import BaseConfig, digest_of, load_section


class StudentConfig(BaseConfig):
    """The student's shape; its Transformer layers have the teacher's."""

    channels: int = Field(default=512, ge=4, multiple_of=4)
    """Channels of each convolution over the waveform."""
    kernels: tuple[int, ...] = Field(default=(400, 1, 3, 3), min_length=1)
    """Length of each convolution, the first in samples."""
    strides: tuple[int, ...] = Field(default=(160, 1, 1, 2), min_length=1)
    """Stride of each convolution; their product is the number of samples between two frames."""
    layers: int | None = Field(default=None, ge=1)
    """Number of the teacher's Transformer layers to copy, from the bottom; null copies all."""

    @model_validator(mode="after")
    def _strides_match_kernels(self) -> StudentConfig:
        if len(self.kernels) != len(self.strides):
            raise ValueError(
                f"expected as many kernels as strides, got {len(self.kernels)} kernels and "
                f"{len(self.strides)} strides"
            )
        return self


class AugmentationConfig(BaseConfig):
    """Random crops with random changes, the input of both student and teacher."""

    shortest_seconds: float = Field(default=1.0, gt=0.1)
    """Shortest crop; each step draws one length for its whole batch."""
    longest_seconds: float = Field(default=6.0, le=30)
    """Longest crop; shorter recordings are concatenated to fill it."""
    speed: float = Field(default=0.15, ge=0, lt=0.5)
    """Largest change of speed, and with it of pitch, as a fraction, in half of the crops."""
    tone_db: float = Field(default=8.0, ge=0)
    """Largest gain of a random smooth equalizer in decibels, in half of the crops."""
    noise_snr_db: float | None = 5.0
    """Lowest signal-to-noise ratio of added noise of any color, in half of the crops."""
    gain_db: float = Field(default=6.0, ge=0)
    """Largest rise or fall of the level over a crop in decibels, in half of the crops."""

    @model_validator(mode="after")
    def _shortest_first(self) -> AugmentationConfig:
        if self.shortest_seconds > self.longest_seconds:
            raise ValueError(
                f"expected shortest_seconds up to longest_seconds={self.longest_seconds}, got "
                f"{self.shortest_seconds}"
            )
        return self


class StageConfig(BaseConfig):
    """One training stage."""

    steps: int = Field(ge=0)
    """Optimizer steps; 0 skips the stage."""
    batch_size: int = Field(ge=1)
    """Crops per step."""
    rate_front: float = Field(gt=0)
    """Peak learning rate of the waveform CNN and its projection."""
    rate_layers: float = Field(default=1e-4, gt=0)
    """Peak learning rate of the Transformer layers; the first stage does not train them."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Fraction of the steps in which the learning rate rises; then it falls as a cosine."""
    hearing: AugmentationConfig = AugmentationConfig()
    """The crops."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic; bf16 is faster on GPUs, and on CPUs with AVX512-BF16 or AMX."""


class PretrainConfig(BaseConfig):
    """Layer-wise distillation of a Whisper encoder into a wav2vec 2.0 network."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """A short name."""
    teacher: str
    """Whisper: a hub id, a transformers folder, or a folder with a CTranslate2 model.bin."""
    manifests: tuple[str, ...] = Field(min_length=1)
    """The speech, written by phonemo prepare; labels are not used."""
    never_heard: tuple[str, ...] = ()
    """Corpora excluded from pretraining, because the network will be tested on them."""
    output: str
    """The folder of the run."""
    start: str | None = None
    """A student of an earlier pretraining to continue from; null initializes a new one."""
    student: StudentConfig = StudentConfig()
    """The network."""
    level: float = Field(default=0.08, gt=0)
    """Root mean square of the teacher's input; the student normalizes every clip to 1."""
    floor_db: float = Field(default=50.0, gt=0)
    """Dynamic range of the teacher's spectrogram below its maximum; Whisper has 80."""
    front_end: StageConfig
    """The first stage: the front end alone is trained on the teacher's convolutions."""
    whole: StageConfig
    """The second stage: the whole student is trained on every hidden state of the teacher."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's weight decay."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    held_out: int = Field(default=64, ge=1)
    """Number of recordings excluded from training; the loss on them is logged."""
    log_steps: int = Field(default=50, ge=1)
    """Steps between two log lines."""
    save_steps: int = Field(default=200, ge=1)
    """Steps between two checkpoints, each with an evaluation on held-out recordings."""
    seed: int = 1
    """Seed of the front end's initialization and of every crop."""
    threads: int = Field(default=2, ge=1)
    """CPU threads for torch."""

    @property
    def digest(self) -> str:
        """Return twelve hexadecimal digits that identify this config's results."""
        return digest_of(self, {"output": True, "threads": True, "log_steps": True})


def load_pretrain_config(path: str | Path, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Read a pretraining config; see ``load_section``."""
    return load_section(path, overrides, PretrainConfig)
