"""Utterances to batches: audio or kept features, targets, and the draws of augmentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from phonemo.audio import RATE, audio_seconds, load_waveform
from phonemo.config import AugmentConfig, TrainConfig
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.phonemes import PhonemeInventory
from phonemo.labels import LabelSet
from phonemo.model.lengths import mask_of
from phonemo.model.losses import ABSENT
from phonemo.train.augment import change_audio, crop, draw_spans, generator
from phonemo.train.cache import FeatureCache
from phonemo.train.sampler import StandIn

#: Hop of every backbone here: 20 ms. Only for cropping kept features to about max_seconds.
_FRAMES_PER_SECOND = 50
#: The key of an item, and of a batch, that is no part of what is learnt from.
STAND_IN = "stand_in"


@dataclass(frozen=True)
class Targets:
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
class Draws:
    """The random side of a training part."""

    augment: AugmentConfig
    max_seconds: float
    seed: int

    @classmethod
    def of(cls, config: TrainConfig, seed: int) -> Draws:
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
        targets: Targets,
        cache: FeatureCache | None = None,
        draws: Draws | None = None,
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
        item = self._kept(one, draw) if self.cache is not None else self._heard(one, draw)
        whole = item.pop("whole")
        phonemes = self.targets.phonemes(one) if whole else ()
        found = {**item, "id": one.id, "label": self.targets.label(one), "phonemes": phonemes}
        if isinstance(index, StandIn):
            found |= {"label": ABSENT, "phonemes": (), STAND_IN: True}
        return found

    def _heard(self, one: Utterance, draw: np.random.Generator | None) -> dict[str, Any]:
        path = self.manifest.audio_path(one)
        samples = np.array(load_waveform(path, start=one.start, end=one.end).samples)
        if draw is None or self.draws is None:
            return {"samples": samples, "spans": {}, "whole": True}
        cropped = crop(samples, round(self.draws.max_seconds * RATE), draw)
        changed = change_audio(cropped, self.draws.augment, draw)
        frames = round(len(changed) / RATE * _FRAMES_PER_SECOND)
        spans = draw_spans(frames, self.draws.augment, draw)
        return {"samples": changed, "spans": spans, "whole": len(cropped) == len(samples)}

    def _kept(self, one: Utterance, draw: np.random.Generator | None) -> dict[str, Any]:
        assert self.cache is not None
        lower = self.cache.read(one.id)
        frames = self.cache.frames(one.id)
        if draw is None or self.draws is None:
            return {"lower": lower, "spans": {}, "whole": True}
        most = round(self.draws.max_seconds * _FRAMES_PER_SECOND)
        start = int(draw.integers(0, max(0, frames - most) + 1))
        lower = {name: value[start : start + most] for name, value in lower.items()}
        spans = draw_spans(min(frames, most), self.draws.augment, draw)
        return {"lower": lower, "spans": spans, "whole": frames <= most}

    def _samples(self, one: Utterance) -> int:
        end = one.end
        if end is None:
            end = audio_seconds(self.manifest.audio_path(one))
        return round((end - (one.start or 0.0)) * RATE)


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Items to one padded batch.

    Returns:
        ``input_values`` and ``attention_mask`` (batch, sample), or ``lower`` with ``frames``
        (batch,) and tensors (batch, frame, feature); ``labels`` (batch,); ``phonemes``
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
        batch["lower"] = _lower([item["lower"] for item in items])
    if items[0]["spans"]:
        batch["spans"] = {
            name: torch.from_numpy(np.stack([item["spans"][name] for item in items]))
            for name in items[0]["spans"]
        }
    if STAND_IN in items[0]:
        batch[STAND_IN] = True
    return batch


def pad_audio(clips: Sequence[Any]) -> dict[str, Tensor]:
    """Clips, each (sample,), to ``input_values`` and ``attention_mask`` (batch, sample)."""
    lengths = torch.tensor([len(clip) for clip in clips])
    values = _padded([np.asarray(clip, dtype=np.float32) for clip in clips])
    mask = mask_of(lengths, values.shape[1])
    return {"input_values": values, "attention_mask": mask.to(torch.long)}


def _lower(kept: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    names = sorted(kept[0])
    frames = torch.tensor([len(one[names[0]]) for one in kept])
    return {"frames": frames} | {name: _padded([one[name] for one in kept]) for name in names}


def _padded(arrays: Sequence[Any]) -> Tensor:
    # a copy, since memory-mapped arrays are read-only and torch wants to own what it pads
    return pad_sequence([torch.from_numpy(np.array(one)) for one in arrays], batch_first=True)
