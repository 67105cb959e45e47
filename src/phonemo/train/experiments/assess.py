"""Test trained models: a run on its own protocol, or a model folder on a manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.config import load_config
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.errors import LabelError, ManifestError, RunError
from phonemo.evaluation.prediction_rows import PredictionRow, read_predictions
from phonemo.evaluation.summary import summarize
from phonemo.files import loads_json, write_json, write_rows
from phonemo.labels import LabelSet, mapping_note, rescale_scores
from phonemo.train.calibrate import check_unseen, stored_calibration
from phonemo.train.dataset import SpeechDataset, TargetEncoder
from phonemo.train.evaluate import outputs_of, prediction_rows
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.run_folder import CONFIG
from phonemo.train.model_folder import LoadedModel, load_trained
from phonemo.train.provenance import Provenance, overlap_of, provenance_from, provenance_of

BATCH = 16
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Assessment:
    """Prediction rows, their summary and notes."""

    rows: list[PredictionRow]
    results: dict[str, Any]
    notes: tuple[str, ...]


def assess_run(folder: Path, progress: Told | None = None) -> Assessment:
    """Test every finished fold of a run again with its saved model and protocol.

    Raises:
        RunError: no fold is finished, or the run saves no models.
    """
    config = load_config(folder / CONFIG)
    if config.system != "network":
        raise RunError(f"{folder}: system {config.system} saves no model to test again")
    experiment = prepare_experiment(config)
    rows: list[PredictionRow] = []
    changed = 0
    for seed in experiment.config.seeds:
        for fold in experiment.split.folds:
            cell = folder / f"seed-{seed}" / fold.name
            if not (cell / "metrics.json").is_file():
                continue
            trained = load_trained(cell / "model")
            targets = TargetEncoder(trained.labels, trained.inventory)
            predicted = _rows(
                trained, experiment.part(fold.test), folder, experiment.manifest, targets, progress
            )
            fresh: list[PredictionRow] = [
                {**row, "fold": fold.name, "seed": seed} for row in predicted
            ]
            changed += _count_changes(fresh, read_predictions(cell / "predictions.jsonl"))
            rows += fresh
    if not rows:
        raise RunError(f"{folder}: no fold is finished; run: phonemo train {folder / CONFIG}")
    note = f"{changed} of {len(rows)} predictions differ from those of the training run"
    labels = experiment.targets.labels
    return Assessment(rows, summarize(rows, labels), (*experiment.split.notes, note))


def rescore_run(folder: Path, names: Sequence[str], name: str, command: str) -> dict[str, Any]:
    """Rescore a run's stored predictions among some of its emotions, as a metrics.json.

    No audio is processed: the scores of these emotions are rescaled to sum to one, as in
    ``Prediction.among``, and utterances of other emotions are skipped.

    Args:
        folder: the run.
        names: two or more of its emotions.
        name: the result's name.
        command: the command line, stored in the result.

    Raises:
        RunError: no fold is finished.
        LabelError: an unknown emotion, or fewer than two.
    """
    experiment = prepare_experiment(load_config(folder / CONFIG))
    path = folder / "metrics.json"
    if not path.is_file():
        raise RunError(f"{folder}: no fold is finished; run: phonemo train {folder / CONFIG}")
    labels = experiment.targets.labels.restrict(names)
    written = read_predictions(folder / "predictions.jsonl")
    rows = [_rescale(row, labels) for row in written if row["truth"] in labels]
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


def _rescale(row: PredictionRow, labels: LabelSet) -> PredictionRow:
    among = rescale_scores(row["scores"], labels.names)
    scores = {name: round(score, 6) for name, score in among.items()}
    return {**row, "label": max(among, key=among.__getitem__), "scores": scores}


def assess_model(
    folder: Path,
    manifest_path: Path,
    names: Sequence[str] = (),
    progress: Told | None = None,
) -> Assessment:
    """Test a model folder on a manifest.

    Args:
        folder: a model folder.
        manifest_path: the data; utterances without one of the emotions are skipped.
        names: the emotions to choose from, as named by the model or the manifest; empty means all
            common ones.
        progress: called with (done, total) utterances.

    Raises:
        LabelError: an emotion the model does not know, or fewer than two common ones.
    """
    trained = load_trained(folder)
    manifest, mapped = _with_labels_of(trained.labels, read_manifest(manifest_path))
    rated = [row for row in manifest.utterances if _is_rated(trained, row)]
    emotions = {row.emotion for row in manifest.utterances}
    labels = trained.labels
    if names or not (rated and emotions == {None}):
        labels = _common_labels(trained.labels, emotions, names)
    known = {row.id for row in rated}
    chosen = [row for row in manifest.utterances if row.emotion in labels or row.id in known]
    if not chosen:
        raise ManifestError(f"{manifest_path}: no utterance has one of the emotions {labels}")
    targets = TargetEncoder(trained.labels, _usable_inventory(trained.inventory, chosen))
    rows = _rows(trained, chosen, folder, manifest, targets, progress, labels)
    leaks = _leak_notes(folder, manifest, chosen)
    if leaks:  # mark the rows too, since they are stored separately
        for row in rows:
            row["leaky"] = True
    others = len(manifest.utterances) - len(chosen)
    skipped = (
        f"{others} of {len(manifest.utterances)} utterances have none of the emotions {labels} and "
        "were skipped"
    )
    notes = [
        *([skipped] if others else []),
        f"emotions of the model that are not scored: "
        f"{', '.join(name for name in trained.labels.names if name not in labels.names) or 'none'}",
        *([f"emotions of the manifest, renamed: {mapping_note(mapped)}"] if mapped else []),
        *leaks,
    ]
    return Assessment(rows, summarize(rows, labels), tuple(notes))


def _is_rated(trained: LoadedModel, utterance: Utterance) -> bool:
    """Whether the utterance has a rating of a dimension that the model gives."""
    return any(name in utterance.dimensions for name in trained.model.config.dimensions)


def _with_labels_of(labels: LabelSet, manifest: Manifest) -> tuple[Manifest, dict[str, str]]:
    """The manifest with the model's spelling of emotions that are written otherwise, and those."""
    emotions = {row.emotion: None for row in manifest.utterances if row.emotion}
    mapped = labels.spelled(emotions)
    if not mapped:
        return manifest, {}
    rows = tuple(
        row.model_copy(update={"emotion": mapped[row.emotion]}) if row.emotion in mapped else row
        for row in manifest.utterances
    )
    return manifest.model_copy(update={"utterances": rows}), mapped


