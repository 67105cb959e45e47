"""A corpus of beeps and a random backbone: a whole run in a second or two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from phonemo.config import RunConfig
from phonemo.corpora.manifest import Header, Phonemes, Utterance, write_manifest
from tests.tiny_nets import make_backbone_folder

EMOTIONS = ("anger", "neutral", "sadness")
SPEAKERS = ("s1", "s2", "s3", "s4")
WORDS = {"anger": ("a", "t", "a"), "neutral": ("m", "a"), "sadness": ("s", "a", "t", "a")}
RATE = 16_000


def make_corpus(root: Path, takes: int = 2, seed: int = 3) -> Path:
    """Beeps whose pitch is the emotion; the manifest's path."""
    draw = np.random.default_rng(seed)
    rows = []
    for speaker in SPEAKERS:
        for number, emotion in enumerate(EMOTIONS):
            for take in range(takes):
                name = f"{speaker}-{emotion}-{take}"
                time = np.arange(int(draw.integers(1500, 4000))) / RATE
                wave = 0.3 * np.sin(2 * np.pi * (200 + 400 * number) * time)
                wave += draw.normal(0, 0.02, len(time))
                root.mkdir(parents=True, exist_ok=True)
                soundfile.write(root / f"{name}.wav", wave, RATE, subtype="PCM_16")
                rows.append(_row(name, speaker, emotion))
    path = root / "manifest.jsonl"
    write_manifest(path, Header(corpus="beeps", root=".", phonemo="test"), rows)
    return path


def _row(name: str, speaker: str, emotion: str) -> Utterance:
    phonemes = Phonemes(alphabet="ipa", source="test", symbols=WORDS[emotion])
    return Utterance(
        id=name,
        file=f"{name}.wav",
        speaker=speaker,
        gender="f" if speaker in ("s1", "s3") else "m",
        language="de",
        transcript=emotion,
        emotion=emotion,
        phonemes=phonemes,
    )


def make_config(folder: Path, kind: str = "wav2vec2-layer", **train: Any) -> RunConfig:
    """A config over such a corpus below ``folder``; keywords go to its train section."""
    manifest = folder / "corpus" / "manifest.jsonl"
    if not manifest.is_file():
        make_corpus(manifest.parent)
    backbone = folder / f"backbone-{kind}"
    if not backbone.is_dir():
        make_backbone_folder(backbone, kind)
    settings = {"strategy": "frozen", "epochs": 2, "batch_size": 4, "rate_heads": 0.01}
    return RunConfig.model_validate(
        {
            "name": "tiny",
            "manifest": str(manifest),
            "output": str(folder / "runs" / "tiny"),
            "labels": {"names": EMOTIONS},
            "protocol": {"name": "speaker"},
            "model": {
                "backbone": str(backbone),
                "width": 8,
                "attention_heads": 2,
                "hops": 2,
                "auxiliary": {},
            },
            "train": settings | train,
            "threads": 1,
        }
    )


def with_changes(config: RunConfig, **sections: Any) -> RunConfig:
    """A copy with some keys replaced, sections merged."""
    data = json.loads(config.model_dump_json())
    for key, value in sections.items():
        data[key] = data[key] | value if isinstance(value, dict) else value
    return RunConfig.model_validate(data)
