"""Datasets, samplers and collation: audio or cached features, targets and augmentation.

Augmentation is seeded by (seed, epoch, utterance id), and the order of the length-grouped batches
by (seed, epoch). The global random state is never used, so a resumed run draws the same as an
uninterrupted one, in any order of utterances.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from phonemo.audio import RATE, audio_seconds
from phonemo.config import AugmentConfig, TrainConfig
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.corpora.ratings.votes import vote_shares
from phonemo.corpora.recordings import load_utterance
from phonemo.labels import LabelSet
from phonemo.model.frozen_features import FrozenFeatures
from phonemo.model.losses import ABSENT
from phonemo.model.masks import mask_of
from phonemo.train.feature_cache import FeatureCache

Samples = NDArray[np.float32]

#: Frequencies in hertz at which the random equalizer is drawn; interpolated in between.
_KNOTS = (0, 150, 300, 600, 1200, 2400, 4800, 8000)


def generator(seed: int, epoch: int, utterance: str) -> np.random.Generator:
    """Return the random generator of one utterance in one epoch."""
    key = hashlib.sha256(f"{seed}/{epoch}/{utterance}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:16], "little"))


def crop(samples: Samples, most: int, draw: np.random.Generator) -> Samples:
    """Return a random crop of at most ``most`` samples; a shorter array is returned unchanged."""
    if len(samples) <= most:
        return samples
    start = int(draw.integers(0, len(samples) - most + 1))
    return samples[start : start + most]


def change_audio(samples: Samples, config: AugmentConfig, draw: np.random.Generator) -> Samples:
    """Change speed, tone, noise and level, in this order, where the config enables them."""
    if config.speed > 0:
        factor = 1 + draw.uniform(-config.speed, config.speed)
        samples = np.asarray(
            soxr.resample(samples, RATE * factor, RATE, quality="MQ"), dtype=np.float32
        )
    if config.tone_db > 0:
        samples = equalized(samples, config.tone_db, draw)
    if config.noise_snr_db is not None:
        samples = _add_noise(samples, config.noise_snr_db, draw)
    if config.gain_db > 0:
        gain = 10 ** (draw.uniform(-config.gain_db, config.gain_db) / 20)
        samples = samples * np.float32(gain)
    return samples


def equalized(samples: Samples, most_db: float, draw: np.random.Generator) -> Samples:
    """Filter samples (sample,) by a smooth random equalizer of at most ``most_db`` up or down."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    decibels = np.interp(hertz, _KNOTS, draw.uniform(-most_db, most_db, len(_KNOTS)))
    return np.fft.irfft(spectrum * 10 ** (decibels / 20), len(samples)).astype(np.float32)


def draw_spans(
    frames: int, config: AugmentConfig, draw: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Draw SpecAugment spans: ``time`` (span, 2) in frames, ``feature`` (span, 2) as fractions.

    Widths are uniform from 0 to the config's largest; a time span covers at most a fifth of the
    clip, so that short clips keep their speech.
    """
    spans = {}
    if config.time_masks:
        longest = min(config.time_mask_frames, frames // 5)
        spans["time"] = _spans(config.time_masks, frames, longest, draw)
    if config.feature_masks:
        # drawn on a grid of 512 features and stored as fractions, which apply to any width
        grid = 512
        drawn = _spans(config.feature_masks, grid, config.feature_mask_width, draw)
        spans["feature"] = drawn / np.float32(grid)
    return spans


def _add_noise(samples: Samples, lowest_db: float, draw: np.random.Generator) -> Samples:
    ratio_db = draw.uniform(lowest_db, lowest_db + 30)
    level = float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (-ratio_db / 20)
    noise: Samples = draw.normal(0, level, len(samples)).astype(np.float32)
    return samples + noise


def _spans(count: int, size: int, longest: int, draw: np.random.Generator) -> NDArray[np.float32]:
    widths = draw.integers(0, min(longest, size) + 1, count)
    starts = draw.integers(0, size - widths + 1)
    return np.stack([starts, starts + widths], axis=1).astype(np.float32)


class LengthGroupedSampler(Sampler[int]):
    """Indices ordered so that each run of ``batch_size`` has similar lengths.

    All indices are shuffled and cut into pools of ``pool_batches`` batches; each pool is sorted
    by length, and the batches of all pools are shuffled.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, pool_batches: int = 8
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.pool = batch_size * pool_batches
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the order is drawn for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), self.pool):
            pool = order[start : start + self.pool]
            pool = pool[np.argsort(-self.lengths[pool], kind="stable")]
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        # the short batch stays last, or the batches after it would be cut at the wrong indices
        short = [batch for batch in batches if len(batch) < self.batch_size]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        random.shuffle(full)
        return iter([int(index) for batch in full + short for index in batch])


class PaddingIndex(int):
    """Index of an utterance without loss, for a process that a batch has no row for."""


