"""Training speech: decoded once, cached in one file, read at random."""

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

from phonemo.audio import RATE
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.recordings import load_utterance
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
    """All recordings, concatenated, as 16-bit integers at 16 kHz.

    Attributes:
        samples: (sample,), memory-mapped.
        ids: corpus and utterance id of each recording.
        ends: end of each recording in ``samples``; ascending.
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
        """Return the number of recordings by corpus; a merged manifest's parts are separate."""
        counts: Counter[str] = Counter()
        for name in self.ids:
            corpus, _, rest = name.partition("/")
            counts[rest.partition("/")[0] if "+" in corpus else corpus] += 1
        return dict(counts)

    @property
    def seconds(self) -> float:
        """Return the total duration."""
        return len(self.samples) / RATE

    def recording(self, number: int) -> Samples:
        """Return one recording (sample,), full scale at 1."""
        start = int(self.ends[number - 1]) if number else 0
        samples = self.samples[start : int(self.ends[number])].astype(np.float32)
        return samples / np.float32(_FULL)


def open_speech_cache(
    config: PretrainConfig, folder: Path, progress: Callable[[int, int], None]
) -> SpeechCache:
    """Open the speech cache of a config's manifests, building it below ``folder`` if needed.

    Raises:
        ConfigError: a manifest is of an excluded corpus, or no recording can be decoded.
    """
    manifests = [read_manifest(path) for path in config.manifests]
    for path, manifest in zip(config.manifests, manifests, strict=True):
        for corpus in manifest.header.corpus.split("+"):  # the parts of a merged manifest
            if corpus in config.never_heard:
                raise ConfigError(
                    f"{path}: expected a corpus not in never_heard, got {corpus!r}; remove one "
                    "or the other"
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
    """Random crops, each seeded by (seed, number), so that a resumed stage gets the same.

    Args:
        bank: the speech.
        members: indices of the recordings to use.
        stage: number, length and augmentation of the crops.
        seed: must differ between stages.
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
        augmentation = self.stage.hearing
        size = self.samples_of(number // self.stage.batch_size)
        draw = np.random.default_rng([self.seed, 1, number])
        samples = self._stretch(needed(size, augmentation), draw)
        return torch.from_numpy(change(samples, size, augmentation, draw))

    def samples_of(self, step: int) -> int:
        """Return the length in samples of a step's crops."""
        augmentation = self.stage.hearing
        draw = np.random.default_rng([self.seed, 0, step])
        return round(
            draw.uniform(augmentation.shortest_seconds, augmentation.longest_seconds) * RATE
        )

    def _stretch(self, size: int, draw: np.random.Generator) -> Samples:
        """Concatenate random recordings, each from a random start, up to ``size`` samples."""
        parts: list[Samples] = []
        missing = size
        while missing > 0:
            index = int(draw.choice(self.members, p=self.shares))
            samples = self.bank.recording(index)
            start = int(draw.integers(0, max(1, len(samples) - missing + 1)))
            parts.append(samples[start : start + missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)


def divided(bank: SpeechCache, held_out: int) -> tuple[list[int], list[int]]:
    """Return the indices of training and held-out recordings, chosen by hashed id."""
    if held_out >= len(bank):
        raise ConfigError(
            f"expected held_out below {len(bank)}, the number of recordings, got {held_out}; "
            "lower it"
        )
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
        for number, (name, manifest, utterance) in enumerate(_utterances(manifests), start=1):
            try:
                samples = _decode(manifest, utterance)
            except AudioError as error:
                skipped[name] = str(error)
            else:
                samples.tofile(stream)
                ids.append(name)
                ends.append((ends[-1] if ends else 0) + len(samples))
            progress(number, total)
        stream.flush()
        if not ids:
            raise ConfigError(
                "expected recordings that can be decoded, got none in the manifests; check the "
                "audio"
            )
        index = {"ids": ids, "ends": ends, "skipped": skipped}
        (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def _utterances(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest, Utterance]]:
    for manifest in manifests:
        for utterance in manifest.utterances:
            yield f"{manifest.header.corpus}/{utterance.id}", manifest, utterance


def _decode(manifest: Manifest, utterance: Utterance) -> NDArray[np.int16]:
    samples = load_utterance(manifest, utterance).samples
    return np.round(np.clip(samples, -1, 1) * (_FULL - 1)).astype("<i2")


def _read(folder: Path) -> SpeechCache:
    index = loads_json((folder / _INDEX).read_text(encoding="utf-8"))
    return SpeechCache(
        np.memmap(folder / _SAMPLES, dtype="<i2", mode="r"),
        tuple(index["ids"]),
        np.asarray(index["ends"], dtype=np.int64),
        index["skipped"],
    )
