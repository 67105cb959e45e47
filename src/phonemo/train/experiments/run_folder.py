"""The files of a run folder, except for weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from phonemo.config import RunConfig, load_config, write_config
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.manifest import Manifest
from phonemo.errors import RunError
from phonemo.evaluation.metrics_schema import (
    ExtraScore,
    FoldMetrics,
    Metrics,
    PhonemeBits,
    Protocol,
    Results,
)
from phonemo.evaluation.phonemes.confusion_plot import plot_phoneme_confusions
from phonemo.evaluation.phonemes.confusions import row_confusions, write_confusions
from phonemo.evaluation.prediction_rows import PredictionRow
from phonemo.evaluation.ratings.rating_plots import SCATTER, plot_dimensions
from phonemo.evaluation.report import (
    plot_confusion,
    plot_learning_curves,
    plot_reliability,
    plot_risk_coverage,
)
from phonemo.evaluation.summary import results_of
from phonemo.files import loads_json, write_json
from phonemo.labels import LabelSet
from phonemo.train.callbacks import read_log
from phonemo.train.provenance import environment
from phonemo.version import __version__

CONFIG = "config.yaml"
#: Patterns of the files that phonemo writes into a run folder.
_OURS = (
    *(CONFIG, "inputs.json", "environment.json", "protocol.json", "metrics.json", ".lock"),
    *("predictions.jsonl", "confusion.png", "reliability.png", "risk-coverage.png", "tuned.json"),
    SCATTER,
    *("seed-*", "backbone*.safetensors", "*.part", "model", "bundle", "report.html"),
    *("mlflow.db", "wandb", "prior.json", "profiles.json", "start"),
    *("phoneme-errors.csv", "phoneme-errors.png"),
)
_BASELINES = {"egemaps-svm": "eGeMAPS functionals and a linear SVM"}


def open_run(
    output: Path, config: RunConfig, split: Split, inputs: Mapping[str, str], command: str
) -> None:
    """Create a run folder, or resume one with the same config and inputs.

    Args:
        output: the folder.
        config: the experiment.
        split: its folds.
        inputs: SHA-256 of files that the config names: the manifest, the backbone's weights.
        command: the command line.

    Raises:
        RunError: the folder holds another run, or something else.
    """
    protocol = _protocol(split)
    inputs = {**inputs, "folds": _sha256(json.dumps(protocol).encode())}
    if is_run(output):
        _check_same(output, config, inputs)
    else:
        check_usable(output)
    output.mkdir(parents=True, exist_ok=True)
    if not (output / CONFIG).is_file():
        write_config(output / CONFIG, config)
    write_json(output / "inputs.json", inputs)
    write_json(output / "environment.json", environment(command))
    write_json(output / "protocol.json", protocol)


def is_run(folder: Path) -> bool:
    """Return whether ``open_run`` created this folder."""
    return (folder / CONFIG).is_file() and (folder / "protocol.json").is_file()


def check_usable(output: Path) -> None:
    """Raise RunError for a folder that is no run's and has files that phonemo did not write."""
    if not is_run(output) and output.is_dir() and (foreign := _foreign(output)):
        raise RunError(
            f"{output}: expected a run folder, got one with {foreign[0]!r}; pass another --output"
        )


def check_discardable(output: Path) -> None:
    """Refuse a folder that is not a run's, or has files that phonemo did not write.

    Raises:
        RunError: it is such a folder.
    """
    if not output.is_dir() or not _without_lock(output):
        return
    foreign = _foreign(output)
    if foreign or not is_run(output):
        reason = f"{foreign[0]!r} in it is not phonemo's" if foreign else "it is not a run folder"
        raise RunError(f"{output}: not overwritten, because {reason}; pass another --output")
    load_config(output / CONFIG)


def discard_run(output: Path) -> None:
    """Remove a run whose lock is held, but for the lock's file; RunError for any other folder."""
    check_discardable(output)
    for path in _without_lock(output):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _without_lock(output: Path) -> list[Path]:
    return [path for path in output.iterdir() if path.name != ".lock"]


