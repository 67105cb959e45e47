"""Calibration and selective classification: arrays in, floats out.

Temperature scaling divides the logits by one number (Guo et al. 2017, "On calibration of modern
neural networks"): it changes the scores, not the predicted class. A threshold on the highest score
then determines which predictions are reliable (Geifman and El-Yaniv 2017, "Selective classification
for deep neural networks"). Both are fitted on predictions for speakers held out of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.errors import ResultError

Floats = npt.NDArray[np.float64]

#: The range of temperatures; an optimum beyond it indicates too little data.
COLDEST, HOTTEST = 0.05, 20.0
#: Share of wrong answers that a threshold allows.
RISK = 0.1
#: Coverages at which the risk-coverage curve is recorded.
COVERAGES = tuple(step / 20 for step in range(1, 21))
#: Logits of a vector beyond a head's radius are divided by this power of its distance in radii.
#: 4 gave the highest likelihood on left-out corpora (LOG.md, 2026-11-29).
DISTANCE_POWER = 4
#: Maximum number of parts in which speakers are left out.
_PARTS = 10
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class TemperatureScaling:
    """The calibration stored with a model.

    Attributes:
        temperature: the emotion logits are divided by this.
        abstain_below: answers with a lower score are better not given; 0 gives all.
        utterances: number of utterances it was fitted on.
    """

    temperature: float = 1.0
    abstain_below: float = 0.0
    utterances: int = 0


UNCALIBRATED = TemperatureScaling()


@dataclass(frozen=True)
class Point:
    """A point of the risk-coverage curve: the share answered, and the share wrong among those."""

    coverage: float
    risk: float
    threshold: float
    """The lowest score among those answered."""


def calibrate(
    logits: npt.ArrayLike, truth: npt.ArrayLike, risk: float = RISK
) -> TemperatureScaling:
    """Fit the temperature, then the threshold on the scaled scores.

    Args:
        logits: (utterance, emotion), of speakers held out of training.
        truth: class indices (utterance,).
        risk: allowed share of wrong answers among those given.

    Raises:
        ResultError: no utterance, other shapes, or a true class with score -inf.
    """
    scores, indices = _check_scores(logits, truth)
    wrong = scores.argmax(axis=1) != indices
    # without errors the likelihood grows towards the coldest temperature: nothing can be fitted
    temperature = fit_temperature(scores, indices) if wrong.any() else 1.0
    probabilities = softmax(scores / temperature)
    return TemperatureScaling(temperature, abstention(probabilities, indices, risk), len(indices))


def calibrate_grouped(
    logits: npt.ArrayLike, truth: npt.ArrayLike, speakers: Sequence[str], risk: float = RISK
) -> TemperatureScaling:
    """Like ``calibrate``, but only where the temperature generalizes to other speakers.

    With fewer than two speakers nothing is fitted. The temperature is kept only if temperatures
    fitted without each speaker in turn increased the likelihood of the one left out; else it
    stays 1.

    Args:
        logits: (utterance, emotion), of speakers held out of training.
        truth: class indices (utterance,).
        speakers: the speaker of each utterance, (utterance,).
        risk: allowed share of wrong answers among those given.
    """
    scores, indices = _check_scores(logits, truth)
    if len(set(speakers)) < 2:
        return UNCALIBRATED
    scaling = calibrate(scores, indices, risk)
    if _likelihood_gain(scores, indices, speakers) > 0:
        return scaling
    return TemperatureScaling(1.0, abstention(softmax(scores), indices, risk), len(indices))


def _likelihood_gain(
    scores: Floats, truth: npt.NDArray[np.int64], speakers: Sequence[str]
) -> float:
    """Log-likelihood gain, in nats, from temperatures fitted on the other speakers."""
    parts = np.unique(np.asarray(speakers, dtype=np.str_), return_inverse=True)[1] % _PARTS
    total = 0.0
    for part in set(parts.tolist()):
        held_out = parts == part
        inverse = 1 / calibrate(scores[~held_out], truth[~held_out]).temperature
        gain = _loss(scores[held_out], truth[held_out], 1.0) - _loss(
            scores[held_out], truth[held_out], inverse
        )
        total += gain * int(held_out.sum())
    return total


def _loss(scores: Floats, truth: npt.NDArray[np.int64], inverse: float) -> float:
    """Mean negative log-likelihood at an inverse temperature."""
    scaled = scores * inverse
    highest = scaled.max(axis=1, keepdims=True)
    total = np.log(np.exp(scaled - highest).sum(axis=1)) + highest[:, 0]
    return float(np.mean(total - scaled[np.arange(len(truth)), truth]))


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The temperature with the lowest negative log-likelihood, by golden-section search.

    The problem is convex in the inverse temperature, so the optimum is unique. Where all answers
    are right the likelihood grows towards the coldest temperature, which is then returned.

    Args:
        logits: (utterance, emotion).
        truth: class indices (utterance,).
    """
    scores, indices = _check_scores(logits, truth)
    low, high = 1 / HOTTEST, 1 / COLDEST
    while high - low > 1e-6 * high:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        colder = _loss(scores, indices, left) <= _loss(scores, indices, right)
        low, high = (low, right) if colder else (left, high)
    return 2 / (low + high)


