"""A head that is fitted on all corpora, put into a network: the model folder that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phonemo.audio import RATE
from phonemo.errors import ConfigError, ModelError
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.train.adapting import keep_head
from phonemo.train.calibrating import keep
from phonemo.train.folder import Trained, load_trained, save_trained
from phonemo.train.lineage import lineage_of, taught_by
from phonemo.train.transfer.choices import Choice
from phonemo.train.transfer.final import Final

#: The largest difference of a vector from the study's, as a share of its largest feature.
_MOST = 1e-4


def ship(final: Final, network: str | Path, target: str | Path) -> Path:
    """Write a model folder: a network as it is, with the head of a study.

    Args:
        final: the head, and how sure it is of single recordings.
        network: a model folder whose layers below the head are those of the study's network; its
            fusion and phoneme head are taken over, its emotion head is not.
        target: the folder to write.

    Raises:
        ModelError: the network's vectors are not those that the head was fitted on.
        CheckpointError: the network cannot be opened, or the target is there already.
        ConfigError: a head on a pooled fusion.
    """
    start = load_trained(network)
    labels = final.labels
    model = _with_head(start, final.picked.choice, labels)
    keep_head(model, final.head)
    keep(model, final.picked.single)
    _check_vectors(model, final)
    taught = lineage_of(network)
    for corpus in final.teachers:
        taught = taught | taught_by(
            corpus.name, [corpus.utterances[place] for place in corpus.chosen(labels)]
        )
    save_trained(Path(target), model, labels, lineage=taught, dtype=torch.float16)
    return Path(target)


def _with_head(start: Trained, choice: Choice, labels: LabelSet) -> PhonemoForAudioClassification:
    """The network with a fresh linear head over what a choice reads."""
    if choice.pooled:
        raise ConfigError("expected statistics of hidden states alone, got pooled=true")
    facts = start.model.config.to_dict() | {
        "statistics": choice.statistics,
        "frames": choice.frames,
        "moments": choice.moments,
        "pooled": False,
        "head": "linear",
        "pooling": "mean",
        "adaptation": None,
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: index for index, name in enumerate(labels.names)},
    }
    model = PhonemoForAudioClassification(PhonemoConfig(**facts))
    theirs = start.model.state_dict()
    own = model.state_dict()
    fresh = [name for name in own if name.startswith("head.")]
    taken: dict[str, Tensor] = {name: theirs[name] for name in own if name not in fresh}
    model.load_state_dict(taken | {name: own[name] for name in fresh})
    model.eval()
    return model


@torch.inference_mode()
def _check_vectors(model: PhonemoForAudioClassification, final: Final) -> None:
    """Noise with a pause in it, through the model and through the study's network."""
    random = np.random.default_rng(1)
    samples = random.normal(0, 0.1, 3 * RATE).astype(np.float32)
    samples[RATE : 2 * RATE] *= 1e-4
    columns = final.picked.choice.columns
    parts = final.network.vectors(samples, columns)
    expected = np.concatenate([parts[name] for name in columns])
    found = model(torch.from_numpy(samples)[None]).vector[0].numpy()
    if (
        found.shape != expected.shape
        or np.abs(found - expected).max() > _MOST * np.abs(expected).max()
    ):
        raise ModelError(
            "expected a network whose lower layers are those of the study's, got other vectors; "
            f"train it with the layers below frozen, from {final.network.name}"
        )
