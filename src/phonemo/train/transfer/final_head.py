"""Model folders to ship: a head picked by leave-one-corpus-out and fitted on all corpora."""

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
from phonemo.train.heads.linear_head import keep_head
from phonemo.train.model_folder import LoadedModel, load_trained, save_trained
from phonemo.train.provenance import provenance_from, provenance_of
from phonemo.train.transfer.corpora import Corpus, read_corpora
from phonemo.train.transfer.selection import Choice, NestedLogits, Picked, nested_calibration
from phonemo.train.transfer.study import Cell, Study, StudyBench
from phonemo.train.transfer.study_cell import calibrating, pick
from phonemo.train.transfer.study_config import TransferConfig
from phonemo.train.transfer.testing import Condition, test_logits
from phonemo.train.transfer.vectors import FrozenNetwork


@dataclass(frozen=True, eq=False)
class Final:
    """A system fitted without leaving a corpus out.

    Attributes:
        head: on the network's vectors ``picked.choice.columns``, which it standardizes.
        picked: the combination, with temperature and threshold from left-out corpora: ``single``
            for single recordings, ``adapted`` for adapted ones.
        network: computes the vectors.
        teachers: the training corpora.
        labels: the study's labels.
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
    """Fit a study's system on all of its corpora, with the study's caches.

    It has no score: ``transfer`` tests the same procedure with corpora left out.

    Args:
        config: the study's config.
        system: the system's name.
        seed: one of the study's seeds; None is the first.
        command: the command line, for trainings.
        progress: receives progress.

    Raises:
        PhonemoError: of any kind.
    """
    if system not in config.systems:
        raise UsageError(f"expected a system among {', '.join(config.systems)}, got {system!r}")
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
    """Calibrate a head without nested tests, on corpora that are not trained on."""
    config, taught = study.config, (head.weight != 0).any(axis=1)
    teachers = {corpus.name for corpus in study.teaching()}
    conditions = {"single": Condition("single"), "adapted": calibrating(config)}
    inner: dict[str, dict[str, NestedLogits]] = {}
    for name in config.calibrate_by or ():
        if name not in teachers:
            source = study.source(study.rows(network, picked.choice, name), name, config.seeds[0])
            inner[name] = {
                condition.name: NestedLogits(
                    source.rows.truth, tuple(test_logits(head, source, condition)), taught
                )
                for condition in conditions.values()
            }
    calibrations = {
        key: nested_calibration(inner, condition, config.risk)
        for key, condition in conditions.items()
    }
    return replace(picked, single=calibrations["single"], adapted=calibrations["adapted"])


#: Largest difference of a vector from the study's, relative to its largest feature.
_MOST = 1e-4


def ship(final: Final, network: str | Path, target: str | Path) -> Path:
    """Write a model folder with a network and the head of a study.

    Args:
        final: the head and its calibration.
        network: a model folder whose layers below the head equal those of the study's network; its
            fusion and phoneme head are kept, its emotion head is replaced.
        target: the folder to write.

    Raises:
        ModelError: the network's vectors differ from those the head was fitted on.
        CheckpointError: the network cannot be opened, or the target exists.
        ConfigError: the head reads the pooled fusion.
    """
    start = load_trained(network)
    labels = final.labels
    model = _with_head(start, final.picked.choice, labels)
    keep_head(model, final.head)
    store_calibration(model, final.picked.single)
    _check_vectors(model, final)
    lineage = provenance_of(network)
    for corpus in final.teachers:
        lineage = lineage | provenance_from(
            corpus.name, [corpus.utterances[index] for index in corpus.chosen(labels)]
        )
    save_trained(Path(target), model, labels, lineage=lineage, dtype=torch.float16)
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
    """Compare the vectors of model and study's network on noise with a pause."""
    random = np.random.default_rng(1)
    samples = random.normal(0, 0.1, 3 * RATE).astype(np.float32)
    samples[RATE : 2 * RATE] *= 1e-4
    columns = final.picked.choice.columns
    parts = final.network.vectors(samples, columns)
    expected = np.concatenate([parts[name] for name in columns])
    vector = model(torch.from_numpy(samples)[None]).vector[0].numpy()
    if (
        vector.shape != expected.shape
        or np.abs(vector - expected).max() > _MOST * np.abs(expected).max()
    ):
        raise ModelError(
            "expected a network whose lower layers are those of the study's, got other vectors; "
            f"train it with the layers below frozen, from {final.network.name}"
        )
