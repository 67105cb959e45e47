"""Utterances to batches: audio or kept features, targets, and the draws of augmentation.

Random changes to training data, each drawn by (seed, epoch, utterance id) alone.

The global random state is never touched: a resumed run draws what the uninterrupted one drew,
whatever the order of the utterances.

Batches of similar length, in an order that is drawn by (seed, epoch) alone.
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

from phonemo.audio import RATE, audio_seconds, load_waveform
from phonemo.config import AugmentConfig, TrainConfig
from phonemo.corpora.inventory import PhonemeInventory
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.labels import LabelSet
from phonemo.model.frozen_features import FrozenFeatures
from phonemo.model.losses import ABSENT
from phonemo.model.masks import mask_of
from phonemo.train.feature_cache import FeatureCache

Samples = NDArray[np.float32]

#: Frequencies in hertz at which the random equaliser is drawn; between them it is interpolated.
_KNOTS = (0, 150, 300, 600, 1200, 2400, 4800, 8000)


def generator(seed: int, epoch: int, utterance: str) -> np.random.Generator:
    """The random numbers of one utterance in one epoch."""
    key = hashlib.sha256(f"{seed}/{epoch}/{utterance}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:16], "little"))


def crop(samples: Samples, most: int, draw: np.random.Generator) -> Samples:
    """A random stretch of at most ``most`` samples; the same array if it is short enough."""
    if len(samples) <= most:
        return samples
    start = int(draw.integers(0, len(samples) - most + 1))
    return samples[start : start + most]


def change_audio(samples: Samples, config: AugmentConfig, draw: np.random.Generator) -> Samples:
    """Speed, tone, noise and level, in this order; the same array where none is asked for."""
    if config.speed > 0:
        factor = 1 + draw.uniform(-config.speed, config.speed)
        samples = np.asarray(
            soxr.resample(samples, RATE * factor, RATE, quality="MQ"), dtype=np.float32
        )
    if config.tone_db > 0:
        samples = equalized(samples, config.tone_db, draw)
    if config.noise_snr_db is not None:
        samples = _noisy(samples, config.noise_snr_db, draw)
    if config.gain_db > 0:
        gain = 10 ** (draw.uniform(-config.gain_db, config.gain_db) / 20)
        samples = samples * np.float32(gain)
    return samples


def equalized(samples: Samples, most_db: float, draw: np.random.Generator) -> Samples:
    """Samples (sample,) through a smooth equaliser, drawn between plus and minus ``most_db``."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    decibels = np.interp(hertz, _KNOTS, draw.uniform(-most_db, most_db, len(_KNOTS)))
    return np.fft.irfft(spectrum * 10 ** (decibels / 20), len(samples)).astype(np.float32)


def draw_spans(
    frames: int, config: AugmentConfig, draw: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """SpecAugment spans: ``time`` (span, 2) in frames, ``feature`` (span, 2) as shares.

    Widths are uniform from none to the config's largest; a time span never covers more than a
    fifth of the clip, so that short clips keep their speech.
    """
    spans = {}
    if config.time_masks:
        longest = min(config.time_mask_frames, frames // 5)
        spans["time"] = _spans(config.time_masks, frames, longest, draw)
    if config.feature_masks:
        # drawn on a grid of 512 features: shares, so that streams of any width can use them
        grid = 512
        drawn = _spans(config.feature_masks, grid, config.feature_mask_width, draw)
        spans["feature"] = drawn / np.float32(grid)
    return spans


def _noisy(samples: Samples, lowest_db: float, draw: np.random.Generator) -> Samples:
    ratio_db = draw.uniform(lowest_db, lowest_db + 30)
    level = float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (-ratio_db / 20)
    noise: Samples = draw.normal(0, level, len(samples)).astype(np.float32)
    return samples + noise


def _spans(count: int, size: int, longest: int, draw: np.random.Generator) -> NDArray[np.float32]:
    widths = draw.integers(0, min(longest, size) + 1, count)
    starts = draw.integers(0, size - widths + 1)
    return np.stack([starts, starts + widths], axis=1).astype(np.float32)


class LengthGroupedSampler(Sampler[int]):
    """Indices so ordered that each run of ``batch_size`` has similar lengths.

    The whole is shuffled, cut into pools of ``pool_batches`` batches, each pool is sorted by
    length, and the batches of all pools are shuffled.
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
        """Draw the order of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([self.seed, self.epoch])
        order = draw.permutation(len(self.lengths))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), self.pool):
            pool = order[start : start + self.pool]
            pool = pool[np.argsort(-self.lengths[pool], kind="stable")]
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        # the one short batch stays last, or every batch behind it would be cut out of step
        short = [batch for batch in batches if len(batch) < self.batch_size]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        draw.shuffle(whole)
        return iter([int(index) for batch in whole + short for index in batch])


class PaddingIndex(int):
    """The index of an utterance that is heard and teaches nothing: of a rank without a row."""


