"""A whole run: every fold with every seed, resumable, into one folder.

<output>/config.yaml environment.json protocol.json
<output>/seed-1/<fold>/checkpoints/ model/ tensorboard/ log.jsonl predictions.jsonl
metrics.json learning-curves.png
<output>/predictions.jsonl metrics.json confusion.png reliability.png
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from phonemo.config import ProtocolConfig, RunConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.leakage import forbid, measure
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.phonemes import PhonemeInventory, make_inventory
from phonemo.corpora.splits import make_split
from phonemo.errors import ProtocolError, RunError
from phonemo.labels import LabelSet
from phonemo.model.build import build_network
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.scoring import summarise
from phonemo.train.batches import Draws, SpeechDataset, Targets
from phonemo.train.cache import FeatureCache, backbone_digest, build_cache
from phonemo.train.callbacks import JsonLines, Progress, Steps, tensorboard
from phonemo.train.evaluate import outputs_of, prediction_rows
from phonemo.train.folder import provenance_of, save_trained
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
from phonemo.train.strategies import boundary
from phonemo.train.trainer import PhonemoTrainer, objective_of
from phonemo.whole import locked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """A config with its data, read and divided."""

    config: RunConfig
    manifest: Manifest
    utterances: dict[str, Utterance]
    targets: Targets
    split: Split

    def part(self, ids: Sequence[str]) -> list[Utterance]:
        """The utterances of these ids."""
        return [self.utterances[one] for one in ids]


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
        "manifest": hashlib.sha256(Path(config.manifest).read_bytes()).hexdigest(),
        "backbone": backbone_digest(model),
    }
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


def prepare_experiment(config: RunConfig) -> Experiment:
    """Read the manifest, leave out what has no label, divide the rest, and refuse leaks."""
    manifest = read_manifest(config.manifest)
    labels = LabelSet(config.labels.names, config.labels.merge)
    chosen = [_merged(one, labels) for one in manifest.utterances if one.emotion in labels]
    if not chosen:
        found = sorted({one.emotion or "none" for one in manifest.utterances})
        raise ProtocolError(
            f"{config.manifest}: no utterance has one of the labels {labels}; "
            f"found: {', '.join(found)}"
        )
    unheard = sorted(set(labels.names) - {one.emotion for one in chosen if one.emotion})
    if unheard:
        raise ProtocolError(
            f"{config.manifest}: no utterance has the label {unheard[0]!r}; "
            "leave it out of labels.names, or merge another into it with labels.merge"
        )
    left_out = len(manifest.utterances) - len(chosen)
    split = _divided(manifest, chosen, config.protocol)
    if left_out:
        note = f"{left_out} of {len(manifest.utterances)} utterances have none of the labels"
        split = replace(split, notes=(*split.notes, f"{note} and are left out"))
    forbid(measure(chosen, split), config.protocol)
    for note in split.notes:
        log.warning(note)
    targets = Targets(labels, _inventory(config, labels, chosen))
    return Experiment(config, manifest, {one.id: one for one in chosen}, targets, split)


def collect(experiment: Experiment, command: str) -> dict[str, Any]:
    """Pool the predictions of all finished cells into metrics.json and plots."""
    output = Path(experiment.config.output)
    names = [fold.name for fold in experiment.split.folds]
    rows: list[dict[str, Any]] = []
    done: set[tuple[str, int]] = set()
    for seed in experiment.config.seeds:
        for name in names:
            folder = output / f"seed-{seed}" / name
            if (folder / "metrics.json").is_file():
                rows += read_rows(folder / "predictions.jsonl")
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
        missing,
    )
    write_json(output / "metrics.json", metrics)
    write_run_plots(output, metrics)
    return metrics


def _merged(one: Utterance, labels: LabelSet) -> Utterance:
    """The utterance under the name its emotion is counted by, for balance and stratification."""
    return one.model_copy(update={"emotion": labels.merged(one.emotion or "")})


def _divided(manifest: Manifest, chosen: Sequence[Utterance], protocol: ProtocolConfig) -> Split:
    """Folds over the chosen utterances; published folds name others too, which are left out."""
    if not protocol.name.startswith("published"):
        return make_split(chosen, protocol)
    split = make_split(manifest.utterances, protocol)
    ids = {one.id for one in chosen}
    folds = tuple(
        Fold(fold.name, *(tuple(one for one in part if one in ids) for part in fold.parts.values()))
        for fold in split.folds
    )
    empty = [fold.name for fold in folds if not all(fold.parts.values())]
    if empty:
        raise ProtocolError(f"{empty[0]}: a part has no utterance with one of the labels")
    return replace(split, folds=folds)


def _inventory(
    config: RunConfig, labels: LabelSet, utterances: Sequence[Utterance]
) -> PhonemeInventory | None:
    auxiliary = config.model.auxiliary
    if auxiliary is None:
        return None
    transcripts = [one.transcript for one in utterances if one.transcript]
    inventory = make_inventory(auxiliary.inventory, auxiliary.alphabet, labels.names, transcripts)
    with_target = sum(one.phonemes is not None for one in utterances)
    if auxiliary.inventory != "characters" and with_target == 0:
        raise ProtocolError(
            f"{config.manifest}: no utterance has phonemes, which the auxiliary task needs; "
            "prepare the corpus with phonemes, or set model.auxiliary=null"
        )
    return inventory


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
    return build_network(config.model, experiment.targets.labels, symbols, rank)


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
        list(experiment.utterances.values()),
        where,
        progress.features,
    )


def _train_cell(
    experiment: Experiment, cell: Cell, cache: FeatureCache | None, progress: Progress
) -> None:
    config = experiment.config
    checkpoints = cell.folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    model = _network(experiment, cell.seed)
    training, validation, test = _parts(experiment, cell, cache)
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
    shared = None
    if config.train.strategy == "frozen":
        shared = Path(config.output) / "backbone.safetensors"
    seen = experiment.part([*cell.fold.train, *cell.fold.validation])
    provenance = provenance_of(experiment.manifest.header.corpus, seen)
    save_trained(cell.folder / "model", model, experiment.targets.labels, shared, provenance)
    found = outputs_of(model, test, config.train.batch_size)
    labels, inventory = experiment.targets.labels, experiment.targets.inventory
    rows = prediction_rows(found, test, labels, inventory, cell.fold.name, cell.seed)
    write_rows(cell.folder / "predictions.jsonl", rows)
    write_fold_plots(cell.folder, trainer.state, config.train.select_by)
    write_json(cell.folder / "metrics.json", fold_metrics(cell, rows, labels, trainer.state))


def _parts(
    experiment: Experiment, cell: Cell, cache: FeatureCache | None
) -> tuple[SpeechDataset, SpeechDataset, SpeechDataset]:
    draws = Draws.of(experiment.config.train, cell.seed)
    training, validation, test = (
        SpeechDataset(
            experiment.manifest,
            experiment.part(ids),
            experiment.targets,
            cache,
            draws if part == "train" else None,
        )
        for part, ids in cell.fold.parts.items()
    )
    return training, validation, test


def _callbacks(cell: Cell, progress: Progress) -> list[TrainerCallback]:
    return [
        JsonLines(cell.folder / "log.jsonl"),
        Steps(progress),
        tensorboard(cell.folder / "tensorboard"),
    ]
