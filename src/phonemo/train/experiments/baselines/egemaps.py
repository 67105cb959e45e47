"""The classical baseline: 88 functionals of pitch, loudness and spectrum, and a linear SVM.

eGeMAPS is Eyben et al. 2016 ("The Geneva Minimalistic Acoustic Parameter Set"), computed by
openSMILE, which is free for research only and therefore an optional extra.
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

from phonemo.audio import RATE
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.recordings import load_utterance
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
from phonemo.train.feature_cache import UNREADABLE, recording_key, save_array

#: Values of C, selected on each fold's validation part.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Utterances per intermediate file of functionals.
PART_UTTERANCES = 64
_MIN_SAMPLES = RATE // 10
Features = NDArray[np.float64]


class EgemapsSvm:
    """Functionals of every utterance, computed once, and a support vector machine per fold.

    Training is deterministic: all seeds give the same predictions.
    """

    def __init__(self, experiment: Experiment, progress: RunProgress) -> None:
        self.experiment = experiment
        self.progress = progress
        self._features: dict[str, Features] = {}

    def inputs(self) -> dict[str, str]:
        """Hash openSMILE's version in place of weights."""
        version = f"opensmile {_opensmile().__version__}"
        return {"features": hashlib.sha256(version.encode()).hexdigest()}

    def train(self, cell: FoldSeed) -> None:
        """Select C by UA on the validation part, and predict the test part."""
        began = time.perf_counter()
        labels = self.experiment.targets.labels
        parts = {name: self._part(ids, labels) for name, ids in cell.fold.parts.items()}
        svm, best = _select_svm(parts["train"], parts["validation"], len(labels))
        features, truth = parts["validation"]
        speakers = speakers_of(self.experiment.part(cell.fold.validation))
        calibrated = calibrate_grouped(_margins(svm, features, len(labels)), truth, speakers)
        logits = torch.from_numpy(_margins(svm, parts["test"][0], len(labels)))
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
        result = fold_metrics(cell, rows, labels, state, {}, time.perf_counter() - began)
        write_json(cell.folder / "metrics.json", result)

    def _part(self, ids: Sequence[str], labels: LabelSet) -> tuple[Features, NDArray[np.int64]]:
        features = self._all_features()
        truth = [labels.index(self.experiment.utterances[name].emotion or "") for name in ids]
        return np.stack([features[name] for name in ids]), np.array(truth)

    def _dataset(self, ids: Sequence[str], labels: LabelSet) -> SpeechDataset:
        targets = TargetEncoder(labels, None)
        return SpeechDataset(self.experiment.manifest, self.experiment.part(ids), targets)

    def _all_features(self) -> dict[str, Features]:
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
    """Compute or load eGeMAPSv02 functionals, (feature,) by utterance id, cached in a folder.

    Parts are stored until all are complete; parallel processes share them, and they survive
    interruptions.

    Args:
        folder: the cache folder; the file name has a digest of the utterances.
        manifest: the manifest, for audio paths.
        utterances: the utterances.
        progress: progress callbacks.
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    facts = [
        _opensmile().__version__,
        *(_dependencies(manifest, utterance) for utterance in ordered),
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    path = folder / f"egemaps-{digest}.npy"
    features = _load_cached(path, len(ordered))
    if features is None:
        path.unlink(missing_ok=True)
        _compute_all(path, manifest, ordered, progress)
        features = np.load(path)
    return dict(zip((utterance.id for utterance in ordered), features, strict=True))


def _load_cached(path: Path, count: int) -> Features | None:
    """Load cached functionals; None if missing or unusable."""
    try:
        features: Features = np.load(path)
    except UNREADABLE:
        return None
    return features if features.ndim == 2 and len(features) == count else None


def _compute_all(
    path: Path, manifest: Manifest, ordered: Sequence[Utterance], progress: RunProgress
) -> None:
    """Write the file from parts, which are removed afterwards."""
    folder, total, done = path.with_suffix(".parts"), len(ordered), 0
    starts = range(0, total, PART_UTTERANCES)
    parts = {folder / f"{at:08d}.npy": ordered[at : at + PART_UTTERANCES] for at in starts}
    extract = cache(_extractor)

    def is_complete(part: Path) -> bool:
        return part.is_file() or path.is_file()  # another process may have finished the file

    def make(part: Path) -> None:
        rows = []
        for utterance in parts[part]:
            rows.append(_compute(extract(), manifest, utterance))
            progress.features(done + len(rows), total)
        _save(part, np.stack(rows))

    for part in build_missing(list(parts), is_complete, make):
        done += len(parts[part])
    with folder_lock(path.parent / "egemaps", wait=True):
        if not path.is_file():
            _save(path, np.concatenate([np.load(part) for part in parts]))
    shutil.rmtree(folder, ignore_errors=True)


def _dependencies(manifest: Manifest, utterance: Utterance) -> list[Any]:
    """The inputs that an utterance's features depend on; AudioError if its file is missing."""
    name, _, *rest = recording_key(manifest, utterance)
    return [name, str(manifest.audio_path(utterance).resolve()), *rest]


def _compute(extract: Any, manifest: Manifest, utterance: Utterance) -> Features:
    audio = load_utterance(manifest, utterance)
    features: Features = extract(_pad(audio.samples))
    if not np.isfinite(features).all():
        raise AudioError(
            "invalid_audio", f"{utterance.id}: openSMILE returns no number; remove the utterance"
        )
    return features


def _pad(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pad with silence: openSMILE returns no number below its longest window."""
    return np.pad(samples, (0, max(0, _MIN_SAMPLES - len(samples))))


def _save(path: Path, values: Features) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    try:
        save_array(scratch, values)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _select_svm(
    train: tuple[Features, NDArray[np.int64]],
    validation: tuple[Features, NDArray[np.int64]],
    emotions: int,
) -> tuple[Any, float]:
    """The SVM with the best validation UA (the smaller C on ties), and that UA."""
    candidates = []
    for strength in STRENGTHS:
        svm = _fit_svm(*train, strength)
        predicted = _margins(svm, validation[0], emotions).argmax(axis=1)
        score = metrics.score_emotions(validation[1], predicted, emotions).ua
        candidates.append((score, -strength, svm))
    best = max(candidates, key=lambda candidate: candidate[:2])
    return best[2], best[0]


def _fit_svm(features: Features, truth: NDArray[np.int64], strength: float) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    svm = SVC(C=strength, kernel="linear", class_weight="balanced")
    return make_pipeline(StandardScaler(), svm).fit(features, truth)


def _margins(svm: Any, features: Features, emotions: int) -> Features:
    """Margins (utterance, emotion); an emotion without training data is never the highest."""
    scores = svm.decision_function(features)
    known = scores if scores.ndim == 2 else np.stack([-scores, scores], axis=1) / 2
    margins = np.full((len(features), emotions), known.min() - 30.0)
    margins[:, svm.classes_] = known
    return margins


def _extractor() -> Any:
    """A function from samples (sample,) to functionals (feature,)."""
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
