"""A head fitted from a start model: its statistics, how much it is trusted, and the final fit.

Training vectors are standardised by their own source, as a profile would, and the head is drawn
towards the start's. How strongly is picked by speakers left out inside the training part.
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
from phonemo.train.head_prior import Indices, Linear, Prior, fit_towards
from phonemo.train.linear_head import keep_reference

#: Precisions of the prior that are tried; 0 is none, infinity is the start's head as it is.
STRENGTHS = (0.0, 10.0, 100.0, 1000.0, np.inf)
#: Where too few speakers are there to pick one.
USUAL_STRENGTH = 100.0
#: Parts that speakers are put into, to pick and to calibrate on those that a head has not met.
_PARTS = 5
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Started:
    """What was done, for the run's report.

    Attributes:
        shared: emotions that the start has too.
        fresh: those that were learnt from nothing.
        standardised_by: "source" or "speaker".
        strength: of the prior; None stands for infinity, the start's head as it is.
        picked_by: speakers that it was picked by; 0 where it was given or is the usual one.
        scores: by strength, the mean UA on speakers left out, without and with their profiles.
    """

    shared: tuple[str, ...]
    fresh: tuple[str, ...]
    standardised_by: str
    strength: float | None
    picked_by: int
    scores: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Examples:
    """Labelled vectors (utterance, feature) with their speakers."""

    vectors: Floats
    truth: Indices
    speakers: Names

    def where(self, chosen: Any) -> _Examples:
        return _Examples(self.vectors[chosen], self.truth[chosen], self.speakers[chosen])


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A head and the statistics of what it was fitted on."""

    source: Statistics
    head: Linear

    def logits(self, vectors: Floats, reference: Reference, by_speaker: Names | None) -> Floats:
        return self.head.logits(_standardised(vectors, self.source, reference, by_speaker))


def fit_from_start(
    model: PhonemoForAudioClassification, training: SpeechDataset, prior: Prior, train: TrainConfig
) -> tuple[TemperatureScaling, Started]:
    """Fit the linear head of a model, from a start; the rest of it stays as it is.

    Args:
        model: whose vectors are those of the start; its head and its reference are overwritten.
        training: what to learn from, unchanged by augmentation; without an emotion it is left out.
        prior: the start's head, and the statistics of its sources.
        train: inverse_penalty, prior_strength, standardise_by and batch_size.

    Returns:
        How sure it is, from heads like it that had not learnt from the speaker; what was done.
    """
    assert isinstance(model.head, LinearHead)
    examples = _examples(model, training, train.batch_size)
    strength, scores = train.prior_strength, dict[float, float]()
    if strength is None:
        scores = _scores(examples, prior, train)
        # of equal ones the strongest: it departs least from what is known
        strength = max(scores, key=lambda one: (scores[one], one), default=USUAL_STRENGTH)
    fitted = _fit(examples, prior, strength, train)
    _write(model, fitted, examples, prior, train)
    picked_by = len(set(examples.speakers.tolist())) if scores else 0
    done = _done(training.targets.labels, prior, train, strength, picked_by, scores)
    return _calibrated(examples, prior, strength, train), done


def _examples(
    model: PhonemoForAudioClassification, training: SpeechDataset, batch_size: int
) -> _Examples:
    found = outputs_of(model, training, batch_size, timed=False)
    assert found.vectors is not None
    known = (found.labels != ABSENT).numpy()
    said = [one for one, has in zip(training.utterances, known, strict=True) if has]
    vectors = found.vectors.double().numpy()[known]
    return _Examples(vectors, found.labels.numpy()[known], np.array(speakers_of(said)))


def _fit(examples: _Examples, prior: Prior, strength: float, train: TrainConfig) -> _Fitted:
    source = shrink_towards(moments(examples.vectors, prior.reference), prior.reference)
    return _Fitted(
        source,
        fit_towards(
            _training_view(examples, source, prior, train),
            examples.truth,
            prior,
            strength,
            train.inverse_penalty,
        ),
    )


def _training_view(
    examples: _Examples, source: Statistics, prior: Prior, train: TrainConfig
) -> Floats:
    speakers = examples.speakers if train.standardise_by == "speaker" else None
    return _standardised(examples.vectors, source, prior.reference, speakers)


def _standardised(
    vectors: Floats, source: Statistics, reference: Reference, by_speaker: Names | None
) -> Floats:
    """By the source, or by each speaker's own statistics, shrunk towards the source."""
    if by_speaker is None:
        return (vectors - source.mean) / source.deviation
    found = np.empty_like(vectors)
    for speaker in np.unique(by_speaker):
        own = by_speaker == speaker
        one = shrink_towards(moments(vectors[own], reference), reference, source)
        found[own] = (vectors[own] - one.mean) / one.deviation
    return found


def _scores(examples: _Examples, prior: Prior, train: TrainConfig) -> dict[float, float]:
    """By strength, the UA on speakers left out: the mean of without and with their profiles."""
    parts = _parts(examples)
    if not parts:
        return {}
    classes, found = len(prior.known), {}
    for strength in STRENGTHS:
        guesses = np.zeros((2, len(examples.truth)), dtype=np.int64)
        for away in parts:
            fitted, tested = (
                _fit(examples.where(~away), prior, strength, train),
                examples.where(away),
            )
            for row, by in enumerate((None, tested.speakers)):
                logits = fitted.logits(tested.vectors, prior.reference, by)
                guesses[row, away] = logits.argmax(axis=1)
        uas = [metrics.score_emotions(examples.truth, one, classes).ua for one in guesses]
        found[strength] = float(np.mean(uas))
    return found


def _parts(examples: _Examples) -> list[npt.NDArray[np.bool_]]:
    """Which utterances are left out together: whole speakers; none where there are too few."""
    from sklearn.model_selection import GroupKFold

    count = min(_PARTS, len(set(examples.speakers.tolist())))
    if count < 2:
        return []
    found = []
    for learnt, tested in GroupKFold(count).split(examples.vectors, groups=examples.speakers):
        if len(set(examples.truth[learnt].tolist())) < 2:
            return []
        found.append(np.isin(np.arange(len(examples.truth)), tested))
    return found


def _calibrated(
    examples: _Examples, prior: Prior, strength: float, train: TrainConfig
) -> TemperatureScaling:
    """Temperature and threshold from heads that each left some speakers out, all in turn."""
    parts = _parts(examples)
    if not parts:
        return UNCALIBRATED
    logits = np.zeros((len(examples.truth), len(prior.known)))
    for away in parts:
        fitted = _fit(examples.where(~away), prior, strength, train)
        logits[away] = fitted.logits(examples.vectors[away], prior.reference, None)
    return calibrate_grouped(logits, examples.truth, examples.speakers.tolist())


def _write(
    model: PhonemoForAudioClassification,
    fitted: _Fitted,
    examples: _Examples,
    prior: Prior,
    train: TrainConfig,
) -> None:
    """The head, the statistics of its source, and how much a pool is trusted, as the start does."""
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
    standardised = _training_view(examples, fitted.source, prior, train)
    means = prior.class_means.copy()
    for emotion in np.unique(examples.truth):
        means[emotion] = standardised[examples.truth == emotion].mean(axis=0)
    trust = {"k_mean": reference.k_mean, "k_spread": reference.k_spread}
    keep_reference(model, means, **trust, em_iterations=reference.em_iterations)


def _done(
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
        scores={f"{one:g}": round(score, 4) for one, score in scores.items()},
    )
