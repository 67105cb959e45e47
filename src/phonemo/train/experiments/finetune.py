"""Fine-tuning on a user's manifest: settings, cross-validation, and a final model.

Cross-validation measures the recipe on unseen speakers. The final model is trained on all data and
has no test score.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.config import RunConfig
from phonemo.corpora.copies.groups import Copies, find_copies, join_units, list_some
from phonemo.corpora.folds import Fold
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import MissingExtraError, ProtocolError
from phonemo.files import folder_lock, loads_json, write_json
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.fold import PRIOR, NeuralSystem
from phonemo.train.experiments.fold_profiles import PROFILES, OwnProfiles, own_profiles
from phonemo.train.experiments.rated_targets import (
    dimension_settings,
    rated_dimensions,
    start_emotions,
)
from phonemo.train.experiments.run_folder import FoldSeed
from phonemo.train.experiments.training_run import run
from phonemo.train.export.export import export
from phonemo.train.export.shared_network import start_folder
from phonemo.train.model_folder import LABELS

#: Emotions with fewer utterances are dropped: a fold could have none in its training part.
FEWEST = 6
#: Maximum number of speaker folds; more take longer and change the scores little.
_MOST_FOLDS = 5
_SEED = 1
_FINAL = "everything"
#: Share of utterances with phonemes needed to train on phonemes.
_ENOUGH_PHONEMES = 0.5
#: Shared emotions needed to use the start's head as prior.
_FEWEST_SHARED = 2


@dataclass(frozen=True)
class Plan:
    """The planned run, and notes for the user."""

    config: RunConfig
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Finetuned:
    """The result of fine-tuning."""

    metrics: dict[str, Any]
    """The run's metrics.json, folds pooled."""
    model: Path
    """The folder of the model trained on all data."""
    bundle: Path | None
    """The exported model; None if the extra export is not installed."""
    profiles: OwnProfiles
    """The priors of the heads, and the scores with profiles of the tested speakers."""


def plan(
    manifest_path: str | Path,
    output: str | Path,
    start: str = "phonemo-small",
    strategy: str = "logistic",
    threads: int = 2,
    progress: RunProgress | None = None,
) -> Plan:
    """Choose settings for a manifest.

    Args:
        manifest_path: a manifest from phonemo init-corpus or phonemo prepare.
        output: the run folder.
        start: "phonemo-small", "phonemo-open", a model folder whose outputs are reused, or a
            backbone.
        strategy: "logistic" fits a linear head on the frozen network (minutes); "top_k" also
            trains its top layer.
        threads: CPU threads.
        progress: receives the progress of comparing the recordings.

    Raises:
        ProtocolError: fewer than two emotions with enough utterances, and no rated dimension.
        PhonemoError: the manifest or the start cannot be read.
    """
    manifest = read_manifest(manifest_path)
    dimensions, rating_notes = rated_dimensions(manifest)
    folder = start_folder(start, output)
    names, notes = _select_targets(manifest, dimensions, folder)
    notes = [*notes, *rating_notes]
    rows = [
        row
        for row in manifest.utterances
        if row.emotion in names or any(name in row.dimensions for name in dimensions)
    ]
    copies = find_copies(manifest, rows, (progress or RunProgress()).recordings, near=False)
    protocol, protocol_notes = _protocol(rows, copies)
    protocol_notes += _given_split_note(rows)
    spoken = sum(row.phonemes is not None for row in rows) >= _ENOUGH_PHONEMES * len(rows)
    training, prior_notes = _train_settings(strategy), []
    labeled = any(row.emotion in names for row in rows)
    if labeled and strategy == "logistic" and (shared := _shared_emotions(folder, names)):
        training["prior"] = "start"
        prior_notes = [_prior_note(start, names, shared)]
    settings = {
        "name": Path(output).name,
        "manifest": str(manifest_path),
        "output": str(output),
        "labels": {"names": names},
        "protocol": protocol,
        "model": model_settings(folder, strategy, spoken) | dimension_settings(dimensions),
        "train": training,
        "seeds": [_SEED],
        "threads": threads,
    }
    return Plan(RunConfig.model_validate(settings), (*notes, *protocol_notes, *prior_notes))


