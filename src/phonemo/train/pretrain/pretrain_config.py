"""The config of a pretraining: teacher, speech, student and the two stages of learning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from phonemo.config import BaseConfig, digest_of, load_section


class StudentConfig(BaseConfig):
    """The shape of the network that learns; its Transformer layers have the teacher's shape."""

    channels: int = Field(default=512, ge=4, multiple_of=4)
    """Channels of each convolution over the waveform."""
    kernels: tuple[int, ...] = Field(default=(400, 1, 3, 3), min_length=1)
    """Length of each convolution, the first in samples."""
    strides: tuple[int, ...] = Field(default=(160, 1, 1, 2), min_length=1)
    """Step of each convolution; multiplied they are the samples between two frames."""
    layers: int | None = Field(default=None, ge=1)
    """How many of the teacher's Transformer layers it takes, from the bottom; null takes all."""

    @model_validator(mode="after")
    def _strides_match_kernels(self) -> StudentConfig:
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"{len(self.kernels)} kernels for {len(self.strides)} strides")
        return self


class AugmentationConfig(BaseConfig):
    """What the student hears: random crops, changed at random; the teacher hears the same."""

    shortest_seconds: float = Field(default=1.0, gt=0.1)
    """Shortest crop; each step draws one length for its whole batch."""
    longest_seconds: float = Field(default=6.0, le=30)
    """Longest crop; shorter recordings are joined until they fill it."""
    speed: float = Field(default=0.15, ge=0, lt=0.5)
    """Largest change of speed, and with it of pitch, as a fraction, in half of the crops."""
    tone_db: float = Field(default=8.0, ge=0)
    """Largest level of a random smooth equaliser in decibels, in half of the crops."""
    noise_snr_db: float | None = 5.0
    """Lowest signal-to-noise ratio of added noise of any colour, in half of the crops."""
    gain_db: float = Field(default=6.0, ge=0)
    """Largest rise or fall of the level over a crop in decibels, in half of the crops."""

    @model_validator(mode="after")
    def _shortest_first(self) -> AugmentationConfig:
        if self.shortest_seconds > self.longest_seconds:
            raise ValueError(
                f"shortest_seconds {self.shortest_seconds} is above longest_seconds "
                f"{self.longest_seconds}"
            )
        return self


class StageConfig(BaseConfig):
    """One stage of learning."""

    steps: int = Field(ge=0)
    """Optimiser steps; 0 leaves the stage out."""
    batch_size: int = Field(ge=1)
    """Crops in a step."""
    rate_front: float = Field(gt=0)
    """Peak learning rate of the waveform CNN and its projection."""
    rate_layers: float = Field(default=1e-4, gt=0)
    """Peak learning rate of the Transformer layers; the first stage leaves them alone."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises; then it falls as a cosine."""
    hearing: AugmentationConfig = AugmentationConfig()
    """What is heard."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic; bf16 is faster on GPUs, and on CPUs with AVX512-BF16 or AMX."""


class PretrainConfig(BaseConfig):
    """A wav2vec 2.0 network that learns to hear as a Whisper encoder does, layer by layer."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """A short name."""
    teacher: str
    """Whisper: a hub id, a transformers folder, or a folder with a CTranslate2 model.bin."""
    manifests: tuple[str, ...] = Field(min_length=1)
    """The speech, written by phonemo prepare; labels are not looked at."""
    never_heard: tuple[str, ...] = ()
    """Corpora this network must not hear, because it will be tested on them."""
    output: str
    """The folder of the run."""
    start: str | None = None
    """A student that an earlier pretraining made, to go on from; null grafts a new one."""
    student: StudentConfig = StudentConfig()
    """The network."""
    level: float = Field(default=0.08, gt=0)
    """Root mean square of what the teacher hears; the student brings every clip to 1 by itself."""
    floor_db: float = Field(default=50.0, gt=0)
    """What is so far below the loudest is silence to the teacher; Whisper has 80."""
    front_end: StageConfig
    """First the front end alone learns the teacher's own convolutions."""
    whole: StageConfig
    """Then everything learns every hidden state of the teacher."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's weight decay."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    held_out: int = Field(default=64, ge=1)
    """Recordings that are never learnt from; the loss on them is logged."""
    log_steps: int = Field(default=50, ge=1)
    """Steps between two lines of the log."""
    save_steps: int = Field(default=200, ge=1)
    """Steps between two checkpoints, each with the loss on the recordings held out."""
    seed: int = 1
    """Seed of the front end's start and of every crop."""
    threads: int = Field(default=2, ge=1)
    """CPU threads for torch."""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name this config; what changes no result is left out."""
        return digest_of(self, {"output": True, "threads": True, "log_steps": True})


def load_pretrain_config(path: str | Path, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Read the config of a pretraining; see ``load_section``."""
    return load_section(path, overrides, PretrainConfig)
