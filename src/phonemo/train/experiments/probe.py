"""What a frozen network knows of emotion: one layer, pooled over time, and a linear classifier.

The measure by which backbones are compared before anything is trained on top of them: mean and
standard deviation over the frames of one layer, standardised, then a logistic regression. Nothing
is selected: each fold's validation part is learnt from too, and every layer is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phonemo.audio import load_waveform
from phonemo.config import ProtocolConfig
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.evaluation import metrics
from phonemo.model.backbone import Backbone
from phonemo.model.pretrained import load_backbone
from phonemo.train.experiments.crossvalidation import (
    FoldTask,
    Rows,
    cross_val_predict,
    make_task,
    select_utterances,
)
from phonemo.train.linear_head import fitted
from phonemo.train.pretrain.distil import at_level
from phonemo.train.pretrain.teacher import Teacher, has_model, load_teacher

#: Inverse strength of the logistic regression's penalty; fixed, so that nothing is tuned.
STRENGTH = 0.01
#: Level at which a Whisper encoder hears every clip, as the student of the pretraining does.
_LEVEL = 0.08

Features = NDArray[np.float32]
States = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class ProbeScore:
    """What the classifier on one hidden state scored, folds pooled."""

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
        protocol: how it is divided.
        names: the emotions to tell apart; none means all of the manifest.
        progress: told (done, total) utterances.

    Raises:
        PhonemoError: of any kind, in one line.
    """
    manifest = read_manifest(manifest_path)
    rows = select_utterances(manifest, names, protocol)
    task = make_task(manifest, rows, protocol)
    states = _states_of(network)
    features = _features(states, manifest, rows, progress)  # (utterance, layer, feature)
    return [_score(layer, features[:, layer], task) for layer in range(features.shape[1])]


def _states_of(network: str) -> States:
    if has_model(Path(network)):
        return _of_teacher(load_teacher(network))
    return _of_backbone(Backbone(*load_backbone(network)).eval())


def _of_teacher(teacher: Teacher) -> States:
    return lambda waveform: teacher(at_level(waveform, _LEVEL))


def _of_backbone(backbone: Backbone) -> States:
    def states(waveform: Tensor) -> list[Tensor]:
        samples = torch.tensor([waveform.shape[1]])
        projected = backbone.project(backbone.convolve(waveform, samples))
        mask = torch.ones(projected.shape[:2], dtype=torch.bool)
        found = backbone.run(backbone.embed(projected, mask), mask, 0, range(backbone.depth + 1))
        return [found[number] for number in sorted(found)]

    return states


@torch.inference_mode()
def _features(
    states: States,
    manifest: Manifest,
    utterances: Sequence[Utterance],
    progress: Callable[[int, int], None] | None,
) -> Features:
    rows = []
    for number, one in enumerate(utterances, start=1):
        audio = load_waveform(manifest.audio_path(one), start=one.start, end=one.end)
        found = states(torch.from_numpy(np.array(audio.samples))[None])
        pooled = [torch.cat([state[0].mean(0), state[0].std(0, correction=0)]) for state in found]
        rows.append(torch.stack(pooled).numpy())
        if progress is not None:
            progress(number, len(utterances))
    return np.stack(rows)


def _score(layer: int, features: Features, task: FoldTask) -> ProbeScore:
    def learner(learn: Rows, test: Rows) -> NDArray[np.int64]:
        found: NDArray[np.int64] = fitted(features[learn], task.truth[learn], STRENGTH).predict(
            features[test]
        )
        return found

    heard = cross_val_predict(task, learner)
    found = metrics.score_emotions(heard.truth, heard.given, len(task.labels))
    return ProbeScore(layer, found.ua, found.wa)
