"""Fit a linear head with a prior taken from a start model.

Training vectors are standardized by their own source, as under a profile, and the head is drawn
towards the start's. The strength is picked by cross-validation over the training speakers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from phonemo.config import TrainConfig
from phonemo.evaluation import metrics
from phonemo.evaluation.calibration import (
    UNCALIBRATED,
    Floats,
    TemperatureScaling,
    calibrate_grouped,
)
from phonemo.labels import LabelSet
from phonemo.model.heads import LinearHead
from phonemo.model.losses import ABSENT
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation.statistics import Reference, Statistics, moments, shrink_towards
from phonemo.train.calibrate import speakers_of
from phonemo.train.dataset import SpeechDataset
from phonemo.train.evaluate import outputs_of
from phonemo.train.heads.head_prior import Indices, Linear, Prior, fit_towards
from phonemo.train.heads.linear_head import keep_reference

#: Candidate precisions of the prior; 0 is no prior, infinity keeps the start's head.
STRENGTHS = (0.0, 10.0, 100.0, 1000.0, np.inf)
#: Used with too few speakers to pick one.
USUAL_STRENGTH = 100.0
#: Folds over speakers, for picking and for calibration.
_PARTS = 5
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Started:
    """Summary of the fit, for the run's report.

    Attributes:
        shared: emotions that the start has too.
        fresh: emotions trained without a prior.
        standardised_by: "source" or "speaker".
        strength: precision of the prior; None is infinity, the start's head unchanged.
        picked_by: number of speakers the strength was picked by; 0 if it was given or the default.
        scores: by strength, the UA on held-out speakers, averaged over without and with profiles.
    """

    shared: tuple[str, ...]
    fresh: tuple[str, ...]
    standardised_by: str
    strength: float | None
    picked_by: int
    scores: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Examples:
    """Labelled vectors (utterance, feature) with their speakers."""

    vectors: Floats
    truth: Indices
    speakers: Names

    def where(self, mask: Any) -> _Examples:
        return _Examples(self.vectors[mask], self.truth[mask], self.speakers[mask])


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A head and the statistics of its training vectors."""

    source: Statistics
    head: Linear

    def logits(self, vectors: Floats, reference: Reference, by_speaker: Names | None) -> Floats:
        return self.head.logits(_standardize(vectors, self.source, reference, by_speaker))


def fit_from_start(
    model: PhonemoForAudioClassification, training: SpeechDataset, prior: Prior, train: TrainConfig
) -> tuple[TemperatureScaling, Started]:
    """Fit a model's linear head with a prior; the rest of the model is unchanged.

    Args:
        model: has the same vectors as the start; its head and its reference are overwritten.
        training: the data, without augmentation; utterances without an emotion are skipped.
        prior: the start's head, and the statistics of its sources.
        train: inverse_penalty, prior_strength, standardise_by and batch_size.

    Returns:
        The calibration, from heads cross-validated over speakers, and a summary.
    """
    assert isinstance(model.head, LinearHead)
    examples = _examples(model, training, train.batch_size)
    strength, scores = train.prior_strength, dict[float, float]()
    if strength is None:
        scores = _scores(examples, prior, train)
        # on a tie the strongest, which stays closest to the start
        strength = max(
            scores, key=lambda candidate: (scores[candidate], candidate), default=USUAL_STRENGTH
        )
    fitted = _fit(examples, prior, strength, train)
    _write(model, fitted, examples, prior, train)
    picked_by = len(set(examples.speakers.tolist())) if scores else 0
    summary = _summary(training.targets.labels, prior, train, strength, picked_by, scores)
    return _calibrated(examples, prior, strength, train), summary


def _examples(
    model: PhonemoForAudioClassification, training: SpeechDataset, batch_size: int
) -> _Examples:
    outputs = outputs_of(model, training, batch_size, timed=False)
    assert outputs.vectors is not None
    known = (outputs.labels != ABSENT).numpy()
    labeled = [
        utterance
        for utterance, is_known in zip(training.utterances, known, strict=True)
        if is_known
    ]
    vectors = outputs.vectors.double().numpy()[known]
    return _Examples(vectors, outputs.labels.numpy()[known], np.array(speakers_of(labeled)))


def _fit(examples: _Examples, prior: Prior, strength: float, train: TrainConfig) -> _Fitted:
    source = shrink_towards(moments(examples.vectors, prior.reference), prior.reference)
    return _Fitted(
        source,
        fit_towards(
            _standardize_training(examples, source, prior, train),
            examples.truth,
            prior,
            strength,
            train.inverse_penalty,
        ),
    )


