"""The classical baseline: 88 functionals of pitch, loudness and spectrum, and a linear SVM.

eGeMAPS is Eyben et al. 2016 ("The Geneva Minimalistic Acoustic Parameter Set"), as openSMILE
computes it. openSMILE is free for research only, so it is an extra that nothing else needs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import TrainerState

from phonemo.audio import RATE, load_waveform
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.errors import AudioError, MissingExtraError
from phonemo.evaluation import metrics
from phonemo.evaluation.calibration import calibrate_grouped
from phonemo.files import build_missing, folder_lock, write_json, write_rows
from phonemo.labels import LabelSet
from phonemo.train.calibrate import speakers_of
from phonemo.train.callbacks import RunProgress
from phonemo.train.dataset import SpeechDataset, TargetEncoder
from phonemo.train.evaluate import Outputs, prediction_rows
from phonemo.train.experiments.experiment_data import Experiment
from phonemo.train.experiments.run_folder import FoldSeed, fold_metrics
from phonemo.train.feature_cache import UNREADABLE, save_array

#: Values of C that each fold's validation part picks from.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Utterances whose functionals are kept together until all are there.
PART_UTTERANCES = 64
_FEWEST_SAMPLES = RATE // 10
Features = NDArray[np.float64]


class EgemapsSvm:
    """Functionals of every utterance once, then a support vector machine for each fold.

    Nothing in it is random, so that all seeds give the same answers.
    """

    def __init__(self, experiment: Experiment, progress: RunProgress) -> None:
        self.experiment = experiment
        self.progress = progress
        self._features: dict[str, Features] = {}

    def inputs(self) -> dict[str, str]:
        """OpenSMILE's version stands for its weights."""
        version = f"opensmile {_opensmile().__version__}"
        return {"features": hashlib.sha256(version.encode()).hexdigest()}

    def train(self, cell: FoldSeed) -> None:
        """Pick C on the validation part, by its UA, and answer for the test part."""
        began = time.perf_counter()
        labels = self.experiment.targets.labels
        parts = {name: self._part(ids, labels) for name, ids in cell.fold.parts.items()}
        machine, best = _best(parts["train"], parts["validation"], len(labels))
        held, truth = parts["validation"]
        whose = speakers_of(self.experiment.part(cell.fold.validation))
        calibrated = calibrate_grouped(_margins(machine, held, len(labels)), truth, whose)
        logits = torch.from_numpy(_margins(machine, parts["test"][0], len(labels)))
        rows = prediction_rows(
            Outputs(logits, torch.from_numpy(parts["test"][1]), None, ()),
            self._dataset(cell.fold.test, labels),
            labels,
            None,
            cell.fold.name,
            cell.seed,
            calibrated,
        )
        cell.folder.mkdir(parents=True, exist_ok=True)
        write_rows(cell.folder / "predictions.jsonl", rows)
        state = TrainerState(epoch=0, best_metric=best)
        found = fold_metrics(cell, rows, labels, state, {}, time.perf_counter() - began)
        write_json(cell.folder / "metrics.json", found)

    def _part(self, ids: Sequence[str], labels: LabelSet) -> tuple[Features, NDArray[np.int64]]:
        known = self._known()
        truth = [labels.index(self.experiment.utterances[one].emotion or "") for one in ids]
        return np.stack([known[one] for one in ids]), np.array(truth)

    def _dataset(self, ids: Sequence[str], labels: LabelSet) -> SpeechDataset:
        targets = TargetEncoder(labels, None)
        return SpeechDataset(self.experiment.manifest, self.experiment.part(ids), targets)

    def _known(self) -> dict[str, Features]:
        if not self._features:
            self._features = functionals(
                Path(self.experiment.config.output).parent / "cache",
                self.experiment.manifest,
                list(self.experiment.utterances.values()),
                self.progress,
            )
        return self._features


def functionals(
    folder: Path, manifest: Manifest, utterances: Sequence[Utterance], progress: RunProgress
) -> dict[str, Features]:
    """eGeMAPSv02 of utterances, each (feature,), by id; kept in the folder.

    Until all are there they are kept in parts, which processes side by side share and which
    survive an interruption.

    Args:
        folder: the parent of the file that keeps them; its name says of what.
        manifest: says where the audio lies.
        utterances: which.
        progress: told how far it is.
    """
    ordered = sorted(utterances, key=lambda one: one.id)
    facts = [_opensmile().__version__, *(_facts(manifest, one) for one in ordered)]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    path = folder / f"egemaps-{digest}.npy"
    kept = _cached(path, len(ordered))
    if kept is None:
        path.unlink(missing_ok=True)
        _fill(path, manifest, ordered, progress)
        kept = np.load(path)
    return dict(zip((one.id for one in ordered), kept, strict=True))


