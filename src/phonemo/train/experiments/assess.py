"""Trained models on data: a run on its own protocol, or any model on any manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.annotations.prediction import Prediction
from phonemo.config import load_config
from phonemo.corpora.inventory import PhonemeInventory
from phonemo.corpora.manifest import Utterance, read_manifest
from phonemo.errors import LabelError, ManifestError, RunError
from phonemo.evaluation.summary import summarize
from phonemo.files import loads_json, read_rows, write_json, write_rows
from phonemo.labels import LabelSet
from phonemo.train.calibrate import check_unseen, stored_calibration
from phonemo.train.dataset import SpeechDataset, TargetEncoder
from phonemo.train.evaluate import outputs_of, prediction_rows
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.run_folder import CONFIG
from phonemo.train.model_folder import LoadedModel, load_trained
from phonemo.train.provenance import Provenance, provenance_from, provenance_of

BATCH = 16
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Assessment:
    """Prediction rows and their summary."""

    rows: list[dict[str, Any]]
    results: dict[str, Any]
    notes: tuple[str, ...]


def assess_run(folder: Path, progress: Told | None = None) -> Assessment:
    """Test every finished fold of a run again with its saved model, on the run's own protocol.

    Raises:
        RunError: nothing is finished.
    """
    config = load_config(folder / CONFIG)
    if config.system != "network":
        raise RunError(f"{folder}: system {config.system} keeps no model that could be asked again")
    experiment = prepare_experiment(config)
    rows: list[dict[str, Any]] = []
    changed = 0
    for seed in experiment.config.seeds:
        for fold in experiment.split.folds:
            home = folder / f"seed-{seed}" / fold.name
            if not (home / "metrics.json").is_file():
                continue
            trained = load_trained(home / "model")
            targets = TargetEncoder(trained.labels, trained.inventory)
            found = _rows(
                trained, experiment.part(fold.test), folder, experiment.manifest, targets, progress
            )
            fresh = [row | {"fold": fold.name, "seed": seed} for row in found]
            changed += _changes(fresh, read_rows(home / "predictions.jsonl"))
            rows += fresh
    if not rows:
        raise RunError(f"{folder}: no fold is finished; run: phonemo train {folder / CONFIG}")
    note = f"{changed} of {len(rows)} answers differ from those written when the run was trained"
    labels = experiment.targets.labels
    return Assessment(rows, summarize(rows, labels), (*experiment.split.notes, note))


def rescore_run(folder: Path, names: Sequence[str], name: str, command: str) -> dict[str, Any]:
    """Score a run's written answers again among some of its emotions, as a metrics.json.

    Nothing is heard again: the scores of the emotions asked for are scaled to sum to one, as
    ``Prediction.among`` does, and utterances of other emotions are left out.

    Args:
        folder: the run.
        names: two or more of its emotions.
        name: of the result.
        command: what was typed; written beside the result.

    Raises:
        RunError: nothing is finished.
        LabelError: an emotion that the run does not know, or fewer than two.
    """
    experiment = prepare_experiment(load_config(folder / CONFIG))
    path = folder / "metrics.json"
    if not path.is_file():
        raise RunError(f"{folder}: no fold is finished; run: phonemo train {folder / CONFIG}")
    labels = experiment.targets.labels.restrict(names)
    written = read_rows(folder / "predictions.jsonl")
    rows = [_among(row, labels) for row in written if row["truth"] in labels]
    note = (
        f"chosen among {len(labels)} of the {len(experiment.targets.labels)} emotions that the "
        f"network knows; {len(written) - len(rows)} of {len(written)} answers are left out"
    )
    metrics: dict[str, Any] = loads_json(path.read_text(encoding="utf-8"))
    before = metrics["protocol_note"]
    return metrics | {
        "name": name,
        "title": metrics["title"].replace(metrics["name"], name, 1),
        "command": command,
        "protocol_note": "; ".join([*([before] if before else []), note]),
        "results": summarize(rows, labels),
    }


def _among(row: dict[str, Any], labels: LabelSet) -> dict[str, Any]:
    answer = Prediction(row["label"], row["scores"], 0.0).among(labels.names)
    scores = {name: round(score, 6) for name, score in answer.scores.items()}
    return row | {"label": answer.label, "scores": scores}


def assess_model(
    folder: Path,
    manifest_path: Path,
    names: Sequence[str] = (),
    progress: Told | None = None,
) -> Assessment:
    """Any model on any manifest.

    Args:
        folder: a model folder.
        manifest_path: the data; utterances without one of the emotions are left out.
        names: the emotions to choose from, in the model's or the manifest's words; none means
            all that both have.
        progress: told (done, total) utterances.

    Raises:
        LabelError: an emotion the model does not know, or fewer than two in common.
    """
    trained = load_trained(folder)
    manifest = read_manifest(manifest_path)
    labels = _common(trained.labels, {one.emotion for one in manifest.utterances}, names)
    chosen = [one for one in manifest.utterances if one.emotion and one.emotion in labels]
    if not chosen:
        raise ManifestError(f"{manifest_path}: no utterance has one of the emotions {labels}")
    targets = TargetEncoder(trained.labels, _usable(trained.inventory, chosen))
    rows = _rows(trained, chosen, folder, manifest, targets, progress, labels)
    leaks = _leaks(folder, manifest.header.corpus, chosen)
    if leaks:  # the rows say it too, wherever they are carried
        rows = [row | {"leaky": True} for row in rows]
    notes = [
        f"{len(manifest.utterances) - len(chosen)} of {len(manifest.utterances)} utterances "
        f"have none of the emotions {labels} and are left out",
        f"the model's other emotions cannot be chosen: "
        f"{', '.join(n for n in trained.labels.names if n not in labels.names) or 'none'}",
        *leaks,
    ]
    return Assessment(rows, summarize(rows, labels), tuple(notes))


def held_out_rows(
    folder: Path, manifest_path: Path, progress: Told | None = None
) -> tuple[list[dict[str, Any]], Provenance]:
    """The answers of a model for a manifest whose speakers it has not heard, and who they are.

    Raises:
        LeakageError: it has heard them.
        PhonemoError: as ``assess_model``.
    """
    found = assess_model(folder, manifest_path, (), progress)
    check_unseen([note for note in found.notes if note.startswith("LEAKY")])
    manifest = read_manifest(manifest_path)
    used = {row["id"] for row in found.rows}
    utterances = [one for one in manifest.utterances if one.id in used]
    return found.rows, provenance_from(manifest.header.corpus, utterances)


def _rows(
    trained: LoadedModel,
    utterances: Sequence[Utterance],
    folder: Path,
    manifest: Any,
    targets: TargetEncoder,
    progress: Told | None,
    labels: LabelSet | None = None,
) -> list[dict[str, Any]]:
    dataset = SpeechDataset(manifest, utterances, targets)
    found = outputs_of(trained.model, dataset, BATCH, progress)
    return prediction_rows(
        found,
        dataset,
        labels or trained.labels,
        targets.inventory,
        fold=folder.name,
        seed=0,
        calibrated=stored_calibration(trained.model),
    )


def _leaks(folder: Path, corpus: str, chosen: Sequence[Utterance]) -> list[str]:
    seen, speakers = provenance_of(folder).overlap(corpus, chosen)
    if not speakers and not seen:
        return []
    return [
        f"LEAKY: the model was trained on {seen} of these {len(chosen)} utterances and has heard "
        f"{len(speakers)} of their speakers ({', '.join(speakers[:5])}); this is no test score"
    ]


def _usable(
    inventory: PhonemeInventory | None, utterances: Sequence[Utterance]
) -> PhonemeInventory | None:
    """The inventory, if a foreign manifest's phonemes can be written in it."""
    if inventory is None or inventory.name in ("phoneme_x_emotion", "characters"):
        return None
    alphabets = {one.phonemes.alphabet for one in utterances if one.phonemes is not None}
    return None if inventory.alphabet == "arpabet" and "ipa" in alphabets else inventory


def _common(labels: LabelSet, found: set[str | None], names: Sequence[str]) -> LabelSet:
    if names:
        return labels.restrict(names)
    both = sorted({labels.merged(one) for one in found if one is not None and one in labels})
    if len(both) < 2:
        raise LabelError(
            f"the model knows {labels}; the manifest has "
            f"{', '.join(sorted(one for one in found if one)) or 'no emotions'}: "
            "at least two must be in common"
        )
    return labels.restrict(both)


def _changes(fresh: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> int:
    earlier = {row["id"]: row["label"] for row in before}
    return sum(earlier.get(row["id"]) != row["label"] for row in fresh)


def write_assessment(path: Path, assessment: Assessment) -> None:
    """Write predictions as JSON lines, the summary beside them."""
    write_rows(path, assessment.rows)
    write_json(path.with_suffix(".metrics.json"), assessment.results)
