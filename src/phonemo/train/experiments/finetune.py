"""From a manifest of one's own to a model: the settings, the folds, and one that heard all of it.

The folds say how good the recipe is on people it has not heard; the model that is kept has learnt
from everybody, and no score is its own.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.config import RunConfig
from phonemo.corpora.folds import Fold
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import MissingExtraError, ProtocolError
from phonemo.files import folder_lock, loads_json, write_json
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.fold import PRIOR, NeuralSystem
from phonemo.train.experiments.fold_profiles import PROFILES, OwnProfiles, own_profiles
from phonemo.train.experiments.run_folder import FoldSeed
from phonemo.train.experiments.training_run import run
from phonemo.train.export.export import export
from phonemo.train.export.shared_network import start_folder
from phonemo.train.model_folder import LABELS

#: An emotion with fewer utterances is left out: some fold would have none to learn from.
FEWEST = 6
#: Most folds that are made of speakers: more cost time and say little more.
_MOST_FOLDS = 5
_SEED = 1
_EVERYTHING = "everything"
#: Phonemes are learnt where so many utterances have them.
_ENOUGH_PHONEMES = 0.5
#: A start that has fewer of the emotions is no prior.
_FEWEST_SHARED = 2


@dataclass(frozen=True)
class Plan:
    """What will be done, and what a user must know of it."""

    config: RunConfig
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Finetuned:
    """What came out."""

    metrics: dict[str, Any]
    """metrics.json of the run: the folds, pooled."""
    model: Path
    """The model folder that heard everybody."""
    bundle: Path | None
    """The same without torch; None where the extra export is not installed."""
    profiles: OwnProfiles
    """How its heads were fitted, and what profiles of the tested people add."""


def plan(
    manifest_path: str | Path,
    output: str | Path,
    start: str = "phonemo-small",
    strategy: str = "logistic",
    threads: int = 2,
) -> Plan:
    """Settings that suit a manifest and a processor.

    Args:
        manifest_path: as phonemo init-corpus or phonemo prepare wrote it.
        output: the run folder.
        start: "phonemo-small", "phonemo-open", a model folder whose outputs are taken over, or a
            backbone.
        strategy: "logistic" fits a linear head on the network as it is (minutes); "top_k" lets
            its upper layer learn too.
        threads: of the processor.

    Raises:
        ProtocolError: fewer than two emotions with enough utterances.
        PhonemoError: the manifest or the start cannot be read.
    """
    manifest = read_manifest(manifest_path)
    names, notes = _emotions(manifest)
    rows = [one for one in manifest.utterances if one.emotion in names]
    protocol, more = _protocol(rows)
    folder = start_folder(start, output)
    spoken = sum(one.phonemes is not None for one in rows) >= _ENOUGH_PHONEMES * len(rows)
    training, told = _training(strategy), []
    if strategy == "logistic" and (shared := _shared(folder, names)):
        training["prior"] = "start"
        told = [_prior_note(start, names, shared)]
    settings = {
        "name": Path(output).name,
        "manifest": str(manifest_path),
        "output": str(output),
        "labels": {"names": names},
        "protocol": protocol,
        "model": model_settings(folder, strategy, spoken),
        "train": training,
        "seeds": [_SEED],
        "threads": threads,
    }
    return Plan(RunConfig.model_validate(settings), (*notes, *more, *told))


def finetune(config: RunConfig, command: str, progress: RunProgress | None = None) -> Finetuned:
    """Train every fold, then once on everybody; what is finished already is left as it is.

    Args:
        config: of a plan.
        command: what was typed; written beside the results.
        progress: told what happens.

    Raises:
        PhonemoError: of any kind; what was finished stays.
    """
    metrics = run(config, command, progress=progress)
    model = Path(config.output) / "model"
    if not (model / LABELS).is_file():
        _learn_everything(config, model, progress or RunProgress())
    profiles = own_profiles(config)
    write_json(Path(config.output) / PROFILES, profiles.to_json())
    return Finetuned(metrics, model, _bundle(model, config), profiles)


def _emotions(manifest: Manifest) -> tuple[list[str], list[str]]:
    counts = Counter(one.emotion for one in manifest.utterances if one.emotion)
    names = sorted(name for name, count in counts.items() if count >= FEWEST)
    few = [f"{name} ({count})" for name, count in sorted(counts.items()) if count < FEWEST]
    if len(names) < 2:
        found = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or "none"
        raise ProtocolError(
            f"{manifest.path}: two emotions with {FEWEST} utterances or more are wanted, and it "
            f"has {found}"
        )
    notes = [f"left out, fewer than {FEWEST} utterances: {', '.join(few)}"] if few else []
    unlabelled = sum(one.emotion is None for one in manifest.utterances)
    return names, notes + ([f"{unlabelled} utterances have no emotion"] if unlabelled else [])


def _protocol(rows: Sequence[Utterance]) -> tuple[dict[str, Any], list[str]]:
    """By speaker where there are three or more; else it leaks, and says so."""
    speakers = {one.speaker for one in rows}
    if None not in speakers and len(speakers) >= 3:
        folds = _MOST_FOLDS if len(speakers) > _MOST_FOLDS else None
        return {"name": "speaker", "folds": folds}, []
    known = len(speakers - {None})
    why = "some utterances have no speaker" if None in speakers else f"{known} speakers are too few"
    note = (
        f"LEAKY: {why} (three are wanted), so that the folds share voices and every score is too "
        "high; say who speaks: phonemo init-corpus --speaker, or a column in a table"
    )
    return {"name": "random-leaky", "folds": _MOST_FOLDS}, [note]


def model_settings(folder: Path, strategy: str, spoken: bool) -> dict[str, Any]:
    """Section model of a config: a trained model taken over, or a backbone with fresh heads.

    Args:
        folder: the model folder, or the backbone's.
        strategy: what will learn.
        spoken: whether phonemes are known, to learn them beside the emotion.
    """
    trained = (folder / LABELS).is_file()
    settings: dict[str, Any] = {"backbone": str(folder), "pooling": "attentive_statistics"}
    if trained:
        settings |= _shape(folder) | {"start": str(folder)}
    if strategy == "logistic" or not settings.get("pooled", True):
        settings |= {"head": "linear", "statistics": _upper_layers(folder)}
    settings["auxiliary"] = _auxiliary(folder, trained) if spoken else None
    return settings


def _shared(folder: Path, names: Sequence[str]) -> list[str]:
    """Emotions that a start's linear head knows too; none where it is no prior."""
    config = _config(folder)
    if config.get("head") != "linear" or not config.get("adaptation"):
        return []
    try:
        known = loads_json((folder / LABELS).read_bytes())["names"]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # whoever opens the network says what is wrong
    shared = [name for name in names if name in known]
    return shared if len(shared) >= _FEWEST_SHARED else []


