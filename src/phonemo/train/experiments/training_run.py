"""A run: every fold with every seed, resumable, in one folder.

<output>/config.yaml environment.json protocol.json
<output>/seed-1/<fold>/checkpoints/ model/ tensorboard/ log.jsonl predictions.jsonl
metrics.json learning-curves.png
<output>/predictions.jsonl metrics.json confusion.png reliability.png

``SYSTEMS`` maps a config's system to the class that trains a cell.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from phonemo.config import RunConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.errors import ConfigError, ProtocolError, RunError
from phonemo.evaluation.prediction_rows import read_predictions
from phonemo.evaluation.summary import results_of
from phonemo.files import folder_lock, loads_json, sha256_of, write_json, write_rows
from phonemo.train import distributed
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.baselines.egemaps import EgemapsSvm
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.experiments.fold import NeuralSystem, TrainableSystem
from phonemo.train.experiments.run_folder import (
    FoldSeed,
    check_discardable,
    check_usable,
    discard_run,
    open_run,
    run_metrics,
    write_phoneme_errors,
    write_run_plots,
)

SYSTEMS: dict[str, Callable[[Experiment, RunProgress], TrainableSystem]] = {
    "network": NeuralSystem,
    "egemaps-svm": EgemapsSvm,
}


def run(
    config: RunConfig,
    command: str,
    folds: Sequence[str] = (),
    overwrite: bool = False,
    progress: RunProgress | None = None,
    seeds: Sequence[int] = (),
) -> dict[str, Any]:
    """Train and test every fold with every seed; finished cells are kept.

    Several processes started by torchrun train each cell together; the first process writes.

    Args:
        config: the experiment.
        command: the command line, written to the results.
        folds: names of the folds to train; empty for all.
        overwrite: remove the existing run in the folder.
        progress: receives the progress.
        seeds: seeds to train, among the config's; empty for all.

    Returns:
        The content of metrics.json, over all finished folds and seeds.

    Raises:
        PhonemoError: an error of any kind; finished cells are kept.
    """
    with distributed.process_group(config.train.wait_minutes) as rank, ExitStack() as stack:
        _check_several(config, rank.world)
        progress = progress if progress is not None and rank.first else RunProgress()
        torch.set_num_threads(max(1, config.threads // rank.local_world))
        experiment = prepare_experiment(config, progress.recordings)
        cells = cells_of(experiment, folds, seeds)
        distributed.on_main_process(_claim_folder, Path(config.output), overwrite, stack)
        system = open_system(experiment, command, progress)
        for number, cell in enumerate(cells, start=1):
            progress.cell(number, len(cells), f"{cell.fold.name} seed {cell.seed}")
            progress.scores(ensure_trained(system, cell))
        return distributed.on_main_process(pool_folds, experiment, command)


def cells_of(
    experiment: Experiment, folds: Sequence[str] = (), seeds: Sequence[int] = ()
) -> list[FoldSeed]:
    """Return a run's cells, or those selected, by seed; ProtocolError for an unknown one."""
    config = experiment.config
    unknown = [seed for seed in seeds if seed not in config.seeds]
    if unknown:
        raise ProtocolError(f"no seed {unknown[0]}; seeds: {', '.join(map(str, config.seeds))}")
    return [
        FoldSeed(fold, seed, Path(config.output) / f"seed-{seed}" / fold.name)
        for seed in config.seeds
        if not seeds or seed in seeds
        for fold in _select_folds(experiment.split, folds)
    ]


def open_system(experiment: Experiment, command: str, progress: RunProgress) -> TrainableSystem:
    """Create or resume the run folder; return the system that trains its cells."""
    config = experiment.config
    system = SYSTEMS[config.system](experiment, progress)
    inputs = {"manifest": sha256_of(Path(config.manifest)), **system.inputs()}
    for extra in config.extra:
        inputs[f"extra {extra.manifest}"] = sha256_of(Path(extra.manifest))
    folder = Path(config.output)
    distributed.on_main_process(open_run, folder, config, experiment.split, inputs, command)
    return system


def ensure_trained(system: TrainableSystem, cell: FoldSeed) -> dict[str, Any]:
    """Return a cell's metrics.json; train the cell if there is none."""
    metrics = distributed.on_main_process(_finished_metrics, cell.folder)
    if metrics is None:
        system.train(cell)
        metrics = distributed.on_main_process(_finished_metrics, cell.folder)
    if metrics is None:
        raise RunError(f"{cell.folder}: expected metrics.json after the training, got none")
    return metrics


def _claim_folder(folder: Path, overwrite: bool, stack: ExitStack) -> None:
    """Lock the folder until the stack is closed; then remove a run that is overwritten."""
    # before the lock puts a file into it
    check_discardable(folder) if overwrite else check_usable(folder)
    stack.enter_context(folder_lock(folder))
    if overwrite:
        discard_run(folder)


def _finished_metrics(folder: Path) -> dict[str, Any] | None:
    """Return a finished cell's metrics.json and remove its checkpoints; None if unfinished."""
    if not (folder / "metrics.json").is_file():
        return None
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return read_cell(folder)


def read_cell(folder: Path) -> dict[str, Any]:
    """Read a finished cell's metrics.json."""
    metrics: dict[str, Any] = loads_json((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def pool_folds(
    experiment: Experiment,
    command: str,
    homes: Mapping[tuple[str, int], Path] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Pool the predictions of all finished cells into metrics.json and plots.

    Args:
        experiment: the run.
        command: the command line.
        homes: by fold and seed, the folders of the cells to pool; default: all of the run.
        notes: further notes for the results.
    """
    output = Path(experiment.config.output)
    if homes is None:
        homes = {(cell.fold.name, cell.seed): cell.folder for cell in cells_of(experiment)}
    total = len(cells_of(experiment))
    done = [folder for folder in homes.values() if (folder / "metrics.json").is_file()]
    if not done:
        raise RunError(f"{output}: no fold is finished; run: phonemo train")
    rows = [row for folder in done for row in read_predictions(folder / "predictions.jsonl")]
    write_rows(output / "predictions.jsonl", rows)
    metrics = run_metrics(
        experiment.config,
        experiment.manifest,
        experiment.split,
        command,
        results_of(rows, experiment.targets.labels),
        [read_cell(folder) for folder in done],
        total - len(done),
        notes,
    )
    write_json(output / "metrics.json", metrics)
    write_run_plots(output, metrics, rows)
    write_phoneme_errors(output, rows)
    return metrics


def _check_several(config: RunConfig, world: int) -> None:
    """Refuse several processes for systems that need one, or more than a batch has rows."""
    if world == 1:
        return
    if config.system != "network" or config.train.strategy == "logistic":
        system = "train.strategy logistic"
        if config.system != "network":
            system = f"system {config.system}"
        raise ConfigError(
            f"{system}: expected one process, got {world}; start phonemo train without torchrun"
        )
    if config.train.batch_size < world:
        raise ConfigError(
            f"train.batch_size: expected at least {world}, a row per process, got "
            f"{config.train.batch_size}; raise it, or lower --nproc-per-node"
        )


def _select_folds(split: Split, names: Sequence[str]) -> list[Fold]:
    known = {fold.name: fold for fold in split.folds}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ProtocolError(f"no fold {unknown[0]!r}; folds: {', '.join(known)}")
    return [known[name] for name in names] if names else list(split.folds)
