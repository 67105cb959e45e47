"""A tiny Whisper, a little speech, and pretrainings that take a second."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from phonemo.corpora.manifest import Header, Utterance, write_manifest
from phonemo.train.pretrain.pretrain_config import PretrainConfig
from phonemo.train.pretrain.teacher import Teacher

RATE = 16_000
SHAPE = {"d_model": 16, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "encoder_layers": 2}
#: Three seconds.
POSITIONS = 150
_DECODER = {
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 16,
    "vocab_size": 16,
    "max_target_positions": 4,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 1),
    "decoder_start_token_id": 2,
}
_TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def make_whisper(positions: int = POSITIONS, **shape: int) -> WhisperModel:
    """A random Whisper with lively weights, in evaluation mode."""
    torch.manual_seed(5)
    settings = _DECODER | SHAPE | {"num_mel_bins": 80, "max_source_positions": positions} | shape
    whisper = WhisperModel(WhisperConfig(**settings)).eval()
    with torch.no_grad():
        for name, parameter in whisper.encoder.named_parameters():
            if "embed_positions" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return whisper


def make_teacher(floor_db: float = 80.0, positions: int = POSITIONS) -> Teacher:
    """The encoder of such a Whisper as a teacher."""
    return Teacher(make_whisper(positions).encoder, floor_db)


def make_wave(seconds: float, clips: int = 1) -> torch.Tensor:
    """Tones in noise that come and go, (batch, sample)."""
    generator = torch.Generator().manual_seed(2)
    time = torch.arange(round(seconds * RATE)) / RATE
    pitch = 200 + 300 * torch.rand(clips, 1, generator=generator)
    wave = torch.sin(6.283 * pitch * time) * torch.sin(6.283 * 2 * time).clamp(min=0)
    return 0.1 * wave + 0.01 * torch.randn(wave.shape, generator=generator)


def features_of(wave: torch.Tensor) -> torch.Tensor:
    """Whisper's own features of (batch, sample), whose length is whole seconds."""
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=wave.shape[1] // RATE)
    features = extractor(list(wave.numpy()), sampling_rate=RATE, return_tensors="pt")
    return features.input_features


def ctranslate2_bytes(variables: Mapping[str, np.ndarray], name: str = "WhisperSpec") -> bytes:
    """A CTranslate2 model file."""
    parts = [struct.pack("<I", 6), _text(name), struct.pack("<II", 3, len(variables))]
    for key, value in variables.items():
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        kind = struct.pack("<BI", _TYPES[value.dtype.name], value.nbytes)
        parts += [_text(key), shape, kind, value.tobytes()]
    return b"".join([*parts, struct.pack("<I", 0)])


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def make_speech(root: Path, corpus: str = "talk", seconds: Sequence[float] = ()) -> Path:
    """Recordings of tones that wander; the manifest's path."""
    seconds = seconds or (0.5, 0.8, 1.1, 0.4, 0.9, 0.7)
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, length in enumerate(seconds):
        draw = np.random.default_rng([number, *corpus.encode()] if corpus != "talk" else number)
        steps = draw.uniform(200, 2000, 8).repeat(-(-round(length * RATE) // 8))
        phase = np.cumsum(steps[: round(length * RATE)]) * 2 * np.pi / RATE
        wave = 0.3 * np.sin(phase) + draw.normal(0, 0.01, len(phase))
        soundfile.write(root / f"{number}.wav", wave, RATE, subtype="PCM_16")
        rows.append(Utterance(id=f"r{number}", file=f"{number}.wav"))
    path = root / "manifest.jsonl"
    write_manifest(path, Header(corpus=corpus, root=".", phonemo="test"), rows)
    return path


HEARING = {"shortest_seconds": 0.3, "longest_seconds": 0.6}
STAGE = {"batch_size": 2, "rate_front": 0.01, "rate_layers": 0.003, "hearing": HEARING}


def make_config(folder: Path, **changes: Any) -> PretrainConfig:
    """A pretraining below ``folder`` with whatever it needs; sections are merged."""
    teacher, speech = folder / "teacher", folder / "speech" / "manifest.jsonl"
    if not teacher.is_dir():
        make_whisper().save_pretrained(teacher)
    if not speech.is_file():
        make_speech(speech.parent)
    settings: dict[str, Any] = {
        "name": "tiny",
        "teacher": str(teacher),
        "manifests": [str(speech)],
        "output": str(folder / "runs" / "tiny"),
        "student": {"channels": 8},
        "front_end": STAGE | {"steps": 5},
        "whole": STAGE | {"steps": 6},
        "held_out": 2,
        "log_steps": 1,
        "save_steps": 2,
        "threads": 1,
    }
    for key, value in changes.items():
        settings[key] = settings[key] | value if isinstance(value, dict) else value
    return PretrainConfig.model_validate(json.loads(json.dumps(settings)))