def _cached(path: Path, count: int) -> Features | None:
    """What an earlier run kept; None where that is nothing, or cannot be used."""
    try:
        found: Features = np.load(path)
    except UNREADABLE:
        return None
    return found if found.ndim == 2 and len(found) == count else None


def _fill(
    path: Path, manifest: Manifest, ordered: Sequence[Utterance], progress: RunProgress
) -> None:
    """Write the file, from parts that are taken away afterwards."""
    home, total, done = path.with_suffix(".parts"), len(ordered), 0
    starts = range(0, total, PART_UTTERANCES)
    parts = {home / f"{at:08d}.npy": ordered[at : at + PART_UTTERANCES] for at in starts}
    extract = cache(_extractor)

    def is_complete(part: Path) -> bool:
        return part.is_file() or path.is_file()  # another process may have put all together

    def make(part: Path) -> None:
        rows = []
        for one in parts[part]:
            rows.append(_computed(extract(), manifest, one))
            progress.features(done + len(rows), total)
        _keep(part, np.stack(rows))

    for part in build_missing(list(parts), is_complete, make):
        done += len(parts[part])
    with folder_lock(path.parent / "egemaps", wait=True):
        if not path.is_file():
            _keep(path, np.concatenate([np.load(part) for part in parts]))
    shutil.rmtree(home, ignore_errors=True)


def _facts(manifest: Manifest, one: Utterance) -> list[Any]:
    """What the features of an utterance depend on; AudioError where its file is not there."""
    path = manifest.audio_path(one)
    if not path.is_file():
        raise AudioError("missing_file", f"{path}: no such file; {one.id} of the manifest")
    file = path.stat()
    return [one.id, str(path.resolve()), one.start, one.end, file.st_size, file.st_mtime_ns]


def _computed(extract: Any, manifest: Manifest, one: Utterance) -> Features:
    heard = load_waveform(manifest.audio_path(one), start=one.start, end=one.end)
    found: Features = extract(_long_enough(heard.samples))
    if not np.isfinite(found).all():
        raise AudioError("invalid_audio", f"{one.id}: openSMILE gives no number; leave it out")
    return found


def _long_enough(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Silence is added: openSMILE has no number for less than its longest window."""
    return np.pad(samples, (0, max(0, _FEWEST_SAMPLES - len(samples))))


def _keep(path: Path, values: Features) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    try:
        save_array(scratch, values)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _best(
    train: tuple[Features, NDArray[np.int64]],
    validation: tuple[Features, NDArray[np.int64]],
    emotions: int,
) -> tuple[Any, float]:
    """The machine with the best validation UA (the smaller C where two are), and that UA."""
    found = []
    for strength in STRENGTHS:
        machine = _fitted(*train, strength)
        guess = _margins(machine, validation[0], emotions).argmax(axis=1)
        score = metrics.score_emotions(validation[1], guess, emotions).ua
        found.append((score, -strength, machine))
    best = max(found, key=lambda one: one[:2])
    return best[2], best[0]


def _fitted(features: Features, truth: NDArray[np.int64], strength: float) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    machine = SVC(C=strength, kernel="linear", class_weight="balanced")
    return make_pipeline(StandardScaler(), machine).fit(features, truth)


def _margins(machine: Any, features: Features, emotions: int) -> Features:
    """(utterance, emotion); an emotion without an example is never the highest."""
    found = machine.decision_function(features)
    learnt = found if found.ndim == 2 else np.stack([-found, found], axis=1) / 2
    margins = np.full((len(features), emotions), learnt.min() - 30.0)
    margins[:, machine.classes_] = learnt
    return margins


def _extractor() -> Any:
    """Samples (sample,) to functionals (feature,)."""
    opensmile = _opensmile()
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
    return lambda samples: smile.process_signal(samples, RATE).to_numpy()[0].astype(np.float64)


def _opensmile() -> Any:
    try:
        import opensmile
    except ModuleNotFoundError as error:
        raise MissingExtraError("the eGeMAPS baseline", "egemaps") from error
    return opensmile