def abstention(probabilities: npt.ArrayLike, truth: npt.ArrayLike, risk: float = RISK) -> float:
    """The lowest threshold at which the share of wrong answers stays within ``risk``.

    Where no threshold achieves this, it is the highest score in the data: almost nothing is
    answered then.

    Args:
        probabilities: (utterance, emotion).
        truth: class indices (utterance,).
        risk: allowed share of wrong answers among those given, from 0 to 1.
    """
    if not 0 <= risk <= 1:
        raise ResultError(f"expected a risk from 0 to 1, got {risk}")
    confidence, risks = _selective(*_check_scores(probabilities, truth))
    last = _ends_of_ties(confidence)
    allowed = np.flatnonzero(last & (risks <= risk))
    if len(allowed) == 0:
        return float(confidence[0])
    cut = int(allowed[-1])
    return 0.0 if cut == len(confidence) - 1 else float(confidence[cut])


def risk_coverage(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Point, ...]:
    """The share of wrong answers among the most confident ones, at ``COVERAGES``.

    Args:
        probabilities: (utterance, emotion).
        truth: class indices (utterance,).
    """
    confidence, risks = _selective(*_check_scores(probabilities, truth))
    count = len(confidence)
    indices = [max(1, round(coverage * count)) - 1 for coverage in COVERAGES]
    return tuple(
        Point((index + 1) / count, float(risks[index]), float(confidence[index]))
        for index in dict.fromkeys(indices)
    )


def aurc(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The area under the risk-coverage curve: its mean risk over all coverages."""
    return float(np.mean(_selective(*_check_scores(probabilities, truth))[1]))


def softmax(logits: npt.ArrayLike) -> Floats:
    """Convert logits to probabilities over the last axis, in float64."""
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def flattened(logits: npt.ArrayLike, standardised: npt.ArrayLike, radius: float) -> Floats:
    """Flatten the logits of vectors that are far from the training sources.

    A linear head's confidence grows with the distance of the vector, but distant vectors come from
    sounds, rooms and microphones that it was not trained on. The predicted class is unchanged.

    Args:
        logits: (..., emotion).
        standardised: the head's input, (..., feature); its distance is its root mean square.
        radius: distance up to which the logits are unchanged, above 0; infinity for all.
    """
    square = np.square(np.asarray(standardised, dtype=np.float64)).mean(axis=-1, keepdims=True)
    divisor = np.maximum(square / radius**2, 1.0) ** (DISTANCE_POWER / 2)
    flat: Floats = np.asarray(logits, dtype=np.float64) / divisor
    return flat


def undo_temperature(probabilities: npt.ArrayLike, temperature: npt.ArrayLike) -> Floats:
    """Undo the division by temperatures (utterance,) of probabilities (utterance, emotion).

    Values rounded to 0 stay 0.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    powers = values ** np.asarray(temperature, dtype=np.float64)[:, None]
    unscaled: Floats = powers / powers.sum(axis=1, keepdims=True)
    return unscaled


def _selective(probabilities: Floats, truth: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Highest scores in descending order, and the share of wrong answers down to each."""
    confidence = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != truth
    order = np.argsort(-confidence, kind="stable")
    return confidence[order], np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)


def _ends_of_ties(confidence: Floats) -> npt.NDArray[np.bool_]:
    """Possible positions of a threshold: equal scores are answered together."""
    ends: npt.NDArray[np.bool_] = np.append(confidence[:-1] > confidence[1:], True)
    return ends


def _check_scores(
    values: npt.ArrayLike, truth: npt.ArrayLike
) -> tuple[Floats, npt.NDArray[np.int64]]:
    scores, indices = np.asarray(values, dtype=np.float64), np.asarray(truth)
    if scores.ndim != 2 or indices.shape != scores.shape[:1] or len(indices) == 0:
        raise ResultError(
            "expected scores and truth of shapes (utterance, emotion) and (utterance,) with at "
            f"least one utterance, got shapes {scores.shape} and {indices.shape}"
        )
    if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= scores.shape[1]:
        raise ResultError(f"expected class indices from 0 to {scores.shape[1] - 1} in truth")
    if np.isnan(scores).any() or not np.isfinite(scores[np.arange(len(indices)), indices]).all():
        raise ResultError("expected numbers, finite for the true class, got NaN or infinity")
    return scores, indices.astype(np.int64)


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Log-probabilities over the last axis, in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