def finetune(config: RunConfig, command: str, progress: RunProgress | None = None) -> Finetuned:
    """Train every fold, then a final model on all data; finished parts are kept.

    Args:
        config: the config of a plan.
        command: the command line, stored with the results.
        progress: progress callbacks.

    Raises:
        PhonemoError: training failed; finished folds are kept.
    """
    metrics = run(config, command, progress=progress)
    model = Path(config.output) / "model"
    if not (model / LABELS).is_file():
        _train_final(config, model, progress or RunProgress())
    profiles = own_profiles(config)
    write_json(Path(config.output) / PROFILES, profiles.to_json())
    return Finetuned(metrics, model, _bundle(model, config), profiles)


def _select_targets(
    manifest: Manifest, dimensions: Sequence[str], folder: Path
) -> tuple[list[str], list[str]]:
    """The emotions of the manifest; of the start, if only dimensions can be learned."""
    try:
        return _select_emotions(manifest)
    except ProtocolError:
        known = start_emotions(folder)
        if not dimensions or len(known) < 2:
            raise
        return known, [
            f"no two emotions with {FEWEST} utterances: the emotions and their scores are those of "
            "the start, and only the rated dimensions are trained"
        ]


def _select_emotions(manifest: Manifest) -> tuple[list[str], list[str]]:
    counts = Counter(row.emotion for row in manifest.utterances if row.emotion)
    names = sorted(name for name, count in counts.items() if count >= FEWEST)
    rare = [f"{name} ({count})" for name, count in sorted(counts.items()) if count < FEWEST]
    if len(names) < 2:
        present = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or "none"
        raise ProtocolError(
            f"{manifest.path}: expected two or more emotions with at least {FEWEST} utterances, "
            f"got {present}; add recordings"
        )
    notes = [f"left out, fewer than {FEWEST} utterances: {', '.join(rare)}"] if rare else []
    unlabeled = sum(row.emotion is None for row in manifest.utterances)
    return names, notes + ([f"{unlabeled} utterances have no emotion"] if unlabeled else [])


def _protocol(rows: Sequence[Utterance], copies: Copies) -> tuple[dict[str, Any], list[str]]:
    """Split by speaker if there are three or more; otherwise split randomly, with a LEAKY note.

    Speakers who share recordings count as one.
    """
    speakers = {row.speaker for row in rows}
    known = {row.id: row.speaker for row in rows if row.speaker is not None}
    units, joined = join_units(known, copies)
    count = len(set(units.values()))
    if None not in speakers and count >= 3:
        folds = _MOST_FOLDS if count > _MOST_FOLDS else None
        return {"name": "speaker", "folds": folds}, []
    if None in speakers:
        reason = "some utterances have no speaker"
    elif joined:
        names, example = joined[0]
        reason = (
            f"speakers {list_some(names)} share the same recordings, such as {example}, and count "
            f"as one, so {count} {'speaker is' if count == 1 else 'speakers are'} too few"
        )
    else:
        reason = f"{count} speakers are too few"
    note = (
        f"LEAKY: {reason} (expected three or more), so the folds share voices and every score is "
        "too high; add speakers with phonemo init-corpus --speaker, or in a table"
    )
    return {"name": "random-leaky", "folds": _MOST_FOLDS}, [note]


def _given_split_note(rows: Sequence[Utterance]) -> list[str]:
    """A note if the manifest gives a split, which cross-validation does not use."""
    if not any(row.split for row in rows):
        return []
    return [
        "the manifest's split into train, validation and test is not used: every utterance is "
        "tested once; for it, use protocol given in a config of phonemo train"
    ]


