"""How sure a network is: fitted on speakers that it has not learnt from, kept in its config."""

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
from phonemo.evaluation.summary import full_scores
from phonemo.files import CHECKSUMS, checksummed_folder, loads_json
from phonemo.model.losses import ABSENT
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.bundle import is_bundle, open_bundle, write_bundle
from phonemo.train.dataset import SpeechDataset
from phonemo.train.evaluate import outputs_of
from phonemo.train.model_folder import load_trained
from phonemo.train.provenance import PROVENANCE, Provenance, provenance_of

#: A score of 0 was rounded; its logarithm is taken of half of what would not have been.
_LEAST = 5e-7


def calibrate_validation(
    model: PhonemoForAudioClassification, validation: SpeechDataset, batch_size: int
) -> TemperatureScaling:
    """Temperature and threshold from utterances that the network has not learnt from."""
    found = outputs_of(model, validation, batch_size, timed=False)
    known = found.labels != ABSENT
    if not bool(known.any()):
        return UNCALIBRATED
    said = [one for one, has in zip(validation.utterances, known.tolist(), strict=True) if has]
    logits, labels = found.logits[known].numpy(), found.labels[known].numpy()
    return calibrate_grouped(logits, labels, speakers_of(said))


def speakers_of(utterances: Iterable[Utterance]) -> list[str]:
    """Who is heard in each; an utterance of nobody known stands for itself."""
    return [one.speaker or f"utterance {one.id}" for one in utterances]


def calibrate_rows(rows: Sequence[Mapping[str, Any]], risk: float) -> TemperatureScaling:
    """The same from written answers, such as of ``phonemo evaluate --output``.

    Rows may be of networks that know different emotions; what temperature they had already is
    undone. It is fitted as it was asked for, however few the speakers are. Where an answer was
    chosen among some emotions, the scores among all count, as they do for whoever asks for none
    in particular.

    Args:
        rows: of speakers that their models had not learnt from.
        risk: share of wrong answers that is allowed among those given.

    Raises:
        ResultError: no row, or one without scores and truth.
        LeakageError: a row says that its model had learnt from its corpus.
    """
    leaky = sum(row.get("leaky") is True for row in rows)
    if leaky:
        raise LeakageError(
            f"{leaky} of {len(rows)} answers are of models that had heard their speakers; "
            "calibrate on speakers that they have not heard"
        )
    try:
        given = [full_scores(row) for row in rows]
        names = sorted({name for scores in given for name in scores})
        truth = [names.index(row["truth"]) for row in rows]
        logits = np.stack([_logits(row, names) for row in rows])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ResultError(
            "rows with scores and truth are wanted, as phonemo evaluate --output writes them"
        ) from error
    return calibrate(logits, np.array(truth), risk)


def store_calibration(model: PhonemoForAudioClassification, calibrated: TemperatureScaling) -> None:
    """Write it into the network's config, which its folder and its bundle are made of."""
    for name, value in _fields(calibrated).items():
        setattr(model.config, name, value)


def stored_calibration(model: PhonemoForAudioClassification) -> TemperatureScaling:
    """What ``store_calibration`` wrote; a network without it is left as it is."""
    config = model.config
    return TemperatureScaling(config.temperature, config.abstain_below, config.calibrated_on)


def recalibrate(
    folder: Path, target: Path, calibrated: TemperatureScaling, heard: Provenance | None = None
) -> None:
    """Write a model folder or a bundle again with another calibration and the same weights.

    Args:
        folder: what ``phonemo train`` or ``phonemo export`` wrote.
        target: the folder to write; a bundle may be written over itself.
        calibrated: the temperature and the threshold.
        heard: whose answers it was fitted on, where that is known: no test is made of them later.

    Raises:
        CheckpointError: the folder is neither, or the target is there already.
    """
    check_new(folder, target)
    if is_bundle(folder):
        bundle = open_bundle(folder)
        says = bundle.card.model_dump(exclude={"sha256"}) | _fields(calibrated)
        write_bundle(target, bundle.model, says, bundle.head, bundle.adaptation)
        return
    load_trained(folder)
    past = provenance_of(folder) | (heard or Provenance())
    sealed = loads_json((folder / CHECKSUMS).read_text(encoding="utf-8"))["sha256"]
    with checksummed_folder(target) as scratch:
        for name in sealed:
            shutil.copyfile(folder / name, scratch / name)
        config = loads_json((scratch / "config.json").read_text(encoding="utf-8"))
        text = json.dumps(dict(sorted((config | _fields(calibrated)).items())), indent=2)
        (scratch / "config.json").write_text(text + "\n", encoding="utf-8")
        if heard is not None:
            (scratch / PROVENANCE).write_text(json.dumps(past.to_json()), encoding="utf-8")
    for path in folder.iterdir():  # such as a model card, which changes without the model
        if path.is_file() and path.name not in (*sealed, CHECKSUMS):
            shutil.copyfile(path, target / path.name)


def check_new(folder: Path, target: Path) -> None:
    """Refuse to write over something; a bundle may be written over itself."""
    same = is_bundle(folder) and target.resolve() == folder.resolve()
    if target.exists() and not same:
        raise CheckpointError(f"{target}: is there already; name a new folder")


def check_unseen(leaks: Sequence[str]) -> None:
    """Refuse to calibrate on what a model has learnt from: it is always sure of that."""
    if leaks:
        raise LeakageError(f"{leaks[0]}; calibrate on speakers that it has not heard")


def _fields(calibrated: TemperatureScaling) -> dict[str, Any]:
    return {
        "temperature": round(calibrated.temperature, 6),
        # rounded down: the answer that it was taken from is still given
        "abstain_below": math.floor(1e6 * calibrated.abstain_below) / 1e6,
        "calibrated_on": calibrated.utterances,
    }


def _logits(row: Mapping[str, Any], names: Sequence[str]) -> Floats:
    """Logits (emotion,) up to a constant; minus infinity for what could not be chosen."""
    heat = float(row.get("temperature", 1.0))
    given = full_scores(row)
    scores = {name: heat * np.log(max(float(one), _LEAST)) for name, one in given.items()}
    return np.array([scores.get(name, -np.inf) for name in names])
