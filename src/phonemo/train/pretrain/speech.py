"""The speech to learn from: decoded once, kept in one file, read at random."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from phonemo.audio import RATE, load_waveform
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import AudioError, CheckpointError, ConfigError
from phonemo.files import checksummed_folder, loads_json, verify_checksums
from phonemo.train.dataset import Samples
from phonemo.train.pretrain.crops import change, needed
from phonemo.train.pretrain.pretrain_config import PretrainConfig, StageConfig

_VERSION = 1
_SAMPLES = "samples.i2"
_INDEX = "index.json"
_FULL = 32768.0


@dataclass(frozen=True)
class SpeechCache:
    """All recordings, one after the other, as 16-bit integers at 16 kHz.

    Attributes:
        samples: (sample,), memory-mapped.
        ids: corpus and utterance of each recording.
        ends: where each recording ends in ``samples``; ascending.
        skipped: recordings that could not be decoded, with the reason.
    """

    samples: NDArray[np.int16]
    ids: tuple[str, ...]
    ends: NDArray[np.int64]
    skipped: dict[str, str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def corpora(self) -> dict[str, int]:
        """Recordings of each corpus; a merged manifest counts for its parts."""
        found: Counter[str] = Counter()
        for name in self.ids:
            corpus, _, rest = name.partition("/")
            found[rest.partition("/")[0] if "+" in corpus else corpus] += 1
        return dict(found)

    @property
    def seconds(self) -> float:
        """Length of all of it."""
        return len(self.samples) / RATE

    def recording(self, number: int) -> Samples:
        """One recording (sample,), full scale at 1."""
        start = int(self.ends[number - 1]) if number else 0
        stretch = self.samples[start : int(self.ends[number])].astype(np.float32)
        return stretch / np.float32(_FULL)


def open_speech_cache(
    config: PretrainConfig, folder: Path, progress: Callable[[int, int], None]
) -> SpeechCache:
    """The bank of a config's manifests, built below ``folder`` if it is not there yet.

    Raises:
        ConfigError: a manifest is of a corpus that must not be heard, or nothing is left.
    """
    manifests = [read_manifest(path) for path in config.manifests]
    for path, manifest in zip(config.manifests, manifests, strict=True):
        for corpus in manifest.header.corpus.split("+"):  # a merged one names its parts so
            if corpus in config.never_heard:
                raise ConfigError(
                    f"{path}: corpus {corpus!r} is among never_heard; leave out one or the other"
                )
    texts = [Path(path).read_bytes() for path in config.manifests]
    key = hashlib.sha256(b"\n".join([str(_VERSION).encode(), *texts])).hexdigest()[:12]
    target = folder / f"speech-{key}"
    try:
        verify_checksums(target)
    except CheckpointError:
        _build(target, manifests, progress)
    return _read(target)


class Crops(Dataset[Tensor]):
    """Random crops, each drawn by (seed, stage, its own number) alone: a resume hears the same.

    Args:
        bank: the speech.
        members: which of its recordings may be heard.
        stage: how many, how long, and what is changed.
        seed: two stages must not have the same.
    """

    def __init__(
        self, bank: SpeechCache, members: Sequence[int], stage: StageConfig, seed: int
    ) -> None:
        self.bank = bank
        self.members = np.asarray(members)
        self.stage = stage
        self.seed = seed
        lengths = np.diff(bank.ends, prepend=0)[self.members]
        self.shares = lengths / lengths.sum()

    def __len__(self) -> int:
        return self.stage.steps * self.stage.batch_size

    def __getitem__(self, number: int) -> Tensor:
        hearing = self.stage.hearing
        size = self.samples_of(number // self.stage.batch_size)
        draw = np.random.default_rng([self.seed, 1, number])
        stretch = self._stretch(needed(size, hearing), draw)
        return torch.from_numpy(change(stretch, size, hearing, draw))

    def samples_of(self, step: int) -> int:
        """Length in samples of the crops of a step."""
        hearing = self.stage.hearing
        draw = np.random.default_rng([self.seed, 0, step])
        return round(draw.uniform(hearing.shortest_seconds, hearing.longest_seconds) * RATE)

    def _stretch(self, size: int, draw: np.random.Generator) -> Samples:
        """Some recordings in a row, entered at random, as long as asked."""
        parts: list[Samples] = []
        left = size
        while left > 0:
            chosen = int(draw.choice(self.members, p=self.shares))
            found = self.bank.recording(chosen)
            start = int(draw.integers(0, max(1, len(found) - left + 1)))
            parts.append(found[start : start + left])
            left -= len(parts[-1])
        return np.concatenate(parts)


def divided(bank: SpeechCache, held_out: int) -> tuple[list[int], list[int]]:
    """Numbers of the recordings to learn from and of those held out; chosen by their names."""
    if held_out >= len(bank):
        raise ConfigError(f"held_out is {held_out}, but there are {len(bank)} recordings")
    order = sorted(range(len(bank)), key=lambda n: hashlib.sha256(bank.ids[n].encode()).digest())
    return sorted(order[held_out:]), order[:held_out]


def _build(
    target: Path, manifests: Sequence[Manifest], progress: Callable[[int, int], None]
) -> None:
    ids: list[str] = []
    ends: list[int] = []
    skipped: dict[str, str] = {}
    total = sum(len(manifest.utterances) for manifest in manifests)
    with checksummed_folder(target) as folder, (folder / _SAMPLES).open("wb") as stream:
        for number, (name, manifest, one) in enumerate(_utterances(manifests), start=1):
            try:
                samples = _decoded(manifest, one)
            except AudioError as error:
                skipped[name] = str(error)
            else:
                samples.tofile(stream)
                ids.append(name)
                ends.append((ends[-1] if ends else 0) + len(samples))
            progress(number, total)
        stream.flush()
        if not ids:
            raise ConfigError("none of the recordings of the manifests can be decoded")
        index = {"ids": ids, "ends": ends, "skipped": skipped}
        (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def _utterances(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest, Utterance]]:
    for manifest in manifests:
        for one in manifest.utterances:
            yield f"{manifest.header.corpus}/{one.id}", manifest, one


def _decoded(manifest: Manifest, one: Utterance) -> NDArray[np.int16]:
    found = load_waveform(manifest.audio_path(one), start=one.start, end=one.end).samples
    return np.round(np.clip(found, -1, 1) * (_FULL - 1)).astype("<i2")


def _read(folder: Path) -> SpeechCache:
    index = loads_json((folder / _INDEX).read_text(encoding="utf-8"))
    return SpeechCache(
        np.memmap(folder / _SAMPLES, dtype="<i2", mode="r"),
        tuple(index["ids"]),
        np.asarray(index["ends"], dtype=np.int64),
        index["skipped"],
    )
