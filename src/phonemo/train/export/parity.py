"""Numerical differences between an exported and the trained network, and int8 and fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.audio import FRAME_SAMPLES, RATE
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import ManifestError, ModelError
from phonemo.evaluation.calibration import softmax
from phonemo.evaluation.metrics import score_emotions
from phonemo.labels import LabelSet
from phonemo.model.masks import mask_of
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation.statistics import Affine
from phonemo.runtime.bundle import Drift, Parity
from phonemo.runtime.session import DIMENSIONS_OUTPUT, FEATURES, PHONEMES, VECTOR, Graph, Head
from phonemo.runtime.windows import WHOLE_SECONDS
from phonemo.train.model_folder import LoadedModel

#: Largest allowed difference of a logit or frame weight in an fp32 export.
MOST = 1e-3
#: Recordings on which int8 is compared with fp32.
CLIPS = 200

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clips:
    """Recordings to compare on, with their emotions if known."""

    audio: str
    samples: list[Samples]
    truth: list[str | None]


def check_parity(model: PhonemoForAudioClassification, graph: Graph) -> Parity:
    """Compare a graph with its network on short, odd and long clips, and on a padded batch.

    The emotion head's input is mapped at random, as by a profile.

    Args:
        model: in evaluation mode.
        graph: its fp32 export.

    Raises:
        ModelError: frames differ, or a logit or frame weight by more than ``MOST``.
    """
    batches = [[clip] for clip in _single_clips(model)] + [_batch_clips(model)]
    differences = [_difference(model, graph, batch) for batch in batches]
    largest = max(differences)
    _check_difference("network", largest)
    return Parity(clips=sum(len(batch) for batch in batches), difference=largest)


def check_head(model: PhonemoForAudioClassification, graph: Graph, head: Head) -> None:
    """Compare an exported head with its network, with some frames left out.

    Args:
        model: in evaluation mode.
        graph: the network's fp32 export.
        head: the exported head.

    Raises:
        ModelError: a logit differs by more than ``MOST``.
    """
    hop = model.backbone.grid.hop_samples
    for frames in (1, 7, 60):
        frame_features = graph.recognize(
            _noise(model.backbone.grid.fewest_samples(frames)), hop
        ).features
        assert frame_features is not None
        kept = np.ones((4, len(frame_features)), dtype=np.bool_)
        kept[1, 1::3] = kept[2, :-1] = False
        affine = _random_map(model)
        logits = head.logits(frame_features, kept, affine)
        features = torch.from_numpy(frame_features)[None].expand(len(kept), -1, -1)
        keep = torch.from_numpy(kept)
        with torch.inference_mode():
            _, pooled = model.classify_frames(features, torch.ones_like(keep), keep)
        expected = _mapped_logits(model, pooled.vector, affine)
        _check_difference("head", float(np.abs(logits - expected.numpy()).max()))


def pick_clips(trained: LoadedModel, manifest: str | Path | None) -> Clips:
    """Pick up to ``CLIPS`` recordings spread over a manifest; without one, noise.

    Raises:
        ManifestError: the manifest has no usable utterance.
    """
    if manifest is None:
        noise = _single_clips(trained.model)
        return Clips("noise", noise, [None] * len(noise))
    recordings = read_manifest(Path(manifest))
    utterances = recordings.utterances[:: max(1, -(-len(recordings.utterances) // CLIPS))]
    if not utterances:
        raise ManifestError(
            f"{manifest}: expected recordings to compare on, got none; name another manifest"
        )
    samples = [_read(recordings, utterance) for utterance in utterances]
    truth = [_merged(trained.labels, utterance.emotion) for utterance in utterances]
    return Clips(recordings.header.corpus, samples, truth)


def measure_drift(fp32: Graph, int8: Graph, trained: LoadedModel, clips: Clips) -> Drift:
    """Measure how int8 scores and predictions differ from fp32."""
    fewest = trained.model.backbone.fewest_samples
    temperature = trained.model.config.temperature
    scores = [
        softmax(
            np.stack([graph.recognize(clip, fewest).emotions for clip in clips.samples])
            / temperature
        )
        for graph in (fp32, int8)
    ]  # each (batch, emotion)
    differences = np.abs(scores[0] - scores[1])
    answers = [table.argmax(axis=1) for table in scores]
    accuracies = [_accuracy(indices, clips.truth, trained.labels) for indices in answers]
    return Drift(
        audio=clips.audio,
        clips=len(clips.samples),
        largest=float(differences.max()),
        mean=float(differences.mean()),
        changed=float((answers[0] != answers[1]).mean()),
        ua_fp32=accuracies[0],
        ua_int8=accuracies[1],
    )


def _check_difference(what: str, largest: float) -> None:
    if not largest <= MOST:  # NaN is not
        raise ModelError(
            f"the exported {what} differs from torch by {largest:.1e}, expected at most {MOST:g}; "
            f"try another version than torch {torch.__version__}"
        )


def _single_clips(model: PhonemoForAudioClassification) -> list[Samples]:
    """Return clips of lengths that break a trace: shorter than a frame, a frame, odd, long."""
    backbone = model.backbone
    fewest, hop = backbone.fewest_samples, backbone.grid.hop_samples
    lengths = [min(FRAME_SAMPLES, fewest), fewest, fewest + 1, fewest + hop - 1, fewest + hop]
    lengths += [2 * fewest + 7, 25 * hop + fewest // 2, 50 * hop, 150 * hop + 3, 350 * hop + 77]
    lengths.append(1500 * hop)  # a full window, at a hop of 20 ms
    return [*(_noise(length) for length in lengths), np.zeros(50 * hop, np.float32)]


def _batch_clips(model: PhonemoForAudioClassification) -> list[Samples]:
    fewest, hop = model.backbone.fewest_samples, model.backbone.grid.hop_samples
    lengths = (fewest + 50 * hop + 1, fewest, fewest + 100 * hop, fewest // 2 + 1)
    return [_noise(length) for length in lengths]


def _noise(length: int) -> Samples:
    """Return noise with four bursts a second, like speech."""
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
    outputs = graph.run(waveform, samples, affine)
    expected = _torch_outputs(model, waveform, samples, affine)
    if not np.array_equal(outputs["frames"], expected["frames"]):
        raise ModelError(
            f"expected {expected['frames'].tolist()} frames for clips of {samples.tolist()} "
            f"samples, as in torch, got {outputs['frames'].tolist()} from the export; try another "
            "torch version"
        )
    return max(
        _largest_difference(name, outputs[name], expected) for name in expected if name != "frames"
    )


def _random_map(model: PhonemoForAudioClassification) -> Affine:
    features = model.vector_features
    draws = np.random.default_rng(features)
    return Affine(draws.uniform(0.5, 1.5, features), draws.normal(0, 0.1, features))


def _mapped_logits(model: PhonemoForAudioClassification, vector: Tensor, affine: Affine) -> Tensor:
    scale, shift = (torch.from_numpy(part).float() for part in affine)
    with torch.inference_mode():
        logits: Tensor = model.head(vector * scale + shift)
    return logits


def _torch_outputs(
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
        DIMENSIONS_OUTPUT: output.dimensions,
    }
    return {name: value.numpy() for name, value in named.items() if value is not None}


def _largest_difference(name: str, values: Any, expected: dict[str, Any]) -> float:
    """Return one output's largest difference without padding frames; NaN if any is NaN."""
    differences = np.abs(values - expected[name])
    if name not in ("emotion_logits", VECTOR, DIMENSIONS_OUTPUT):
        valid = (
            np.arange(differences.shape[1])[None] < expected["frames"][:, None]
        )  # (batch, frame)
        differences = differences[valid]
    return float(differences.max())


def _read(manifest: Manifest, utterance: Utterance) -> Samples:
    waveform = load_utterance(manifest, utterance)
    return waveform.samples[: round(WHOLE_SECONDS * RATE)]


def _merged(labels: LabelSet, emotion: str | None) -> str | None:
    return labels.merged(emotion) if emotion is not None and emotion in labels else None


def _accuracy(
    answers: npt.NDArray[np.int64], truth: Sequence[str | None], labels: LabelSet
) -> float | None:
    known = [index for index, name in enumerate(truth) if name is not None]
    if not known:
        return None
    expected = [labels.index(str(truth[index])) for index in known]
    return score_emotions(expected, answers[known], len(labels)).ua
