"""Linear probes: how well each layer of a frozen network predicts emotion.

Backbones are compared this way before training: the mean and standard deviation over a layer's
frames are standardized and classified by logistic regression. Nothing is selected: the classifier
is also fitted on each fold's validation part, and every layer is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phonemo.config import ProtocolConfig
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.recordings import load_utterance
from phonemo.evaluation import metrics
from phonemo.model.backbone import Backbone
from phonemo.model.pretrained import load_backbone
from phonemo.train.experiments.baselines.crossvalidation import (
    FoldTask,
    Rows,
    cross_val_predict,
    make_task,
    select_utterances,
)
from phonemo.train.heads.linear_head import fitted
from phonemo.train.pretrain.distil import at_level
from phonemo.train.pretrain.teacher import Teacher, has_model, load_teacher

#: Inverse penalty of the logistic regression; fixed, so that nothing is tuned.
STRENGTH = 0.01
#: Level to which clips are scaled for a Whisper encoder, as in pretraining.
_LEVEL = 0.08

Features = NDArray[np.float32]
States = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class ProbeScore:
    """Scores of the classifier on one hidden state, folds pooled."""

    layer: int
    """0 is the input of the Transformer."""
    ua: float
    wa: float


def probe(
    network: str,
    manifest_path: str | Path,
    protocol: ProtocolConfig,
    names: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[ProbeScore]:
    """Score every hidden state of a frozen network.

    Args:
        network: a backbone or a phonemo model, or a folder with a CTranslate2 Whisper model.
        manifest_path: the data.
        protocol: the split protocol.
        names: the emotions to classify; empty means all of the manifest's.
        progress: called with (done, total) utterances.

    Raises:
        PhonemoError: the network or the data cannot be used.
    """
    manifest = read_manifest(manifest_path)
    rows = select_utterances(manifest, names, protocol)
    task = make_task(manifest, rows, protocol, progress)
    states = _load_states(network)
    features = _features(states, manifest, rows, progress)  # (utterance, layer, feature)
    return [_score(layer, features[:, layer], task) for layer in range(features.shape[1])]


def _load_states(network: str) -> States:
    if has_model(Path(network)):
        return _teacher_states(load_teacher(network))
    return _backbone_states(Backbone(*load_backbone(network)).eval())


def _teacher_states(teacher: Teacher) -> States:
    return lambda waveform: teacher(at_level(waveform, _LEVEL))


def _backbone_states(backbone: Backbone) -> States:
    def states(waveform: Tensor) -> list[Tensor]:
        samples = torch.tensor([waveform.shape[1]])
        projected = backbone.project(backbone.convolve(waveform, samples))
        mask = torch.ones(projected.shape[:2], dtype=torch.bool)
        outputs = backbone.run(backbone.embed(projected, mask), mask, 0, range(backbone.depth + 1))
        return [outputs[layer] for layer in sorted(outputs)]

    return states


@torch.inference_mode()
def _features(
    states: States,
    manifest: Manifest,
    utterances: Sequence[Utterance],
    progress: Callable[[int, int], None] | None,
) -> Features:
    rows = []
    for number, utterance in enumerate(utterances, start=1):
        audio = load_utterance(manifest, utterance)
        hidden = states(torch.from_numpy(np.array(audio.samples))[None])
        pooled = [torch.cat([state[0].mean(0), state[0].std(0, correction=0)]) for state in hidden]
        rows.append(torch.stack(pooled).numpy())
        if progress is not None:
            progress(number, len(utterances))
    return np.stack(rows)


def _score(layer: int, features: Features, task: FoldTask) -> ProbeScore:
    def learner(train: Rows, test: Rows) -> NDArray[np.int64]:
        classifier = fitted(features[train], task.truth[train], STRENGTH)
        predicted: NDArray[np.int64] = classifier.predict(features[test])
        return predicted

    predictions = cross_val_predict(task, learner)
    scores = metrics.score_emotions(predictions.truth, predictions.given, len(task.labels))
    return ProbeScore(layer, scores.ua, scores.wa)