def _prior_note(start: str, names: Sequence[str], shared: Sequence[str]) -> str:
    fresh = [name for name in names if name not in shared]
    learnt = f"; learnt anew: {', '.join(fresh)}" if fresh else ""
    return f"the head is drawn towards that of {start}: {', '.join(shared)}{learnt}"


def _shape(folder: Path) -> dict[str, Any]:
    """What must be as it is in the model whose weights are taken over."""
    config = _config(folder)
    names = (
        *("acoustic", "semantic", "fusion", "pooling", "width", "attention_heads", "hops"),
        *("pooled", "frames", "moments"),
    )
    return {name: config[name] for name in names if name in config}


def _auxiliary(folder: Path, trained: bool) -> dict[str, Any]:
    known = _config(folder).get("auxiliary") if trained else None
    inventory = (known or {}).get("inventory", "phonemes")
    alphabet = (known or {}).get("alphabet", "ipa")
    alpha = {"alpha": 0.3, "reduction": "per_token"}
    return {"inventory": inventory, "alphabet": alphabet, **alpha}


def _upper_layers(folder: Path) -> list[int]:
    """Hidden states whose mean and deviation the head reads: those of phonemo-small, or like them.

    Emotion is best heard in the middle (benchmarks/sklearn_emodb.py has every layer of one).
    """
    config = _config(folder)
    if config.get("statistics"):
        return [int(one) for one in config["statistics"]]
    depth = int((config.get("backbone") or config).get("num_hidden_layers", 2))
    return [depth // 2, depth // 2 + 1] if depth > 1 else [depth]


def _training(strategy: str) -> dict[str, Any]:
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


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = loads_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}  # whoever opens the network says what is wrong
    return found if isinstance(found, dict) else {}


def _learn_everything(config: RunConfig, model: Path, progress: RunProgress) -> None:
    """Train as in a fold that has nothing to test: validation is learnt from, as in the others."""
    experiment = prepare_experiment(config)
    first = experiment.split.folds[0]
    fold = Fold(_EVERYTHING, (*first.train, *first.test), first.validation, ())
    home = Path(config.output) / f"seed-{_SEED}" / _EVERYTHING
    progress.cell(1, 1, "everybody")
    with folder_lock(Path(config.output)):
        NeuralSystem(experiment, progress).train_untested(FoldSeed(fold, _SEED, home))
        if (home / PRIOR).is_file():
            (home / PRIOR).replace(model.with_name(PRIOR))
        (home / "model").rename(model)
        shutil.rmtree(home)


def _bundle(model: Path, config: RunConfig) -> Path | None:
    target = model.with_name("bundle")
    if (target / "bundle.json").is_file():
        return target
    try:
        export(model, target, "int8", name=config.name, licence="not stated", manifest=None)
    except MissingExtraError:
        return None
    return target
