"""How far an exported network is from the trained one, and int8 from fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.audio import FRAME_SAMPLES, RATE, load_waveform
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import ManifestError, ModelError
from phonemo.evaluation.calibration import softmax
from phonemo.evaluation.metrics import score_emotions
from phonemo.labels import LabelSet
from phonemo.model.masks import mask_of
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation.statistics import Affine
from phonemo.runtime.bundle import Drift, Parity
from phonemo.runtime.session import FEATURES, PHONEMES, VECTOR, Graph, Head
from phonemo.runtime.windows import WHOLE_SECONDS
from phonemo.train.model_folder import LoadedModel

#: The largest difference of a logit or frame weight that an fp32 export may have.
MOST = 1e-3
#: Recordings on which int8 is compared with fp32.
CLIPS = 200

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clips:
    """Recordings to compare on, with their emotions where they are known."""

    audio: str
    samples: list[Samples]
    truth: list[str | None]


def check_parity(model: PhonemoForAudioClassification, graph: Graph) -> Parity:
    """Compare a graph with its network: short, odd and long clips, and a padded batch.

    All under a random map of the vector that the emotion head reads, as a profile's is.

    Args:
        model: in evaluation mode.
        graph: what was made of it, in fp32.

    Raises:
        ModelError: frames differ, or a logit or frame weight by more than ``MOST``.
    """
    batches = [[clip] for clip in _alone(model)] + [_together(model)]
    found = [_difference(model, graph, batch) for batch in batches]
    largest = max(found)
    _check_near("network", largest)
    return Parity(clips=sum(len(batch) for batch in batches), difference=largest)


def check_head(model: PhonemoForAudioClassification, graph: Graph, head: Head) -> None:
    """Compare a head with its network, with frames left out here and there.

    Args:
        model: in evaluation mode.
        graph: what was made of the network, in fp32.
        head: what was made of its upper end.

    Raises:
        ModelError: a logit differs by more than ``MOST``.
    """
    hop = model.backbone.grid.hop_samples
    for frames in (1, 7, 60):
        heard = graph.recognize(_noise(model.backbone.grid.fewest_samples(frames)), hop).features
        assert heard is not None
        kept = np.ones((4, len(heard)), dtype=np.bool_)
        kept[1, 1::3] = kept[2, :-1] = False
        affine = _random_map(model)
        found = head.logits(heard, kept, affine)
        features = torch.from_numpy(heard)[None].expand(len(kept), -1, -1)
        keep = torch.from_numpy(kept)
        with torch.inference_mode():
            _, pooled = model.classify_frames(features, torch.ones_like(keep), keep)
        wanted = _mapped_logits(model, pooled.vector, affine)
        _check_near("head", float(np.abs(found - wanted.numpy()).max()))


def pick_clips(trained: LoadedModel, manifest: str | Path | None) -> Clips:
    """Up to ``CLIPS`` recordings, spread over a manifest; without one, noise.

    Raises:
        ManifestError: the manifest has no usable utterance.
    """
    if manifest is None:
        noise = _alone(trained.model)
        return Clips("noise", noise, [None] * len(noise))
    rows = read_manifest(Path(manifest))
    chosen = rows.utterances[:: max(1, -(-len(rows.utterances) // CLIPS))]
    if not chosen:
        raise ManifestError(f"{manifest}: no utterance; some recordings to compare on are wanted")
    samples = [_read(rows, one) for one in chosen]
    truth = [_merged(trained.labels, one.emotion) for one in chosen]
    return Clips(rows.header.corpus, samples, truth)


def measure_drift(fp32: Graph, int8: Graph, trained: LoadedModel, clips: Clips) -> Drift:
    """How the scores and answers of int8 differ from those of fp32."""
    fewest = trained.model.backbone.fewest_samples
    heat = trained.model.config.temperature
    scores = [
        softmax(np.stack([graph.recognize(one, fewest).emotions for one in clips.samples]) / heat)
        for graph in (fp32, int8)
    ]  # each (batch, emotion)
    away = np.abs(scores[0] - scores[1])
    answers = [found.argmax(axis=1) for found in scores]
    accuracies = [_accuracy(found, clips.truth, trained.labels) for found in answers]
    return Drift(
        audio=clips.audio,
        clips=len(clips.samples),
        largest=float(away.max()),
        mean=float(away.mean()),
        changed=float((answers[0] != answers[1]).mean()),
        ua_fp32=accuracies[0],
        ua_int8=accuracies[1],
    )


def _check_near(what: str, largest: float) -> None:
    if not largest <= MOST:  # NaN is not
        raise ModelError(
            f"the exported {what} differs from torch by {largest:.1e}, at most {MOST:g} is "
            f"right; torch {torch.__version__} exports it wrongly, try another version"
        )


def _alone(model: PhonemoForAudioClassification) -> list[Samples]:
    """Clips of the lengths where a trace goes wrong: shorter than a frame, a frame, odd, long."""
    backbone = model.backbone
    fewest, hop = backbone.fewest_samples, backbone.grid.hop_samples
    lengths = [min(FRAME_SAMPLES, fewest), fewest, fewest + 1, fewest + hop - 1, fewest + hop]
    lengths += [2 * fewest + 7, 25 * hop + fewest // 2, 50 * hop, 150 * hop + 3, 350 * hop + 77]
    lengths.append(1500 * hop)  # a whole window, at the usual 20 ms
    return [*(_noise(length) for length in lengths), np.zeros(50 * hop, np.float32)]


def _together(model: PhonemoForAudioClassification) -> list[Samples]:
    fewest, hop = model.backbone.fewest_samples, model.backbone.grid.hop_samples
    lengths = (fewest + 50 * hop + 1, fewest, fewest + 100 * hop, fewest // 2 + 1)
    return [_noise(length) for length in lengths]


def _noise(length: int) -> Samples:
    """Noise that swells four times a second, as speech does."""
    swell = 0.02 + 0.1 * np.sin(4 * np.pi * np.arange(length) / RATE) ** 2
    noise = np.random.default_rng(length).normal(size=length)
    return (noise * swell).astype(np.float32)


def _difference(
    model: PhonemoForAudioClassification, graph: Graph, clips: Sequence[Samples]
) -> float:
    samples = np.array([len(clip) for clip in clips], dtype=np.int64)
    size = max(int(samples.max()), model.backbone.fewest_samples)
    waveform = np.full((len(clips), size), np.nan, dtype=np.float32)  # padding may hold anything
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    affine = _random_map(model)
    found = graph.run(waveform, samples, affine)
    wanted = _by_torch(model, waveform, samples, affine)
    if not np.array_equal(found["frames"], wanted["frames"]):
        raise ModelError(
            f"clips of {samples.tolist()} samples have {found['frames'].tolist()} frames in the "
            f"exported network and {wanted['frames'].tolist()} in torch; try another torch"
        )
    return max(_largest(name, found[name], wanted) for name in wanted if name != "frames")


def _random_map(model: PhonemoForAudioClassification) -> Affine:
    features = model.vector_features
    draws = np.random.default_rng(features)
    return Affine(draws.uniform(0.5, 1.5, features), draws.normal(0, 0.1, features))


def _mapped_logits(model: PhonemoForAudioClassification, vector: Tensor, affine: Affine) -> Tensor:
    scale, shift = (torch.from_numpy(part).float() for part in affine)
    with torch.inference_mode():
        logits: Tensor = model.head(vector * scale + shift)
    return logits


def _by_torch(
    model: PhonemoForAudioClassification,
    waveform: Samples,
    samples: npt.NDArray[np.int64],
    affine: Affine,
) -> dict[str, Any]:
    lengths = torch.from_numpy(samples)
    with torch.inference_mode():
        mask = mask_of(lengths, waveform.shape[1])
        output = model(torch.from_numpy(waveform), mask, calibrated=False)
    named: dict[str, Tensor | None] = {
        "emotion_logits": _mapped_logits(model, output.vector, affine),
        "frames": output.frames,
        "frame_weights": output.frame_weights,
        FEATURES: output.features,
        VECTOR: output.vector,
        PHONEMES: output.phoneme_logits,
    }
    return {name: value.numpy() for name, value in named.items() if value is not None}


def _largest(name: str, found: Any, wanted: dict[str, Any]) -> float:
    """Largest difference of one output, frames of padding left out; NaN where either is NaN."""
    away = np.abs(found - wanted[name])
    if name not in ("emotion_logits", VECTOR):
        valid = np.arange(away.shape[1])[None] < wanted["frames"][:, None]  # (batch, frame)
        away = away[valid]
    return float(away.max())


def _read(manifest: Manifest, one: Utterance) -> Samples:
    waveform = load_waveform(manifest.audio_path(one), start=one.start, end=one.end)
    return waveform.samples[: round(WHOLE_SECONDS * RATE)]


def _merged(labels: LabelSet, emotion: str | None) -> str | None:
    return labels.merged(emotion) if emotion is not None and emotion in labels else None


def _accuracy(
    answers: npt.NDArray[np.int64], truth: Sequence[str | None], labels: LabelSet
) -> float | None:
    known = [number for number, name in enumerate(truth) if name is not None]
    if not known:
        return None
    wanted = [labels.index(str(truth[number])) for number in known]
    return score_emotions(wanted, answers[known], len(labels)).ua