class DistributedBatchSampler(Sampler[list[int]]):
    """One process' rows of each batch: every ``world``-th, so that lengths stay similar.

    The batches are those of a single process. Where the last holds fewer utterances than there
    are processes, the others get a PaddingIndex, since all must take every step.

    Args:
        sampler: yields the same indices in the same order in all processes.
        rank: the number of this process.
        world: the number of processes.
    """

    def __init__(self, sampler: LengthGroupedSampler, rank: int, world: int) -> None:
        self.sampler = sampler
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.sampler.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in batched(self.sampler, self.sampler.batch_size):
            yield batch[self.rank :: self.world] or [PaddingIndex(batch[-1])]


def batched(indices: Iterable[int], size: int) -> Iterator[list[int]]:
    """Yield lists of ``size`` indices; the last may be shorter."""
    remaining = iter(indices)
    while batch := list(islice(remaining, size)):
        yield batch


#: Every backbone here has a hop of 20 ms. Only for cropping cached features to max_seconds.
_FRAMES_PER_SECOND = 50
#: Key that marks an item, and a batch, as padding without loss.
PADDING_ROW = "stand_in"


@dataclass(frozen=True)
class TargetEncoder:
    """Encodes the targets: emotions, units of the auxiliary task, rated dimensions, votes."""

    labels: LabelSet
    inventory: PhonemeInventory | None
    dimensions: tuple[str, ...] = ()
    """The rated dimensions of the network; none without that task."""
    votes: bool = False
    """Whether the emotion target is the raters' distribution."""

    def label(self, utterance: Utterance) -> int:
        """Return the emotion's index; ABSENT where the utterance has none of the label set."""
        emotion = utterance.emotion
        return self.labels.index(emotion) if emotion in self.labels and emotion else ABSENT

    def usable(self, utterance: Utterance) -> bool:
        """Whether the utterance has an emotion, a rated dimension or votes to learn from."""
        return (
            self.label(utterance) != ABSENT
            or any(name in utterance.dimensions for name in self.dimensions)
            or (self.votes and vote_shares(utterance, self.labels) is not None)
        )

    def rated(self, utterance: Utterance) -> Samples:
        """Return the rated dimensions, (dimension,); NaN where unknown."""
        known = utterance.dimensions
        return np.array([known.get(name, np.nan) for name in self.dimensions], dtype=np.float32)

    def distribution(self, utterance: Utterance) -> Samples:
        """Return the votes' shares, (emotion,); the label's where there are no votes, else 0."""
        shares = np.zeros(len(self.labels), dtype=np.float32)
        voted = vote_shares(utterance, self.labels)
        if voted is not None:
            for name, share in voted.items():
                shares[self.labels.index(name)] = share
        elif (label := self.label(utterance)) != ABSENT:
            shares[label] = 1.0
        return shares

    def phonemes(self, utterance: Utterance) -> tuple[int, ...]:
        """Return the indices of the phonemes; empty where there are none."""
        if self.inventory is None:
            return ()
        merged = utterance.emotion
        if merged in self.labels and merged is not None:
            merged = self.labels.merged(merged)
        return self.inventory.encode(utterance.phonemes, utterance.transcript, merged) or ()


@dataclass(frozen=True)
class AugmentationSeed:
    """Augmentation settings and seed of a training part."""

    augment: AugmentConfig
    max_seconds: float
    seed: int

    @classmethod
    def of(cls, config: TrainConfig, seed: int) -> AugmentationSeed:
        """Create it from a config and a seed."""
        return cls(config.augment, config.max_seconds, seed)


