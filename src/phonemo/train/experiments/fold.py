"""Train a cell, one fold with one seed: build, fit, test and save.

Every process of a training calls the same methods in the same order; the first process writes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from transformers import TrainerCallback, TrainerState

from phonemo.evaluation.calibration import UNCALIBRATED, TemperatureScaling
from phonemo.evaluation.fold_vectors import VECTORS
from phonemo.files import CHECKSUMS, sha256_of, write_json, write_rows
from phonemo.model.losses import ABSENT
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.model.pretrained import build_network
from phonemo.train import distributed
from phonemo.train.calibrate import (
    calibrate_validation,
    store_calibration,
    stored_calibration,
)
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
from phonemo.train.experiments.emotional_phonemes import with_emotional_phonemes
from phonemo.train.experiments.experiment_data import Experiment
from phonemo.train.experiments.run_folder import FoldSeed, fold_metrics, write_fold_plots
from phonemo.train.feature_cache import FeatureCache, backbone_digest, build_cache
from phonemo.train.freezing import frozen_depth, load_matching_weights
from phonemo.train.heads.head_from_start import fit_from_start
from phonemo.train.heads.head_prior import prior_of
from phonemo.train.heads.linear_head import fit_head, keep_head, reference_of
from phonemo.train.heads.ridge_head import fit_ridge
from phonemo.train.model_folder import load_trained, save_trained
from phonemo.train.provenance import Provenance, ancestors, provenance_from
from phonemo.train.trainer import PhonemoTrainer, objective_of

#: The settings of a cell that was fitted from a start.
PRIOR = "prior.json"
#: A map of more points would not show more.
_MOST_VECTORS = 4000


class TrainableSystem(Protocol):
    """A system that can be trained and tested on a cell."""

    def inputs(self) -> dict[str, str]:
        """Return the SHA-256 of files that the config names, except for the manifest."""

    def train(self, cell: FoldSeed) -> None:
        """Train and test a cell and write its folder, metrics.json last."""


class NeuralSystem:
    """phonemo's network: backbone, fusion, emotion head and, optionally, phoneme head."""

    def __init__(self, experiment: Experiment, progress: RunProgress) -> None:
        trackers_of(experiment.config)  # raises early if one is not installed
        self.experiment = experiment
        self.progress = progress

    @cached_property
    def _first(self) -> PhonemoForAudioClassification:
        """An untrained network; its frozen layers are the same in every cell."""
        return _network(self.experiment, self.experiment.config.seeds[0])

    @cached_property
    def _cache(self) -> FeatureCache | None:
        return _features(self.experiment, self._first, self.progress)

    def inputs(self) -> dict[str, str]:
        """Return the SHA-256 of the backbone's weights and of the start model."""
        config = self.experiment.config
        digests = {"backbone": backbone_digest(self._first)}
        if config.model.start is not None:
            digests["start"] = sha256_of(Path(config.model.start) / CHECKSUMS)
        return digests

    def train(self, cell: FoldSeed) -> None:
        """Train and test a cell and write its folder, metrics.json last."""
        FoldRun(self.experiment, cell, self._cache, self.progress).run()

    def train_untested(self, cell: FoldSeed) -> None:
        """Train a cell and write its model without a test, for training on all data."""
        fold = FoldRun(self.experiment, cell, self._cache, self.progress)
        fold.save_model(fold.fit(fold.build()))


class Fitted(NamedTuple):
    """A network after its training."""

    model: PhonemoForAudioClassification
    state: TrainerState
    calibration: TemperatureScaling


class FoldOutputs(NamedTuple):
    """The test part, a network's outputs for it, and its phoneme errors by auxiliary corpus."""

    dataset: SpeechDataset
    outputs: Outputs
    auxiliary: dict[str, Any]


