"""One fold with one seed: what is trained in it, and the files that say what came out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import TrainerCallback, TrainerState

from phonemo.config import RunConfig
from phonemo.corpora.folds import Fold
from phonemo.evaluation.calibration import UNCALIBRATED, TemperatureScaling
from phonemo.files import CHECKSUMS, sha256_of, write_json, write_rows
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.model.pretrained import build_network
from phonemo.train import distributed
from phonemo.train.calibrate import calibrate_validation, store_calibration
from phonemo.train.callbacks import (
    TENSORBOARD,
    JsonLines,
    RunProgress,
    Steps,
    Tracking,
    tensorboard,
    tracked,
    trackers_of,
)
from phonemo.train.dataset import AugmentationSeed, SpeechDataset
from phonemo.train.evaluate import Outputs, outputs_of, phoneme_scores, prediction_rows
from phonemo.train.experiments.experiment_data import Experiment
from phonemo.train.experiments.run_folder import FoldSeed, fold_metrics, write_fold_plots
from phonemo.train.feature_cache import FeatureCache, backbone_digest, build_cache
from phonemo.train.freezing import frozen_depth, load_matching_weights
from phonemo.train.head_from_start import fit_from_start
from phonemo.train.head_prior import prior_of
from phonemo.train.linear_head import fit_head
from phonemo.train.model_folder import load_trained, save_trained
from phonemo.train.provenance import Provenance, ancestors, provenance_from
from phonemo.train.trainer import PhonemoTrainer, objective_of

#: Beside the predictions of a cell, a vector for each, (utterance, feature) in half precision.
VECTORS = "vectors.npy"
#: Beside the model of a cell that was fitted from a start: what was done.
PRIOR = "prior.json"
#: A map of more points shows nothing more.
_MOST_VECTORS = 4000


class TrainableSystem(Protocol):
    """Something that can be trained and tested on a cell."""

    def inputs(self) -> dict[str, str]:
        """SHA-256 of what the config only names, beside the manifest."""

    def train(self, cell: FoldSeed) -> None:
        """Train and test a cell and write its folder, metrics.json last."""


class NeuralSystem:
    """phonemo's own: backbone, fusion, emotion head and, where asked for, phoneme head."""

    def __init__(self, experiment: Experiment, progress: RunProgress) -> None:
        trackers_of(experiment.config)  # one that is not installed is told before anything is done
        self.experiment = experiment
        self.progress = progress

    @cached_property
    def _first(self) -> PhonemoForAudioClassification:
        """Untrained; what stays frozen is the same in every cell."""
        return _network(self.experiment, self.experiment.config.seeds[0])

    @cached_property
    def _cache(self) -> FeatureCache | None:
        return _features(self.experiment, self._first, self.progress)

    def inputs(self) -> dict[str, str]:
        """Of the backbone's weights and of the model that the training starts from."""
        config = self.experiment.config
        found = {"backbone": backbone_digest(self._first)}
        if config.model.start is not None:
            found["start"] = sha256_of(Path(config.model.start) / CHECKSUMS)
        return found

    def train(self, cell: FoldSeed) -> None:
        """The kept features first, if the config wants them and they are not there yet."""
        _train_cell(self.experiment, cell, self._cache, self.progress)

    def train_untested(self, cell: FoldSeed) -> None:
        """The same without a test: for a model that learns from everybody."""
        _trained(self.experiment, cell, self._cache, self.progress)


def _network(experiment: Experiment, seed: int) -> PhonemoForAudioClassification:
    config = experiment.config
    torch.manual_seed(seed)
    inventory = experiment.targets.inventory
    rank = config.train.lora_rank if config.train.strategy == "lora" else None
    symbols = None if inventory is None else inventory.to_json()
    labels = experiment.targets.labels
    network = build_network(config.model, labels, symbols, rank)
    if config.model.start is not None:
        load_matching_weights(network, labels, inventory, load_trained(config.model.start))
    return network


