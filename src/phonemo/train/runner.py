"""A whole run: every fold with every seed, resumable, into one folder.

<output>/config.yaml environment.json protocol.json
<output>/seed-1/<fold>/checkpoints/ model/ tensorboard/ log.jsonl predictions.jsonl
metrics.json learning-curves.png
<output>/predictions.jsonl metrics.json confusion.png reliability.png
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerState

from phonemo.config import RunConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.errors import ProtocolError, RunError
from phonemo.model.build import build_network
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.scoring import summarise
from phonemo.train.batches import Draws, SpeechDataset
from phonemo.train.cache import FeatureCache, backbone_digest, build_cache
from phonemo.train.callbacks import JsonLines, Progress, Steps, tensorboard
from phonemo.train.evaluate import outputs_of, phoneme_scores, prediction_rows
from phonemo.train.experiment import Experiment, prepare_experiment
from phonemo.train.folder import load_trained, save_trained
from phonemo.train.lineage import Lineage, ancestors, taught_by
from phonemo.train.logistic import fit_head
from phonemo.train.records import (
    discard_run,
    fold_metrics,
    open_run,
    read_rows,
    run_metrics,
    write_fold_plots,
    write_json,
    write_rows,
    write_run_plots,
)
from phonemo.train.seal import SEAL, sha256_of
from phonemo.train.strategies import boundary
from phonemo.train.takeover import take_over
from phonemo.train.trainer import PhonemoTrainer, objective_of
from phonemo.whole import locked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One fold with one seed, and its folder."""

    fold: Fold
    seed: int
    folder: Path