class FoldRun:
    """The training of a network on a cell: ``build``, ``fit``, ``test``, ``save_model``.

    Args:
        experiment: the data, the split and the config.
        cell: the fold, the seed and the output folder.
        cache: the frozen layers' output; None runs the whole network.
        progress: receives the steps.
    """

    def __init__(
        self,
        experiment: Experiment,
        cell: FoldSeed,
        cache: FeatureCache | None,
        progress: RunProgress,
    ) -> None:
        self.experiment, self.information = with_emotional_phonemes(
            experiment, cell.fold.train, cache, cell.seed
        )
        self.config = experiment.config
        self.cell = cell
        self.cache = cache
        self.progress = progress

    def run(self) -> None:
        """Run all steps; the trackers are closed even after an error."""
        began, first = time.perf_counter(), distributed.current_rank().first
        names = trackers_of(self.config) if first else []
        title = f"{self.cell.fold.name} seed {self.cell.seed}"
        with tracked(names, self.config, title) as tracking:
            fitted = self.fit(self.build(), tracking)
            self.save_model(fitted)
            tested = self.test(fitted.model)
            distributed.on_main_process(self._save_scores, fitted, tested, tracking, began)

    def build(self) -> PhonemoForAudioClassification:
        """Return the untrained network, or the start model."""
        return _network(self.experiment, self.cell.seed)

    def fit(self, model: PhonemoForAudioClassification, tracking: Tracking | None = None) -> Fitted:
        """Train by gradient, or fit only the emotion head; then calibrate on validation."""
        if self.config.train.strategy == "logistic":
            self.cell.folder.mkdir(parents=True, exist_ok=True)
            state, calibration = TrainerState(epoch=0), self._fit_head(model)
        else:
            state, calibration = self._fit_by_gradient(model, tracking)
        if self._start_knows_fold():
            calibration = UNCALIBRATED
        store_calibration(model, calibration)
        return Fitted(model, state, calibration)

    def test(self, model: PhonemoForAudioClassification) -> FoldOutputs:
        """Test on the test part and on the held-out speakers of auxiliary corpora."""
        dataset = self.dataset("test")
        outputs = outputs_of(model, dataset, self.config.train.batch_size)
        return FoldOutputs(dataset, outputs, self._auxiliary_phonemes(model))

    def save_model(self, fitted: Fitted) -> None:
        """Write the learning curves and the model folder."""
        distributed.on_main_process(self._save_model, fitted, self._provenance())

    def dataset(self, part: str) -> SpeechDataset:
        """Return the fold's train, validation or test part; without selection, train has both."""
        train, fold = self.config.train, self.cell.fold
        ids, draws = fold.parts[part], None
        if part == "train":
            ids = ids if train.selects else (*ids, *fold.validation)
            draws = None if train.strategy == "logistic" else self._augmentation()
        extra = list(self.experiment.extras.epoch) if part == "train" else []
        rows = self.experiment.part(ids) + extra
        return SpeechDataset(
            self.experiment.manifest, rows, self.experiment.targets, self.cache, draws
        )

    def _augmentation(self) -> AugmentationSeed:
        return AugmentationSeed.of(self.config.train, self.cell.seed)

    def _fit_by_gradient(
        self, model: PhonemoForAudioClassification, tracking: Tracking | None
    ) -> tuple[TrainerState, TemperatureScaling]:
        config, checkpoints = self.config, self.cell.folder / "checkpoints"
        training, validation = self.dataset("train"), self.dataset("validation")
        checkpoints.mkdir(parents=True, exist_ok=True)
        trainer = PhonemoTrainer(
            model,
            config.train,
            objective_of(config.train, config.model.auxiliary, training, config.model.dimensions),
            training,
            validation,
            checkpoints,
            self.cell.seed,
            self._callbacks(tracking),
        )
        trainer.resume_or_start()
        if not config.train.selects:  # validation was trained on: no data is left to calibrate on
            return trainer.state, UNCALIBRATED
        calibration = calibrate_validation(model, validation, config.train.batch_size)
        return trainer.state, calibration

    def _fit_head(self, model: PhonemoForAudioClassification) -> TemperatureScaling:
        """Fit a linear head from scratch or from a start, whose settings go to prior.json."""
        train, training = self.config.train, self.dataset("train")
        if model.dimensions is not None:
            fit_ridge(model, training, train.ridge_penalty, train.batch_size)
        if not _has_emotions(training):
            return _keep_start(model, self.config.model.start)
        if train.prior == "none":
            return fit_head(model, training, train.inverse_penalty, train.batch_size)
        prior = prior_of(str(self.config.model.start), training.targets.labels)
        calibration, done = fit_from_start(model, training, prior, train)
        write_json(self.cell.folder / PRIOR, done.to_json())
        return calibration

    def _callbacks(self, tracking: Tracking | None) -> list[TrainerCallback]:
        if not distributed.current_rank().first:
            return []
        folder = self.cell.folder
        callbacks: list[TrainerCallback] = [JsonLines(folder / "log.jsonl"), Steps(self.progress)]
        if TENSORBOARD in self.config.train.loggers:
            callbacks.append(tensorboard(folder / "tensorboard"))
        return callbacks if tracking is None else [*callbacks, tracking]

    def _auxiliary_phonemes(self, model: PhonemoForAudioClassification) -> dict[str, Any]:
        """Return by auxiliary corpus the phoneme errors on its held-out speakers."""
        scores = {}
        for corpus, rows in self.experiment.extras.held_out.items():
            dataset = SpeechDataset(
                self.experiment.manifest, rows, self.experiment.targets, self.cache
            )
            outputs = outputs_of(model, dataset, self.config.train.batch_size)
            speakers = len({row.speaker for row in rows})
            counts = {"utterances": len(rows), "speakers": speakers}
            scores[corpus] = phoneme_scores(outputs) | counts
        return scores

    def _provenance(self) -> Provenance:
        """Return the model's training and selection data, and its ancestors'."""
        fold, corpus = self.cell.fold, self.experiment.manifest.header.corpus
        rows = self.experiment.part([*fold.train, *fold.validation])
        cell = provenance_from(corpus, rows, self.experiment.digests)
        return cell | self.experiment.extras.lineage | ancestors(self.config.model)

    def _start_knows_fold(self) -> bool:
        """Check whether the start was trained on the fold's speakers, and so is overconfident."""
        fold = self.cell.fold
        rows = self.experiment.part([*fold.train, *fold.validation])
        corpus, digests = self.experiment.manifest.header.corpus, self.experiment.digests
        return any(map(bool, ancestors(self.config.model).overlap(corpus, rows, digests)))

    def _save_model(self, fitted: Fitted, provenance: Provenance) -> None:
        if self.config.train.strategy != "logistic":
            write_fold_plots(self.cell.folder, fitted.state)
        shared = None
        if self.config.train.strategy in ("frozen", "logistic"):
            shared = Path(self.config.output) / "backbone.safetensors"
        labels = self.experiment.targets.labels
        save_trained(self.cell.folder / "model", fitted.model, labels, shared, provenance)

    def _save_scores(
        self, fitted: Fitted, tested: FoldOutputs, tracking: Tracking, began: float
    ) -> None:
        targets, folder = self.experiment.targets, self.cell.folder
        rows = prediction_rows(
            tested.outputs,
            tested.dataset,
            targets.labels,
            targets.inventory,
            self.cell.fold.name,
            self.cell.seed,
            fitted.calibration,
        )
        write_rows(folder / "predictions.jsonl", rows)
        write_vectors(folder / VECTORS, tested.outputs)
        seconds = time.perf_counter() - began
        metrics = fold_metrics(
            self.cell,
            rows,
            targets.labels,
            fitted.state,
            tested.auxiliary,
            seconds,
            self.information,
        )
        results = metrics["results"]
        scores = _tracked_scores(results)
        tracking.log(scores, fitted.state.global_step)
        write_json(folder / "metrics.json", metrics)