def _features(
    experiment: Experiment, model: PhonemoForAudioClassification, progress: RunProgress
) -> FeatureCache | None:
    config = experiment.config
    if not config.train.cache or config.train.augment.changes_audio:
        return None
    where = frozen_depth(model, config.train)
    if where is None:
        return None
    return build_cache(
        Path(config.output).parent / "cache",
        model,
        experiment.manifest,
        [*experiment.utterances.values(), *experiment.extras.utterances],
        where,
        progress.features,
    )


def _train_cell(
    experiment: Experiment, cell: FoldSeed, cache: FeatureCache | None, progress: RunProgress
) -> None:
    config = experiment.config
    named = f"{cell.fold.name} seed {cell.seed}"
    names = trackers_of(config) if distributed.current_rank().first else []
    with tracked(names, config, named) as tracking:
        _train_and_test(experiment, cell, cache, progress, tracking)


def _train_and_test(
    experiment: Experiment,
    cell: FoldSeed,
    cache: FeatureCache | None,
    progress: RunProgress,
    tracking: Tracking,
) -> None:
    config, began = experiment.config, time.perf_counter()
    labels, inventory = experiment.targets.labels, experiment.targets.inventory
    model, state, calibrated, test = _trained(experiment, cell, cache, progress, tracking)
    found = outputs_of(model, test, config.train.batch_size)
    extra = _extra_phonemes(experiment, model, cache)

    def write() -> None:
        name, seed = cell.fold.name, cell.seed
        rows = prediction_rows(found, test, labels, inventory, name, seed, calibrated)
        write_rows(cell.folder / "predictions.jsonl", rows)
        write_vectors(cell.folder / VECTORS, found)
        seconds = time.perf_counter() - began
        metrics = fold_metrics(cell, rows, labels, state, extra, seconds)
        found_here = metrics["results"]
        scores = {f"test_{name}": found_here[name]["mean"] for name in ("ua", "wa", "macro_f1")}
        tracking.log(scores, state.global_step)
        write_json(cell.folder / "metrics.json", metrics)

    distributed.on_main_process(write)


def _trained(
    experiment: Experiment,
    cell: FoldSeed,
    cache: FeatureCache | None,
    progress: RunProgress,
    tracking: Tracking | None = None,
) -> tuple[PhonemoForAudioClassification, TrainerState, TemperatureScaling, SpeechDataset]:
    """The network of a cell, which lies in its folder too; what is left to test it on."""
    config = experiment.config
    model = _network(experiment, cell.seed)
    training, validation, test = _parts(experiment, cell, cache)
    callbacks = _callbacks(config, cell, progress, tracking)
    state, calibrated = _learn(config, cell, model, training, validation, callbacks)
    if _has_seen(experiment, cell.fold):
        calibrated = UNCALIBRATED
    store_calibration(model, calibrated)
    shared = None
    if config.train.strategy in ("frozen", "logistic"):
        shared = Path(config.output) / "backbone.safetensors"
    lineage, labels = _lineage(experiment, cell.fold), experiment.targets.labels
    home = cell.folder / "model"
    distributed.on_main_process(lambda: save_trained(home, model, labels, shared, lineage))
    return model, state, calibrated, test


def write_vectors(path: Path, found: Outputs) -> None:
    """What the emotion head read of each row of the predictions, for a map of them."""
    if found.vectors is not None and len(found.vectors) <= _MOST_VECTORS:
        with path.open("wb") as stream:
            np.save(stream, found.vectors.to(torch.float16).numpy(), allow_pickle=False)