def run(
    config: RunConfig,
    command: str,
    folds: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and test every fold with every seed; what is finished already is left as it is.

    Args:
        config: the experiment.
        command: what was typed; written beside the results.
        folds: names of the folds to do; none means all.
        overwrite: throw away the run that the folder holds.
        progress: told what happens.

    Returns:
        The content of metrics.json, over all folds and seeds that are finished.

    Raises:
        PhonemoError: of any kind; what was finished stays.
    """
    progress = progress or Progress()
    torch.set_num_threads(config.threads)
    experiment = prepare_experiment(config)
    wanted = _chosen(experiment.split, folds)
    if overwrite:
        discard_run(Path(config.output))
    with locked(Path(config.output)):
        return _run(experiment, wanted, command, progress)


def _run(
    experiment: Experiment, wanted: Sequence[Fold], command: str, progress: Progress
) -> dict[str, Any]:
    config, output = experiment.config, Path(experiment.config.output)
    model = _network(experiment, config.seeds[0])
    inputs = {
        "manifest": sha256_of(Path(config.manifest)),
        "backbone": backbone_digest(model),
    }
    for extra in config.extra:
        inputs[f"extra {extra.manifest}"] = sha256_of(Path(extra.manifest))
    if config.model.start is not None:
        inputs["start"] = sha256_of(Path(config.model.start) / SEAL)
    open_run(output, config, experiment.split, inputs, command)
    cache = _cache(experiment, model, progress)
    cells = [
        Cell(fold, seed, output / f"seed-{seed}" / fold.name)
        for seed in config.seeds
        for fold in wanted
    ]
    for number, cell in enumerate(cells, start=1):
        progress.cell(number, len(cells), f"{cell.fold.name} seed {cell.seed}")
        if not (cell.folder / "metrics.json").is_file():
            _train_cell(experiment, cell, cache, progress)
        shutil.rmtree(cell.folder / "checkpoints", ignore_errors=True)
        progress.scores(json.loads((cell.folder / "metrics.json").read_text(encoding="utf-8")))
    return collect(experiment, command)


def collect(experiment: Experiment, command: str) -> dict[str, Any]:
    """Pool the predictions of all finished cells into metrics.json and plots."""
    output = Path(experiment.config.output)
    names = [fold.name for fold in experiment.split.folds]
    rows: list[dict[str, Any]] = []
    extras: list[dict[str, Any]] = []
    done: set[tuple[str, int]] = set()
    for seed in experiment.config.seeds:
        for name in names:
            folder = output / f"seed-{seed}" / name
            if (folder / "metrics.json").is_file():
                rows += read_rows(folder / "predictions.jsonl")
                found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
                extras.append(found.get("extra", {}))
                done.add((name, seed))
    if not rows:
        raise RunError(f"{output}: no fold is finished; run: phonemo train")
    write_rows(output / "predictions.jsonl", rows)
    missing = len(names) * len(experiment.config.seeds) - len(done)
    metrics = run_metrics(
        experiment.config,
        experiment.manifest,
        experiment.split,
        command,
        summarise(rows, experiment.targets.labels),
        extras,
        missing,
    )
    write_json(output / "metrics.json", metrics)
    write_run_plots(output, metrics)
    return metrics


def _chosen(split: Split, names: Sequence[str]) -> list[Fold]:
    known = {fold.name: fold for fold in split.folds}
    strays = [name for name in names if name not in known]
    if strays:
        raise ProtocolError(f"no fold {strays[0]!r}; folds: {', '.join(known)}")
    return [known[name] for name in names] if names else list(split.folds)


def _network(experiment: Experiment, seed: int) -> PhonemoForAudioClassification:
    config = experiment.config
    torch.manual_seed(seed)
    inventory = experiment.targets.inventory
    rank = config.train.lora_rank if config.train.strategy == "lora" else None
    symbols = None if inventory is None else inventory.to_json()
    labels = experiment.targets.labels
    network = build_network(config.model, labels, symbols, rank)
    if config.model.start is not None:
        take_over(network, labels, inventory, load_trained(config.model.start))
    return network


def _cache(
    experiment: Experiment, model: PhonemoForAudioClassification, progress: Progress
) -> FeatureCache | None:
    config = experiment.config
    if not config.train.cache or config.train.augment.changes_audio:
        return None
    where = boundary(model, config.train)
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
    experiment: Experiment, cell: Cell, cache: FeatureCache | None, progress: Progress
) -> None:
    config = experiment.config
    model = _network(experiment, cell.seed)
    training, validation, test = _parts(experiment, cell, cache)
    state = _learn(config, cell, model, training, validation, progress)
    shared = None
    if config.train.strategy in ("frozen", "logistic"):
        shared = Path(config.output) / "backbone.safetensors"
    lineage = _lineage(experiment, cell.fold)
    save_trained(cell.folder / "model", model, experiment.targets.labels, shared, lineage)
    found = outputs_of(model, test, config.train.batch_size)
    labels, inventory = experiment.targets.labels, experiment.targets.inventory
    rows = prediction_rows(found, test, labels, inventory, cell.fold.name, cell.seed)
    write_rows(cell.folder / "predictions.jsonl", rows)
    extra = _extra_phonemes(experiment, model, cache)
    write_json(cell.folder / "metrics.json", fold_metrics(cell, rows, labels, state, extra))


def _learn(
    config: RunConfig,
    cell: Cell,
    model: PhonemoForAudioClassification,
    training: SpeechDataset,
    validation: SpeechDataset,
    progress: Progress,
) -> TrainerState:
    """Train by gradient, or fit the emotion head alone; what happened."""
    if config.train.strategy == "logistic":
        cell.folder.mkdir(parents=True, exist_ok=True)
        fit_head(model, training, config.train.inverse_penalty, config.train.batch_size)
        return TrainerState(epoch=0)
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
        _callbacks(cell, progress),
    )
    trainer.resume_or_start()
    write_fold_plots(cell.folder, trainer.state)
    return trainer.state


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


def _lineage(experiment: Experiment, fold: Fold) -> Lineage:
    """What a fold's model has learnt from or was chosen by, and what it started from."""
    main = experiment.part([*fold.train, *fold.validation])
    past = ancestors(experiment.config.model)
    return taught_by(experiment.manifest.header.corpus, main) | experiment.extras.lineage | past


def _parts(
    experiment: Experiment, cell: Cell, cache: FeatureCache | None
) -> tuple[SpeechDataset, SpeechDataset, SpeechDataset]:
    train = experiment.config.train
    draws = None if train.strategy == "logistic" else Draws.of(train, cell.seed)
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


def _callbacks(cell: Cell, progress: Progress) -> list[TrainerCallback]:
    return [
        JsonLines(cell.folder / "log.jsonl"),
        Steps(progress),
        tensorboard(cell.folder / "tensorboard"),
    ]