def _has_emotions(dataset: SpeechDataset) -> bool:
    """Whether any utterance has an emotion to fit a head on."""
    return any(dataset.targets.label(row) != ABSENT for row in dataset.utterances)


def _keep_start(model: PhonemoForAudioClassification, start: str | None) -> TemperatureScaling:
    """Keep the emotion head of the start as it is, with its reference and its calibration."""
    if start is None:
        return UNCALIBRATED
    trained = load_trained(start)
    reference = reference_of(trained.model)
    if reference is not None:
        keep_head(model, reference)
    return stored_calibration(trained.model)


def _tracked_scores(results: Mapping[str, Any]) -> dict[str, float]:
    """The test scores that trackers show."""
    names = ("ua", "wa", "macro_f1")
    scores = {f"test_{name}": results[name]["mean"] for name in names if results[name]}
    rated = results.get("dimensions")
    if rated is not None and rated["mean_ccc"] is not None:
        scores["test_ccc"] = rated["mean_ccc"]["mean"]
    return scores


def _network(experiment: Experiment, seed: int) -> PhonemoForAudioClassification:
    config = experiment.config
    torch.manual_seed(seed)
    inventory = experiment.targets.inventory
    rank = config.train.lora_rank if config.train.strategy == "lora" else None
    symbols = None if inventory is None else inventory.to_json()
    auxiliary = config.model.auxiliary
    if symbols is not None and inventory is not None and auxiliary is not None:
        symbols |= {"vowels": inventory.vowels} if auxiliary.posteriors == "pooling" else {}
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
    depth = frozen_depth(model, config.train)
    if depth is None:
        return None
    return build_cache(
        Path(config.output).parent / "cache",
        model,
        experiment.manifest,
        [*experiment.utterances.values(), *experiment.extras.utterances],
        depth,
        progress.features,
    )


def write_vectors(path: Path, outputs: Outputs) -> None:
    """Write the emotion head's input for each prediction row, for a map of them."""
    if outputs.vectors is not None and len(outputs.vectors) <= _MOST_VECTORS:
        with path.open("wb") as stream:
            most = torch.finfo(torch.float16).max
            halves = outputs.vectors.clamp(-most, most).to(torch.float16)
            np.save(stream, halves.numpy(), allow_pickle=False)
