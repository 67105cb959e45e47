"""Corpora whose recordings are vectors, and a network that reads them back: nothing is random.

A recording's first samples are a planted vector: the place of its emotion, stretched and shifted by
its corpus and its speaker, and a little noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from phonemo.corpora.manifest import Header, Utterance, read_manifest, write_manifest
from phonemo.train.provenance import Provenance
from phonemo.train.transfer import study, study_run
from phonemo.train.transfer import study_run as tasks
from phonemo.train.transfer.study_config import TransferConfig

FEATURES = 6
EMOTIONS = ("anger", "neutral", "sadness")
RATE = 16_000
#: Samples are at most 1; planted numbers are up to 40.
SCALE = 1 / 64
_PLACES = np.random.default_rng(7).normal(0, 2.0, (len(EMOTIONS), FEATURES))


@dataclass(frozen=True)
class Planted:
    """One corpus: how far its vectors are moved and stretched."""

    name: str
    shift: float = 0.0
    stretch: float = 1.0
    speakers: int = 4
    takes: int = 6
    emotions: Sequence[str] = EMOTIONS
    speaker_shift: float = 0.0

    def write(self, root: Path) -> Path:
        """The recordings and their manifest."""
        random = np.random.default_rng(sum(map(ord, self.name)))
        direction = np.random.default_rng(11).normal(0, 1.0, FEATURES)
        rows = []
        for speaker in range(self.speakers):
            own = self.speaker_shift * random.normal(0, 1.0, FEATURES)
            for emotion in self.emotions:
                for take in range(self.takes):
                    place = _PLACES[EMOTIONS.index(emotion)] + random.normal(0, 0.5, FEATURES)
                    vector = self.stretch * place + self.shift * direction + own
                    name = f"s{speaker}-{emotion}-{take}"
                    rows.append(self._row(root / self.name, name, f"s{speaker}", emotion, vector))
        path = root / f"{self.name}.jsonl"
        write_manifest(path, Header(corpus=self.name, root=self.name, phonemo="test"), rows)
        return path

    def _row(self, folder: Path, name: str, speaker: str, emotion: str, vector: Any) -> Utterance:
        folder.mkdir(parents=True, exist_ok=True)
        samples = np.zeros(RATE // 10, np.float32)
        samples[:FEATURES] = vector * SCALE
        soundfile.write(folder / f"{name}.wav", samples, RATE, subtype="FLOAT")
        return Utterance(id=name, file=f"{name}.wav", speaker=speaker, emotion=emotion)


@dataclass(eq=False)
class PlantedNetwork:
    """Stands for an opened network: its vectors are what was planted."""

    name: str = "planted"
    digest: str = "planted"
    lineage: Provenance = field(default_factory=Provenance)
    read: int = 0

    def check(self, states: Sequence[int], pooled: bool) -> None:
        """All hidden states are there."""

    def vectors(self, samples: Any, names: Sequence[str]) -> dict[str, Any]:
        """State 1 has the vector, any other one half of it and noise of the recording's own."""
        self.read += 1
        vector = samples[:FEATURES] / SCALE
        noise = np.random.default_rng(abs(int(1e6 * float(vector.sum())))).normal(0, 4, FEATURES)
        return {
            name: vector if name == "1" else (0.5 * vector + noise).astype(np.float32)
            for name in names
        }


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> PlantedNetwork:
    """The planted network, whatever is opened."""
    planted = PlantedNetwork()
    for module in (study, study_run, tasks):
        monkeypatch.setattr(module, "open_network", lambda *_: planted)
    return planted


def study_of(
    folder: Path, corpora: Sequence[Planted], left_out: Sequence[str], **changes: Any
) -> TransferConfig:
    """A study of planted corpora, of one system with one combination if nothing else is said."""
    paths = [str(corpus.write(folder / "corpora")) for corpus in corpora]
    system = {"network": "planted", "statistics": [1], "inverse_penalty": 1.0}
    settings: dict[str, Any] = {
        "name": "tiny",
        "output": str(folder / "study"),
        "corpora": paths,
        "left_out": list(left_out),
        "labels": {"names": list(EMOTIONS)},
        "seeds": [1],
        "pools": [1, 5, 20, "all"],
        "one_sided": {"pools": [20], "shares": [0.25, 0.5]},
        "draws": 2,
        "systems": {"linear": system | changes.pop("system", {})},
        "threads": 1,
    }
    return TransferConfig.model_validate(settings | changes)


def relabelled(manifest: Path, emotions: dict[str, str]) -> None:
    """The same recordings with other emotions."""
    before = read_manifest(manifest)
    rows = [
        utterance.model_copy(update={"emotion": emotions[str(utterance.emotion)]})
        for utterance in before.utterances
    ]
    write_manifest(manifest, before.header, rows)


def conditions(found: dict[str, Any], left_out: str, system: str = "linear") -> dict[str, Any]:
    """By name, the conditions of a system on a corpus."""
    own = next(entry for entry in found["systems"] if entry["name"] == system)
    corpus = next(one for one in own["corpora"] if one["left_out"] == left_out)
    return {condition["name"]: condition for condition in corpus["conditions"]}