class SpeechDataset(Dataset[dict[str, Any]]):
    """A part of a manifest, one item per utterance.

    Args:
        manifest: locates the audio.
        utterances: the part.
        targets: encodes emotions and phonemes.
        cache: cached features; None reads audio.
        draws: augmentation, for training; None disables it.
    """

    def __init__(
        self,
        manifest: Manifest,
        utterances: Sequence[Utterance],
        targets: TargetEncoder,
        cache: FeatureCache | None = None,
        draws: AugmentationSeed | None = None,
    ) -> None:
        self.manifest = manifest
        self.utterances = tuple(utterances)
        self.targets = targets
        self.cache = cache
        self.draws = draws
        self.epoch = 0
        seen: Counter[str] = Counter()
        self._draw_names: list[str] = []  # repetitions of an utterance draw differently
        for utterance in self.utterances:
            suffix = f" again {seen[utterance.id]}" if seen[utterance.id] else ""
            self._draw_names.append(utterance.id + suffix)
            seen[utterance.id] += 1

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that augmentation is drawn for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.utterances)

    def lengths(self) -> list[int]:
        """Return each utterance's length in frames or samples, for grouping only."""
        if self.cache is not None:
            return [self.cache.frames(utterance.id) for utterance in self.utterances]
        return [self._samples(utterance) for utterance in self.utterances]

    def __getitem__(self, index: int) -> dict[str, Any]:
        utterance = self.utterances[index]
        draw = None
        if self.draws is not None:
            draw = generator(self.draws.seed, self.epoch, self._draw_names[index])
        item = (
            self._cached(utterance, draw)
            if self.cache is not None
            else self._waveform(utterance, draw)
        )
        is_whole = item.pop("whole")
        phonemes = self.targets.phonemes(utterance) if is_whole else ()
        encoded = {
            **item,
            "id": utterance.id,
            "label": self.targets.label(utterance),
            "phonemes": phonemes,
        }
        if self.targets.dimensions:
            encoded["dimensions"] = self.targets.rated(utterance)
        if self.targets.votes:
            encoded["votes"] = self.targets.distribution(utterance)
        return _without_targets(encoded) if isinstance(index, PaddingIndex) else encoded

    def _waveform(self, utterance: Utterance, draw: np.random.Generator | None) -> dict[str, Any]:
        samples = np.array(load_utterance(self.manifest, utterance).samples)
        if draw is None or self.draws is None:
            return {"samples": samples, "spans": {}, "whole": True}
        cropped = crop(samples, round(self.draws.max_seconds * RATE), draw)
        changed = change_audio(cropped, self.draws.augment, draw)
        frames = round(len(changed) / RATE * _FRAMES_PER_SECOND)
        spans = draw_spans(frames, self.draws.augment, draw)
        return {"samples": changed, "spans": spans, "whole": len(cropped) == len(samples)}

    def _cached(self, utterance: Utterance, draw: np.random.Generator | None) -> dict[str, Any]:
        assert self.cache is not None
        lower = self.cache.read(utterance.id)
        frames = self.cache.frames(utterance.id)
        if draw is None or self.draws is None:
            return {"frozen": lower, "spans": {}, "whole": True}
        most = round(self.draws.max_seconds * _FRAMES_PER_SECOND)
        start = int(draw.integers(0, max(0, frames - most) + 1))
        lower = {name: value[start : start + most] for name, value in lower.items()}
        spans = draw_spans(min(frames, most), self.draws.augment, draw)
        return {"frozen": lower, "spans": spans, "whole": frames <= most}

    def _samples(self, utterance: Utterance) -> int:
        end = utterance.end
        if end is None:
            end = audio_seconds(self.manifest.audio_path(utterance))
        return round((end - (utterance.start or 0.0)) * RATE)


def _without_targets(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as padding, without any loss."""
    absent: dict[str, Any] = {"label": ABSENT, "phonemes": (), PADDING_ROW: True}
    if "dimensions" in item:
        absent["dimensions"] = np.full_like(item["dimensions"], np.nan)
    if "votes" in item:
        absent["votes"] = np.zeros_like(item["votes"])
    return {**item, **absent}


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Collate items into one padded batch.

    Returns:
        ``input_values`` and ``attention_mask`` (batch, sample), or ``frozen``, FrozenFeatures;
        ``labels`` (batch,); ``phonemes``
        (batch, phoneme) with ``phoneme_lengths`` (batch,); ``dimensions`` (batch, dimension) and
        ``votes`` (batch, emotion) where they are targets; ``spans`` where they were drawn;
        PADDING_ROW where the only utterance is padding.
    """
    batch: dict[str, Any] = {
        "labels": torch.tensor([item["label"] for item in items]),
        "phonemes": _padded([np.asarray(item["phonemes"], dtype=np.int64) for item in items]),
        "phoneme_lengths": torch.tensor([len(item["phonemes"]) for item in items]),
    }
    for name in ("dimensions", "votes"):
        if name in items[0]:
            batch[name] = torch.from_numpy(np.stack([item[name] for item in items]))
    if "samples" in items[0]:
        batch |= pad_audio([item["samples"] for item in items])
    else:
        batch["frozen"] = _frozen([item["frozen"] for item in items])
    if items[0]["spans"]:
        batch["spans"] = {
            name: torch.from_numpy(np.stack([item["spans"][name] for item in items]))
            for name in items[0]["spans"]
        }
    if PADDING_ROW in items[0]:
        batch[PADDING_ROW] = True
    return batch


def pad_audio(clips: Sequence[Any]) -> dict[str, Tensor]:
    """Pad clips, each (sample,), to ``input_values`` and ``attention_mask`` (batch, sample)."""
    lengths = torch.tensor([len(clip) for clip in clips])
    values = _padded([np.asarray(clip, dtype=np.float32) for clip in clips])
    mask = mask_of(lengths, values.shape[1])
    return {"input_values": values, "attention_mask": mask.to(torch.long)}


def _frozen(clips: Sequence[Mapping[str, Any]]) -> FrozenFeatures:
    names = sorted(clips[0])
    frames = torch.tensor([len(clip[names[0]]) for clip in clips])
    named = {name: _padded([clip[name] for clip in clips]) for name in names}
    return FrozenFeatures.from_named(frames, named)


def _padded(arrays: Sequence[Any]) -> Tensor:
    # a copy, since memory-mapped arrays are read-only, which torch does not support
    return pad_sequence([torch.from_numpy(np.array(array)) for array in arrays], batch_first=True)