def model_settings(folder: Path, strategy: str, spoken: bool) -> dict[str, Any]:
    """Build the model section of a config, from a trained model or a backbone with new heads.

    Args:
        folder: the model or backbone folder.
        strategy: the training strategy.
        spoken: train on phonemes too.
    """
    trained = (folder / LABELS).is_file()
    settings: dict[str, Any] = {"backbone": str(folder), "pooling": "attentive_statistics"}
    if trained:
        settings |= _shape_settings(folder) | {"start": str(folder)}
    if strategy == "logistic" or not settings.get("pooled", True):
        settings |= {"head": "linear", "statistics": _upper_layers(folder)}
    settings["auxiliary"] = _auxiliary(folder, trained) if spoken else None
    return settings


def _shared_emotions(folder: Path, names: Sequence[str]) -> list[str]:
    """Emotions shared with the start's linear head; empty if it cannot be a prior."""
    config = _read_config(folder)
    if config.get("head") != "linear" or not config.get("adaptation"):
        return []
    try:
        known = loads_json((folder / LABELS).read_bytes())["names"]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # loading the network reports the error
    shared = [name for name in names if name in known]
    return shared if len(shared) >= _FEWEST_SHARED else []


def _prior_note(start: str, names: Sequence[str], shared: Sequence[str]) -> str:
    fresh = [name for name in names if name not in shared]
    new = f"; newly trained: {', '.join(fresh)}" if fresh else ""
    return f"the head is regularized towards that of {start}: {', '.join(shared)}{new}"


def _shape_settings(folder: Path) -> dict[str, Any]:
    """Settings that must match the model whose weights are loaded."""
    config = _read_config(folder)
    names = (
        *("acoustic", "semantic", "fusion", "pooling", "width", "attention_heads", "hops"),
        *("pooled", "frames", "moments"),
    )
    return {name: config[name] for name in names if name in config}


def _auxiliary(folder: Path, trained: bool) -> dict[str, Any]:
    known = _read_config(folder).get("auxiliary") if trained else None
    inventory = (known or {}).get("inventory", "phonemes")
    alphabet = (known or {}).get("alphabet", "ipa")
    alpha = {"alpha": 0.3, "reduction": "per_token"}
    return {"inventory": inventory, "alphabet": alphabet, **alpha}


def _upper_layers(folder: Path) -> list[int]:
    """Hidden states whose mean and deviation feed the head: phonemo-small's, or the middle ones.

    Middle layers predict emotion best (benchmarks/sklearn_emodb.py scores every layer).
    """
    config = _read_config(folder)
    if config.get("statistics"):
        return [int(layer) for layer in config["statistics"]]
    depth = int((config.get("backbone") or config).get("num_hidden_layers", 2))
    return [depth // 2, depth // 2 + 1] if depth > 1 else [depth]


def _train_settings(strategy: str) -> dict[str, Any]:
    if strategy == "logistic":
        return {"strategy": "logistic", "select_by": "last"}
    return {
        "strategy": strategy,
        "select_by": "last",
        "top_k": 1,
        "epochs": 8,
        "batch_size": 8,
        "rate_heads": 3e-4,
        "rate_backbone": 5e-5,
        "schedule": "cosine",
        "label_smoothing": 0.1,
    }


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = loads_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}  # loading the network reports the error
    return config if isinstance(config, dict) else {}


def _train_final(config: RunConfig, model: Path, progress: RunProgress) -> None:
    """Train on all data, as a fold without a test part; validation is trained on, as in folds."""
    experiment = prepare_experiment(config)
    first = experiment.split.folds[0]
    fold = Fold(_FINAL, (*first.train, *first.test), first.validation, ())
    cell = Path(config.output) / f"seed-{_SEED}" / _FINAL
    progress.cell(1, 1, "all data")
    with folder_lock(Path(config.output)):
        NeuralSystem(experiment, progress).train_untested(FoldSeed(fold, _SEED, cell))
        if (cell / PRIOR).is_file():
            (cell / PRIOR).replace(model.with_name(PRIOR))
        (cell / "model").rename(model)
        shutil.rmtree(cell)


def _bundle(model: Path, config: RunConfig) -> Path | None:
    target = model.with_name("bundle")
    if (target / "bundle.json").is_file():
        return target
    try:
        export(model, target, "int8", name=config.name, licence="not stated", manifest=None)
    except MissingExtraError:
        return None
    return target