def _learn(
    config: RunConfig,
    cell: FoldSeed,
    model: PhonemoForAudioClassification,
    training: SpeechDataset,
    validation: SpeechDataset,
    callbacks: Sequence[TrainerCallback],
) -> tuple[TrainerState, TemperatureScaling]:
    """Train by gradient, or fit the emotion head alone; what happened, and how sure it is."""
    size = config.train.batch_size
    if config.train.strategy == "logistic":
        cell.folder.mkdir(parents=True, exist_ok=True)
        return TrainerState(epoch=0), _fitted(config, cell, model, training)
    checkpoints = cell.folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    trainer = PhonemoTrainer(
        model,
        config.train,
        objective_of(config.train, config.model.auxiliary, training),
        training,
        validation,
        checkpoints,
        cell.seed,
        callbacks,
    )
    trainer.resume_or_start()
    distributed.on_main_process(lambda: write_fold_plots(cell.folder, trainer.state))
    if not config.train.selects:  # validation was learnt from: nothing is left to calibrate on
        return trainer.state, UNCALIBRATED
    return trainer.state, calibrate_validation(model, validation, size)


def _fitted(
    config: RunConfig, cell: FoldSeed, model: PhonemoForAudioClassification, training: SpeechDataset
) -> TemperatureScaling:
    """A linear head fitted from nothing, or from a start; of the latter prior.json says how."""
    if config.train.prior == "none":
        return fit_head(model, training, config.train.inverse_penalty, config.train.batch_size)
    prior = prior_of(str(config.model.start), training.targets.labels)
    calibrated, done = fit_from_start(model, training, prior, config.train)
    write_json(cell.folder / PRIOR, done.to_json())
    return calibrated


def _extra_phonemes(
    experiment: Experiment, model: PhonemoForAudioClassification, cache: FeatureCache | None
) -> dict[str, Any]:
    """By extra corpus, the phoneme errors on its speakers that were held out."""
    found = {}
    for corpus, rows in experiment.extras.held_out.items():
        dataset = SpeechDataset(experiment.manifest, rows, experiment.targets, cache)
        outputs = outputs_of(model, dataset, experiment.config.train.batch_size)
        speakers = len({one.speaker for one in rows})
        found[corpus] = phoneme_scores(outputs) | {"utterances": len(rows), "speakers": speakers}
    return found


def _lineage(experiment: Experiment, fold: Fold) -> Provenance:
    """What a fold's model has learnt from or was chosen by, and what it started from."""
    main = experiment.part([*fold.train, *fold.validation])
    past = ancestors(experiment.config.model)
    return (
        provenance_from(experiment.manifest.header.corpus, main) | experiment.extras.lineage | past
    )


def _has_seen(experiment: Experiment, fold: Fold) -> bool:
    """Whether what a fold starts from learnt from its speakers: it would be too sure of them."""
    past = ancestors(experiment.config.model)
    known = experiment.part([*fold.train, *fold.validation])
    seen, speakers = past.overlap(experiment.manifest.header.corpus, known)
    return bool(seen or speakers)


def _parts(
    experiment: Experiment, cell: FoldSeed, cache: FeatureCache | None
) -> tuple[SpeechDataset, SpeechDataset, SpeechDataset]:
    train = experiment.config.train
    draws = None if train.strategy == "logistic" else AugmentationSeed.of(train, cell.seed)
    training, validation, test = (
        SpeechDataset(
            experiment.manifest,
            experiment.part(ids) + (list(experiment.extras.epoch) if part == "train" else []),
            experiment.targets,
            cache,
            draws if part == "train" else None,
        )
        for part, ids in _learnt(cell.fold, experiment.config).items()
    )
    return training, validation, test


def _learnt(fold: Fold, config: RunConfig) -> dict[str, tuple[str, ...]]:
    """The parts of a fold; where nothing is selected, validation is learnt from too."""
    more = () if config.train.selects else fold.validation
    return {**fold.parts, "train": (*fold.train, *more)}


def _callbacks(
    config: RunConfig, cell: FoldSeed, progress: RunProgress, tracking: Tracking | None
) -> list[TrainerCallback]:
    if not distributed.current_rank().first:
        return []
    found: list[TrainerCallback] = [JsonLines(cell.folder / "log.jsonl"), Steps(progress)]
    if TENSORBOARD in config.train.loggers:
        found.append(tensorboard(cell.folder / "tensorboard"))
    return found if tracking is None else [*found, tracking]