class DistributedBatchSampler(Sampler[list[int]]):
    """One process' share of each batch: the rows that are its turn, so that lengths stay similar.

    The batches are those of one process that has ``sampler`` to itself. Where the last holds
    fewer utterances than there are processes, those without one get a stand-in, since all must
    take every step.

    Args:
        sampler: gives the same indices in the same order to all processes.
        rank: which process this is.
        world: how many there are.
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
    """Runs of ``size`` indices; the last may be shorter."""
    rest = iter(indices)
    while batch := list(islice(rest, size)):
        yield batch


#: Hop of every backbone here: 20 ms. Only for cropping kept features to about max_seconds.
_FRAMES_PER_SECOND = 50
#: The key of an item, and of a batch, that is no part of what is learnt from.
PADDING_ROW = "stand_in"


@dataclass(frozen=True)
class TargetEncoder:
    """What is to be learnt: emotions, and the units of the auxiliary task if there is one."""

    labels: LabelSet
    inventory: PhonemeInventory | None

    def label(self, utterance: Utterance) -> int:
        """Index of the emotion; ABSENT where the utterance has none of the label set."""
        emotion = utterance.emotion
        return self.labels.index(emotion) if emotion in self.labels and emotion else ABSENT

    def phonemes(self, utterance: Utterance) -> tuple[int, ...]:
        """Indices of the phonemes; empty where there are none."""
        if self.inventory is None:
            return ()
        merged = utterance.emotion
        if merged in self.labels and merged is not None:
            merged = self.labels.merged(merged)
        return self.inventory.encode(utterance.phonemes, utterance.transcript, merged) or ()


@dataclass(frozen=True)
class AugmentationSeed:
    """The random side of a training part."""

    augment: AugmentConfig
    max_seconds: float
    seed: int

    @classmethod
    def of(cls, config: TrainConfig, seed: int) -> AugmentationSeed:
        """From a config and a seed."""
        return cls(config.augment, config.max_seconds, seed)


class SpeechDataset(Dataset[dict[str, Any]]):
    """A part of a manifest, one item an utterance.

    Args:
        manifest: says where the audio lies.
        utterances: the part.
        targets: what is to be learnt.
        cache: kept features; None reads audio.
        draws: augmentation, for training; None leaves everything as it is.
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
        self._draw_names: list[str] = []  # an utterance that is there again draws anew
        for one in self.utterances:
            again = f" again {seen[one.id]}" if seen[one.id] else ""
            self._draw_names.append(one.id + again)
            seen[one.id] += 1

    def set_epoch(self, epoch: int) -> None:
        """Draw augmentation for this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.utterances)

    def lengths(self) -> list[int]:
        """Length of each utterance, in frames or samples; for grouping alone."""
        if self.cache is not None:
            return [self.cache.frames(one.id) for one in self.utterances]
        return [self._samples(one) for one in self.utterances]

    def __getitem__(self, index: int) -> dict[str, Any]:
        one = self.utterances[index]
        draw = None
        if self.draws is not None:
            draw = generator(self.draws.seed, self.epoch, self._draw_names[index])
        item = self._cached(one, draw) if self.cache is not None else self._waveform(one, draw)
        whole = item.pop("whole")
        phonemes = self.targets.phonemes(one) if whole else ()
        found = {**item, "id": one.id, "label": self.targets.label(one), "phonemes": phonemes}
        if isinstance(index, PaddingIndex):
            found |= {"label": ABSENT, "phonemes": (), PADDING_ROW: True}
        return found

    def _waveform(self, one: Utterance, draw: np.random.Generator | None) -> dict[str, Any]:
        path = self.manifest.audio_path(one)
        samples = np.array(load_waveform(path, start=one.start, end=one.end).samples)
        if draw is None or self.draws is None:
            return {"samples": samples, "spans": {}, "whole": True}
        cropped = crop(samples, round(self.draws.max_seconds * RATE), draw)
        changed = change_audio(cropped, self.draws.augment, draw)
        frames = round(len(changed) / RATE * _FRAMES_PER_SECOND)
        spans = draw_spans(frames, self.draws.augment, draw)
        return {"samples": changed, "spans": spans, "whole": len(cropped) == len(samples)}

    def _cached(self, one: Utterance, draw: np.random.Generator | None) -> dict[str, Any]:
        assert self.cache is not None
        lower = self.cache.read(one.id)
        frames = self.cache.frames(one.id)
        if draw is None or self.draws is None:
            return {"frozen": lower, "spans": {}, "whole": True}
        most = round(self.draws.max_seconds * _FRAMES_PER_SECOND)
        start = int(draw.integers(0, max(0, frames - most) + 1))
        lower = {name: value[start : start + most] for name, value in lower.items()}
        spans = draw_spans(min(frames, most), self.draws.augment, draw)
        return {"frozen": lower, "spans": spans, "whole": frames <= most}

    def _samples(self, one: Utterance) -> int:
        end = one.end
        if end is None:
            end = audio_seconds(self.manifest.audio_path(one))
        return round((end - (one.start or 0.0)) * RATE)


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Items to one padded batch.

    Returns:
        ``input_values`` and ``attention_mask`` (batch, sample), or ``frozen``, FrozenFeatures;
        ``labels`` (batch,); ``phonemes``
        (batch, phoneme) with ``phoneme_lengths`` (batch,); ``spans`` where they were drawn;
        STAND_IN where the one utterance is in the batch for want of another.
    """
    batch: dict[str, Any] = {
        "labels": torch.tensor([item["label"] for item in items]),
        "phonemes": _padded([np.asarray(item["phonemes"], dtype=np.int64) for item in items]),
        "phoneme_lengths": torch.tensor([len(item["phonemes"]) for item in items]),
    }
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
    """Clips, each (sample,), to ``input_values`` and ``attention_mask`` (batch, sample)."""
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
    # a copy, since memory-mapped arrays are read-only and torch wants to own what it pads
    return pad_sequence([torch.from_numpy(np.array(one)) for one in arrays], batch_first=True)