def held_out_rows(
    folder: Path, manifest_path: Path, progress: Told | None = None
) -> tuple[list[PredictionRow], Provenance]:
    """Predict a manifest whose speakers the model was not trained on; also return their provenance.

    Raises:
        LeakageError: the model was trained on some of the speakers.
        PhonemoError: as in ``assess_model``.
    """
    assessment = assess_model(folder, manifest_path, (), progress)
    check_unseen([note for note in assessment.notes if note.startswith("LEAKY")])
    manifest = read_manifest(manifest_path)
    used = {row["id"] for row in assessment.rows}
    utterances = [utterance for utterance in manifest.utterances if utterance.id in used]
    return assessment.rows, provenance_from(manifest.header.corpus, utterances)


def _rows(
    trained: LoadedModel,
    utterances: Sequence[Utterance],
    folder: Path,
    manifest: Any,
    targets: TargetEncoder,
    progress: Told | None,
    labels: LabelSet | None = None,
) -> list[PredictionRow]:
    dataset = SpeechDataset(manifest, utterances, targets)
    outputs = outputs_of(trained.model, dataset, BATCH, progress)
    return prediction_rows(
        outputs,
        dataset,
        labels or trained.labels,
        targets.inventory,
        fold=folder.name,
        seed=0,
        calibrated=stored_calibration(trained.model),
    )


def _leak_notes(folder: Path, manifest: Manifest, chosen: Sequence[Utterance]) -> list[str]:
    seen, speakers = overlap_of(provenance_of(folder), manifest, chosen)
    if not speakers and not seen:
        return []
    names = f" ({', '.join(speakers[:5])})" if speakers else ""
    return [
        f"LEAKY: the model was trained on {seen} of these {len(chosen)} utterances and on "
        f"{len(speakers)} of their speakers{names}; this is not a test score"
    ]


def _usable_inventory(
    inventory: PhonemeInventory | None, utterances: Sequence[Utterance]
) -> PhonemeInventory | None:
    """The inventory, if it can represent the manifest's phonemes; otherwise None."""
    if inventory is None or inventory.name in ("phoneme_x_emotion", "characters"):
        return None
    alphabets = {row.phonemes.alphabet for row in utterances if row.phonemes is not None}
    return None if inventory.alphabet == "arpabet" and "ipa" in alphabets else inventory


def _common_labels(labels: LabelSet, emotions: set[str | None], names: Sequence[str]) -> LabelSet:
    if names:
        return labels.restrict(names)
    common = sorted(
        {labels.merged(name) for name in emotions if name is not None and name in labels}
    )
    if len(common) < 2:
        raise LabelError(
            f"expected at least two common emotions: the model has {labels}, the manifest has "
            f"{', '.join(sorted(name for name in emotions if name)) or 'none'}"
        )
    return labels.restrict(common)


def _count_changes(fresh: Sequence[PredictionRow], before: Sequence[PredictionRow]) -> int:
    earlier = {row["id"]: row["label"] for row in before}
    return sum(earlier.get(row["id"]) != row["label"] for row in fresh)


def write_assessment(path: Path, assessment: Assessment) -> None:
    """Write predictions as JSON lines, and the summary next to them."""
    write_rows(path, assessment.rows)
    write_json(path.with_suffix(".metrics.json"), assessment.results)
