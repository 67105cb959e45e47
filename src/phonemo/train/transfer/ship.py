"""The head that is shipped: picked by leaving each corpus out, fitted on all of them.

A head that is fitted on all corpora, put into a network: the model folder that ships.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from phonemo.audio import RATE
from phonemo.errors import ConfigError, ModelError, UsageError
from phonemo.files import folder_lock
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.calibrate import store_calibration
from phonemo.train.callbacks import RunProgress
from phonemo.train.export.shared_network import with_linear_head
from phonemo.train.linear_head import keep_head
from phonemo.train.model_folder import LoadedModel, load_trained, save_trained
from phonemo.train.provenance import provenance_from, provenance_of
from phonemo.train.transfer.cell import calibrating, pick
from phonemo.train.transfer.corpora import Corpus, read_corpora
from phonemo.train.transfer.selection import Choice, NestedLogits, Picked, nested_calibration
from phonemo.train.transfer.study import Cell, Study, StudyBench
from phonemo.train.transfer.study_config import TransferConfig
from phonemo.train.transfer.testing import Condition, test_logits
from phonemo.train.transfer.vectors import FrozenNetwork


@dataclass(frozen=True, eq=False)
class Final:
    """What a system is when no corpus is left out.

    Attributes:
        head: on the vectors ``picked.choice.columns`` of the network, standardised by itself.
        picked: the combination, and temperature and threshold from answers on corpora that were
            left out: ``single`` for recordings by themselves, ``adapted`` for adapted ones.
        network: whose vectors they are.
        teachers: what it has learnt from.
        labels: the study's.
    """

    head: Reference
    picked: Picked
    network: FrozenNetwork
    teachers: tuple[Corpus, ...]
    labels: LabelSet


def fit_all(
    config: TransferConfig,
    system: str,
    seed: int | None = None,
    command: str = "",
    progress: RunProgress | None = None,
) -> Final:
    """Fit a system of a study on all of its corpora; what was computed before is used again.

    No score belongs to it: ``transfer`` tests the recipe, with corpora left out.

    Args:
        config: the study.
        system: its name.
        seed: one of the study's; None takes the first.
        command: what was typed, for trainings.
        progress: shows what is computed.

    Raises:
        PhonemoError: of any kind.
    """
    if system not in config.systems:
        raise UsageError(f"no system {system!r}; expected one of {', '.join(config.systems)}")
    labels = LabelSet(config.labels.names, config.labels.merge)
    bench = StudyBench(config, command, progress or RunProgress())
    study = Study(config, read_corpora(config, labels), labels, bench)
    cell = Cell(system, None, config.seeds[0] if seed is None else seed)
    with folder_lock(Path(config.output)):
        torch.set_num_threads(config.threads)
        picked, _ = pick(study, cell)
        teaching = study.teaching()
        network = bench.network(cell.config(study), picked.choice, teaching, cell.seed)
        head = study.head(network, picked.choice, teaching)
        if picked.score is None:
            picked = _calibrated(study, picked, head, network)
        return Final(head, picked, network, tuple(teaching), labels)


def _calibrated(study: Study, picked: Picked, head: Reference, network: FrozenNetwork) -> Picked:
    """How sure a head is that had nothing to be picked by: on corpora that are only tested."""
    config, taught = study.config, (head.weight != 0).any(axis=1)
    teachers = {one.name for one in study.teaching()}
    conditions = {"single": Condition("single"), "adapted": calibrating(config)}
    inner: dict[str, dict[str, NestedLogits]] = {}
    for name in config.calibrate_by or ():
        if name not in teachers:
            source = study.source(study.rows(network, picked.choice, name), name, config.seeds[0])
            inner[name] = {
                one.name: NestedLogits(
                    source.rows.truth, tuple(test_logits(head, source, one)), taught
                )
                for one in conditions.values()
            }
    sure = {key: nested_calibration(inner, one, config.risk) for key, one in conditions.items()}
    return replace(picked, single=sure["single"], adapted=sure["adapted"])


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
    store_calibration(model, final.picked.single)
    _check_vectors(model, final)
    taught = provenance_of(network)
    for corpus in final.teachers:
        taught = taught | provenance_from(
            corpus.name, [corpus.utterances[place] for place in corpus.chosen(labels)]
        )
    save_trained(Path(target), model, labels, lineage=taught, dtype=torch.float16)
    return Path(target)


def _with_head(
    start: LoadedModel, choice: Choice, labels: LabelSet
) -> PhonemoForAudioClassification:
    if choice.pooled:
        raise ConfigError("expected statistics of hidden states alone, got pooled=true")
    return with_linear_head(
        start.model,
        labels.names,
        statistics=choice.statistics,
        frames=choice.frames,
        moments=choice.moments,
        pooled=False,
        pooling="mean",
    )


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