def _standardize_training(
    examples: _Examples, source: Statistics, prior: Prior, train: TrainConfig
) -> Floats:
    speakers = examples.speakers if train.standardise_by == "speaker" else None
    return _standardize(examples.vectors, source, prior.reference, speakers)


def _standardize(
    vectors: Floats, source: Statistics, reference: Reference, by_speaker: Names | None
) -> Floats:
    """Standardize by the source, or by each speaker's statistics shrunk towards the source."""
    if by_speaker is None:
        return (vectors - source.mean) / source.deviation
    standardized = np.empty_like(vectors)
    for speaker in np.unique(by_speaker):
        own = by_speaker == speaker
        statistics = shrink_towards(moments(vectors[own], reference), reference, source)
        standardized[own] = (vectors[own] - statistics.mean) / statistics.deviation
    return standardized


def _scores(examples: _Examples, prior: Prior, train: TrainConfig) -> dict[float, float]:
    """Map each strength to the UA on held-out speakers, averaged over without and with profiles."""
    masks = _speaker_masks(examples)
    if not masks:
        return {}
    classes, scores = len(prior.known), {}
    for strength in STRENGTHS:
        guesses = np.zeros((2, len(examples.truth)), dtype=np.int64)
        for held_out in masks:
            fitted, tested = (
                _fit(examples.where(~held_out), prior, strength, train),
                examples.where(held_out),
            )
            for row, by in enumerate((None, tested.speakers)):
                logits = fitted.logits(tested.vectors, prior.reference, by)
                guesses[row, held_out] = logits.argmax(axis=1)
        uas = [
            metrics.score_emotions(examples.truth, row_guesses, classes).ua
            for row_guesses in guesses
        ]
        scores[strength] = float(np.mean(uas))
    return scores


def _speaker_masks(examples: _Examples) -> list[npt.NDArray[np.bool_]]:
    """Return masks (utterance,) of speakers held out together; none with too few speakers."""
    from sklearn.model_selection import GroupKFold

    count = min(_PARTS, len(set(examples.speakers.tolist())))
    if count < 2:
        return []
    masks = []
    for train_rows, test_rows in GroupKFold(count).split(
        examples.vectors, groups=examples.speakers
    ):
        if len(set(examples.truth[train_rows].tolist())) < 2:
            return []
        masks.append(np.isin(np.arange(len(examples.truth)), test_rows))
    return masks


def _calibrated(
    examples: _Examples, prior: Prior, strength: float, train: TrainConfig
) -> TemperatureScaling:
    """Fit temperature and threshold on cross-validated logits, split by speaker."""
    masks = _speaker_masks(examples)
    if not masks:
        return UNCALIBRATED
    logits = np.zeros((len(examples.truth), len(prior.known)))
    for held_out in masks:
        fitted = _fit(examples.where(~held_out), prior, strength, train)
        logits[held_out] = fitted.logits(examples.vectors[held_out], prior.reference, None)
    return calibrate_grouped(logits, examples.truth, examples.speakers.tolist())


def _write(
    model: PhonemoForAudioClassification,
    fitted: _Fitted,
    examples: _Examples,
    prior: Prior,
    train: TrainConfig,
) -> None:
    """Write the head and its source's statistics; shrinkage constants are the start's."""
    head, reference = model.head, prior.reference
    assert isinstance(head, LinearHead)
    with torch.no_grad():
        for tensor, values in (
            (head.standardise.centre, fitted.source.mean),
            (head.standardise.spread, fitted.source.deviation),
            (head.linear.weight, fitted.head.weight),
            (head.linear.bias, fitted.head.bias),
        ):
            tensor.copy_(torch.from_numpy(values))
    standardized = _standardize_training(examples, fitted.source, prior, train)
    means = prior.class_means.copy()
    for emotion in np.unique(examples.truth):
        means[emotion] = standardized[examples.truth == emotion].mean(axis=0)
    shrinkage = {"k_mean": reference.k_mean, "k_spread": reference.k_spread}
    keep_reference(model, means, **shrinkage, em_iterations=reference.em_iterations)


def _summary(
    labels: LabelSet,
    prior: Prior,
    train: TrainConfig,
    strength: float,
    picked_by: int,
    scores: dict[float, float],
) -> Started:
    pairs = list(zip(labels.names, prior.known.tolist(), strict=True))
    return Started(
        shared=tuple(name for name, known in pairs if known),
        fresh=tuple(name for name, known in pairs if not known),
        standardised_by=train.standardise_by,
        strength=None if np.isinf(strength) else float(strength),
        picked_by=picked_by,
        scores={f"{candidate:g}": round(score, 4) for candidate, score in scores.items()},
    )