def fold_metrics(
    cell: FoldSeed,
    rows: Sequence[PredictionRow],
    labels: LabelSet,
    state: Any,
    extra: Mapping[str, Any],
    seconds: float,
    phonemes: Sequence[PhonemeBits] = (),
) -> dict[str, Any]:
    """Return a cell's metrics.json.

    Args:
        cell: the fold and the seed.
        rows: its predictions.
        labels: the emotions.
        state: the Trainer's state after training.
        extra: results on other corpora.
        seconds: duration of training and testing in this session, with features it cached.
        phonemes: what the inventory ``emotional`` was chosen by.
    """
    metrics = FoldMetrics(
        fold=cell.fold.name,
        seed=cell.seed,
        sizes={part: len(ids) for part, ids in cell.fold.parts.items()},
        best_step=state.best_global_step,
        best_validation=state.best_metric,
        steps=state.global_step,
        epochs=state.epoch,
        seconds=round(seconds, 1),
        results=results_of(rows, labels),
        extra=dict(extra),
        phonemes=list(phonemes),
    )
    return metrics.model_dump(mode="json")


def run_metrics(
    config: RunConfig,
    manifest: Manifest,
    split: Split,
    command: str,
    results: Results,
    cells: Sequence[Mapping[str, Any]],
    missing: int,
    more: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a run's metrics.json, for phonemo.evaluation.report.

    Args:
        config: the run's config.
        manifest: its data.
        split: its folds.
        command: the command line.
        results: the result of ``results_of``.
        cells: the metrics.json of every finished cell.
        missing: number of unfinished cells; the seeds of the result are those of the finished ones.
        more: notes in addition to those of the split.
    """
    notes = [*split.notes, *more]
    if missing:
        total = missing + len(cells)
        notes.append(f"{missing} of the run's {total} cells (fold with seed) are not finished")
    protocol = config.protocol.model_dump(mode="json") | {"parts": len(split.folds)}
    metrics = Metrics(
        name=config.name,
        title=_title(config),
        command=command,
        config=config.digest,
        protocol=Protocol.model_validate(protocol),
        protocol_note="; ".join(notes),
        leaky=config.protocol.name.endswith("-leaky"),
        seeds=tuple(sorted({cell["seed"] for cell in cells})),
        corpus=manifest.header.corpus,
        partial_corpus=manifest.header.partial,
        model=_model_facts(config),
        phonemo=__version__,
        seconds=round(sum(cell.get("seconds", 0.0) for cell in cells), 1),
        extra=_extra_scores(cells),
        results=results,
    )
    return metrics.model_dump(mode="json")


def write_fold_plots(folder: Path, state: Any) -> None:
    """Plot a fold's learning curves, with the selected epoch marked."""
    rows = [row for row in read_log(folder / "log.jsonl") if "epoch" in row]
    best = [row["epoch"] for row in rows if row.get("step") == state.best_global_step]
    path = folder / "learning-curves.png"
    plot_learning_curves(
        rows, path, f"{folder.name}, {folder.parent.name}", best[0] if best else None
    )


def write_run_plots(
    output: Path, metrics: Mapping[str, Any], rows: Sequence[PredictionRow] = ()
) -> None:
    """Plot confusion matrix, reliability, risk-coverage and dimensions of pooled predictions."""
    results = metrics["results"]
    title = f"{metrics['name']}: {metrics['corpus']}, protocol {metrics['protocol']['name']}"
    if results.get("dimensions") is not None:
        plot_dimensions(rows, results["dimensions"], output / SCATTER, title)
    if results["confusion"] is None:
        return
    plot_confusion(results["confusion"], output / "confusion.png", title)
    plot_reliability(results["calibration"], output / "reliability.png", title)
    plot_risk_coverage(results["selective"], output / "risk-coverage.png", title)


def write_phoneme_errors(output: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write which phonemes were confused as a table and a picture, where any were recognized."""
    confusions = row_confusions(rows)
    if confusions:
        write_confusions(output / "phoneme-errors.csv", confusions)
        plot_phoneme_confusions(confusions, output / "phoneme-errors.png", "phonemes of all folds")


def _check_same(output: Path, config: RunConfig, inputs: Mapping[str, str]) -> None:
    before = load_config(output / CONFIG)
    remedy = (
        "pass another --output, or replace that run with phonemo train --overwrite (for an "
        "ablation, remove its folder)"
    )
    if before.digest != config.digest:
        changed = _differences(before.model_dump(mode="json"), config.model_dump(mode="json"))
        changes = ", ".join(changed[:3])
        raise RunError(f"{output}: holds a run with another config ({changes}); {remedy}")
    if (output / "inputs.json").is_file():
        earlier = loads_json((output / "inputs.json").read_text(encoding="utf-8"))
        for name, digest in inputs.items():
            if earlier.get(name, digest) != digest:
                raise RunError(f"{output}: the {name} changed since this run started; {remedy}")


def _foreign(output: Path) -> list[str]:
    return sorted(
        path.name
        for path in output.iterdir()
        if not any(fnmatch(path.name, pattern) for pattern in _OURS)
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _differences(before: Any, after: Any, where: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        changes = (
            _differences(before.get(key), after.get(key), f"{where}.{key}" if where else key)
            for key in keys
        )
        return [line for lines in changes for line in lines]
    same = before == after
    return [] if same else [f"{where} was {_short(before)}, now {_short(after)}"]


def _short(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0][:40]


def _protocol(split: Split) -> dict[str, Any]:
    return {
        "protocol": split.protocol.model_dump(mode="json"),
        "unit": split.unit,
        "notes": list(split.notes),
        "folds": [{"name": fold.name, **fold.parts} for fold in split.folds],
    }


def _extra_scores(cells: Sequence[Mapping[str, Any]]) -> dict[str, ExtraScore]:
    """Return by extra corpus its held-out speakers' phoneme error rate, averaged over cells."""
    scores = {}
    extras = [cell.get("extra", {}) for cell in cells]
    for corpus in sorted({name for cell in extras for name in cell if "per" in cell[name]}):
        rows = [cell[corpus] for cell in extras if "per" in cell.get(corpus, {})]
        per = sum(row["per"] for row in rows) / len(rows)
        scores[corpus] = ExtraScore(**{**rows[0], "per": per, "trainings": len(rows)})
    return scores


def _title(config: RunConfig) -> str:
    if config.system != "network":
        return f"{config.name}, {_BASELINES[config.system]}"
    auxiliary = config.model.auxiliary
    task = "single-task" if auxiliary is None else f"multi-task ({auxiliary.inventory})"
    if config.model.dimensions is not None:
        task += f", {'emotions and ' if config.labels.names else ''}dimensions"
    return f"{config.name}, {task}, {config.train.strategy}"


def _named_after_run(folder: str) -> str:
    """Name a run's model after the run, since the folders of all of them are called model."""
    parts = Path(folder).parts
    return parts[-4] if len(parts) > 3 and parts[-1] == "model" else parts[-1]


def _model_facts(config: RunConfig) -> dict[str, Any]:
    if config.system != "network":
        return {"system": config.system}
    model, auxiliary = config.model, config.model.auxiliary
    facts: dict[str, Any] = {
        "backbone": Path(model.backbone).name,
        "layers": model.layers,
        "acoustic": model.acoustic,
        "semantic": model.semantic,
        "fusion": model.fusion,
        "pooling": model.pooling,
        "strategy": config.train.strategy,
    }
    if model.start is not None:
        facts["start"] = _named_after_run(model.start)
        facts["backbone"] = _named_after_run(model.backbone)
    if model.statistics:
        facts["statistics"] = list(model.statistics)
    if not model.pooled:
        facts["pooled"] = False
    if model.frames != "all":
        facts["frames"] = model.frames
    if model.moments != "mean-deviation":
        facts["moments"] = model.moments
    if model.head != "hidden":
        facts["head"] = model.head
    if config.train.prior != "none":
        facts["prior"] = f"{config.train.prior}, by {config.train.standardise_by}"
    if auxiliary is not None:
        facts["auxiliary"] = f"{auxiliary.inventory}/{auxiliary.alphabet}"
        facts["alpha"] = f"{auxiliary.alpha} {auxiliary.reduction}"
    return facts


@dataclass(frozen=True)
class FoldSeed:
    """A cell: one fold with one seed, and its folder."""

    fold: Fold
    seed: int
    folder: Path
