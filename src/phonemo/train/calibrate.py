"""Calibration on speakers the network was not trained on, stored in the network's config."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.corpora.manifest import Utterance
from phonemo.errors import CheckpointError, LeakageError, ResultError
from phonemo.evaluation.calibration import (
    UNCALIBRATED,
    Floats,
    TemperatureScaling,
    calibrate,
    calibrate_grouped,
)
from phonemo.evaluation.prediction_rows import labeled_rows
from phonemo.evaluation.summary import full_scores
from phonemo.files import CHECKSUMS, checksummed_folder, loads_json
from phonemo.model.losses import ABSENT
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.bundle import is_bundle, open_bundle, write_bundle
from phonemo.train.dataset import SpeechDataset
from phonemo.train.evaluate import outputs_of
from phonemo.train.model_folder import load_trained
from phonemo.train.provenance import PROVENANCE, Provenance, provenance_of

#: Stands in for a score of 0, which was rounded: half of the smallest score that is not.
_LEAST = 5e-7


def calibrate_validation(
    model: PhonemoForAudioClassification, validation: SpeechDataset, batch_size: int
) -> TemperatureScaling:
    """Fit temperature and threshold on utterances the network was not trained on."""
    outputs = outputs_of(model, validation, batch_size, timed=False)
    known = outputs.labels != ABSENT
    if not bool(known.any()):
        return UNCALIBRATED
    labeled = [
        utterance
        for utterance, is_known in zip(validation.utterances, known.tolist(), strict=True)
        if is_known
    ]
    logits, labels = outputs.logits[known].numpy(), outputs.labels[known].numpy()
    return calibrate_grouped(logits, labels, speakers_of(labeled))


def speakers_of(utterances: Iterable[Utterance]) -> list[str]:
    """Return each utterance's speaker; without one, an utterance is its own group."""
    return [utterance.speaker or f"utterance {utterance.id}" for utterance in utterances]


def calibrate_rows(rows: Sequence[Mapping[str, Any]], risk: float) -> TemperatureScaling:
    """Fit temperature and threshold on written predictions, as of ``phonemo evaluate --output``.

    Rows may come from networks with different emotions; a temperature already applied is undone.
    The fit does not require a minimum number of speakers. Where a prediction was restricted to
    some emotions, the scores over all emotions are used.

    Args:
        rows: predictions for speakers their models were not trained on.
        risk: allowed share of wrong predictions among those given.

    Raises:
        ResultError: no row, or one without scores and truth.
        LeakageError: a row is marked as leaky: its model was trained on its corpus.
    """
    rows = labeled_rows(rows)  # others have ratings only
    leaky = sum(row.get("leaky") is True for row in rows)
    if leaky:
        raise LeakageError(
            f"expected predictions for unseen speakers, got {leaky} of {len(rows)} from models "
            "trained on them; calibrate on other speakers"
        )
    try:
        row_scores = [full_scores(row) for row in rows]
        names = sorted({name for scores in row_scores for name in scores})
        truth = [names.index(row["truth"]) for row in rows]
        logits = np.stack([_logits(row, names) for row in rows])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ResultError(
            "expected rows with scores and truth, got others; write them with phonemo evaluate "
            "--output"
        ) from error
    return calibrate(logits, np.array(truth), risk)


def store_calibration(model: PhonemoForAudioClassification, calibrated: TemperatureScaling) -> None:
    """Write a calibration into the network's config, from which folder and bundle get it."""
    for name, value in _fields(calibrated).items():
        setattr(model.config, name, value)


def stored_calibration(model: PhonemoForAudioClassification) -> TemperatureScaling:
    """Return what ``store_calibration`` wrote; without that, the config's neutral defaults."""
    config = model.config
    return TemperatureScaling(config.temperature, config.abstain_below, config.calibrated_on)


def recalibrate(
    folder: Path,
    target: Path,
    calibrated: TemperatureScaling,
    data_provenance: Provenance | None = None,
) -> None:
    """Copy a model folder or a bundle with another calibration and the same weights.

    Args:
        folder: what ``phonemo train`` or ``phonemo export`` wrote.
        target: the folder to write; a bundle may be overwritten in place.
        calibrated: the temperature and the threshold.
        data_provenance: of the calibration data, if known, so that it is never tested on later.

    Raises:
        CheckpointError: the folder is neither, or the target exists.
    """
    check_new(folder, target)
    if is_bundle(folder):
        bundle = open_bundle(folder)
        card = bundle.card.model_dump(exclude={"sha256"}) | _fields(calibrated)
        write_bundle(target, bundle.model, card, bundle.head, bundle.adaptation, bundle.decoder)
        return
    load_trained(folder)
    provenance = provenance_of(folder) | (data_provenance or Provenance())
    checksummed = loads_json((folder / CHECKSUMS).read_text(encoding="utf-8"))["sha256"]
    with checksummed_folder(target) as scratch:
        for name in checksummed:
            shutil.copyfile(folder / name, scratch / name)
        config = loads_json((scratch / "config.json").read_text(encoding="utf-8"))
        text = json.dumps(dict(sorted((config | _fields(calibrated)).items())), indent=2)
        (scratch / "config.json").write_text(text + "\n", encoding="utf-8")
        if data_provenance is not None:
            (scratch / PROVENANCE).write_text(json.dumps(provenance.to_json()), encoding="utf-8")
    for path in folder.iterdir():  # such as a model card, which is not part of the checksums
        if path.is_file() and path.name not in (*checksummed, CHECKSUMS):
            shutil.copyfile(path, target / path.name)


def check_new(folder: Path, target: Path) -> None:
    """Refuse an existing target; a bundle may be overwritten in place."""
    same = is_bundle(folder) and target.resolve() == folder.resolve()
    if target.exists() and not same:
        raise CheckpointError(f"{target}: expected a new folder, got an existing one; name another")


def check_unseen(leaks: Sequence[str]) -> None:
    """Refuse to calibrate on training data, where a model is always confident."""
    if leaks:
        raise LeakageError(f"{leaks[0]}; calibrate on speakers it was not trained on")


def _fields(calibrated: TemperatureScaling) -> dict[str, Any]:
    return {
        "temperature": round(calibrated.temperature, 6),
        # rounded down, so that the prediction it was taken from is still given
        "abstain_below": math.floor(1e6 * calibrated.abstain_below) / 1e6,
        "calibrated_on": calibrated.utterances,
    }


def _logits(row: Mapping[str, Any], names: Sequence[str]) -> Floats:
    """Return logits (emotion,) up to a constant; minus infinity for impossible emotions."""
    temperature = float(row.get("temperature", 1.0))
    full = full_scores(row)
    scores = {name: temperature * np.log(max(float(score), _LEAST)) for name, score in full.items()}
    return np.array([scores.get(name, -np.inf) for name in names])
