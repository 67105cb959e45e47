"""Scores that mean what they say, and when to give no answer: arrays in, floats out.

Temperature scaling divides the logits by one number (Guo et al. 2017, "On calibration of modern
neural networks"): it changes no answer, only how sure it sounds. A threshold on the highest score
then says which answers to give at all (Geifman and El-Yaniv 2017, "Selective classification for
deep neural networks"). Both are fitted on answers for speakers that were not learnt from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.errors import ResultError

Floats = npt.NDArray[np.float64]

#: Temperatures that are considered; a better one beyond them means too little data.
COLDEST, HOTTEST = 0.05, 20.0
#: Share of wrong answers that a threshold allows.
RISK = 0.1
#: Coverages at which the risk-coverage curve is written down.
COVERAGES = tuple(step / 20 for step in range(1, 21))
#: Logits of a vector that is further away than a head's radius are divided by this power of how
#: many radii it is away. 4 made corpora left out likeliest (LOG.md, 2026-11-29).
DISTANCE_POWER = 4
#: Speakers are left out in at most so many parts.
_PARTS = 10
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class TemperatureScaling:
    """What is stored with a model.

    Attributes:
        temperature: the emotion logits are divided by this.
        abstain_below: answers with a lower score than this are better not given; 0 gives all.
        utterances: how many it was fitted on.
    """

    temperature: float = 1.0
    abstain_below: float = 0.0
    utterances: int = 0


UNCALIBRATED = TemperatureScaling()


@dataclass(frozen=True)
class Point:
    """A point of the risk-coverage curve: the share that is answered, and wrong among those."""

    coverage: float
    risk: float
    threshold: float
    """The lowest score among those answered."""


def calibrate(
    logits: npt.ArrayLike, truth: npt.ArrayLike, risk: float = RISK
) -> TemperatureScaling:
    """Fit the temperature, then the threshold on the scores that it makes.

    Args:
        logits: (utterance, emotion), of speakers that were not learnt from.
        truth: class indices (utterance,).
        risk: share of wrong answers that is allowed among those given.

    Raises:
        ResultError: no utterance, other shapes, or a true class that could not be chosen.
    """
    scores, indices = _checked(logits, truth)
    wrong = scores.argmax(axis=1) != indices
    # without an error any colder temperature is likelier still: there is nothing to learn from
    temperature = fit_temperature(scores, indices) if wrong.any() else 1.0
    probabilities = softmax(scores / temperature)
    return TemperatureScaling(temperature, abstention(probabilities, indices, risk), len(indices))


def calibrate_grouped(
    logits: npt.ArrayLike, truth: npt.ArrayLike, speakers: Sequence[str], risk: float = RISK
) -> TemperatureScaling:
    """The same, if it carries over from some speakers to others.

    One speaker says nothing about the next, so with fewer than two nothing is fitted. The
    temperature is kept only if, fitted without each speaker in turn, it made the scores of the
    one left out likelier; else it stays 1.

    Args:
        logits: (utterance, emotion), of speakers that were not learnt from.
        truth: class indices (utterance,).
        speakers: who says it, (utterance,).
        risk: share of wrong answers that is allowed among those given.
    """
    scores, indices = _checked(logits, truth)
    if len(set(speakers)) < 2:
        return UNCALIBRATED
    found = calibrate(scores, indices, risk)
    if _gain(scores, indices, speakers) > 0:
        return found
    return TemperatureScaling(1.0, abstention(softmax(scores), indices, risk), len(indices))


def _gain(scores: Floats, truth: npt.NDArray[np.int64], speakers: Sequence[str]) -> float:
    """How much likelier the truth is, in nats, with temperatures of the other speakers."""
    names = np.unique(np.asarray(speakers, dtype=np.str_), return_inverse=True)[1] % _PARTS
    total = 0.0
    for part in set(names.tolist()):
        own = names == part
        inverse = 1 / calibrate(scores[~own], truth[~own]).temperature
        better = _loss(scores[own], truth[own], 1.0) - _loss(scores[own], truth[own], inverse)
        total += better * int(own.sum())
    return total


def _loss(scores: Floats, truth: npt.NDArray[np.int64], inverse: float) -> float:
    """Mean negative log-likelihood with an inverse temperature."""
    scaled = scores * inverse
    highest = scaled.max(axis=1, keepdims=True)
    total = np.log(np.exp(scaled - highest).sum(axis=1)) + highest[:, 0]
    return float(np.mean(total - scaled[np.arange(len(truth)), truth]))


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The temperature of the lowest negative log-likelihood, by golden section.

    Convex in the inverse temperature, so there is one. Where all answers are right with any
    temperature the likelihood grows forever towards the coldest, which is then given.

    Args:
        logits: (utterance, emotion).
        truth: class indices (utterance,).
    """
    scores, indices = _checked(logits, truth)
    low, high = 1 / HOTTEST, 1 / COLDEST
    while high - low > 1e-6 * high:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        colder = _loss(scores, indices, left) <= _loss(scores, indices, right)
        low, high = (low, right) if colder else (left, high)
    return 2 / (low + high)


def abstention(probabilities: npt.ArrayLike, truth: npt.ArrayLike, risk: float = RISK) -> float:
    """The lowest threshold at which so few of the answers given are wrong.

    Where no threshold reaches the risk, it is the highest score that was seen: almost nothing is
    answered then.

    Args:
        probabilities: (utterance, emotion).
        truth: class indices (utterance,).
        risk: share of wrong answers that is allowed among those given, from 0 to 1.
    """
    if not 0 <= risk <= 1:
        raise ResultError(f"a risk of {risk}; a share from 0 to 1 is wanted")
    confidence, risks = _selective(*_checked(probabilities, truth))
    last = _ends_of_ties(confidence)
    enough = np.flatnonzero(last & (risks <= risk))
    if len(enough) == 0:
        return float(confidence[0])
    chosen = int(enough[-1])
    return 0.0 if chosen == len(confidence) - 1 else float(confidence[chosen])


def risk_coverage(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Point, ...]:
    """The share of wrong answers if only the surest are given, at ``COVERAGES``.

    Args:
        probabilities: (utterance, emotion).
        truth: class indices (utterance,).
    """
    confidence, risks = _selective(*_checked(probabilities, truth))
    count = len(confidence)
    places = [max(1, round(coverage * count)) - 1 for coverage in COVERAGES]
    return tuple(
        Point((place + 1) / count, float(risks[place]), float(confidence[place]))
        for place in dict.fromkeys(places)
    )


def aurc(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The area under the risk-coverage curve: its mean risk over all coverages."""
    return float(np.mean(_selective(*_checked(probabilities, truth))[1]))


def softmax(logits: npt.ArrayLike) -> Floats:
    """Logits to probabilities over the last axis, in float64."""
    values = np.asarray(logits, dtype=np.float64)
    grown = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Floats = grown / grown.sum(axis=-1, keepdims=True)
    return shares


def flattened(logits: npt.ArrayLike, standardised: npt.ArrayLike, radius: float) -> Floats:
    """Logits that say the less, the further their vector is from the training sources.

    A linear head is the surer the further a vector lies out, and far out lie sounds, rooms and
    microphones that it knows nothing of. The answer itself stays.

    Args:
        logits: (..., emotion).
        standardised: what the head read, (..., feature); its distance is its root mean square.
        radius: distance up to which the logits stay as they are, above 0; infinity keeps all.
    """
    square = np.square(np.asarray(standardised, dtype=np.float64)).mean(axis=-1, keepdims=True)
    far = np.maximum(square / radius**2, 1.0) ** (DISTANCE_POWER / 2)
    found: Floats = np.asarray(logits, dtype=np.float64) / far
    return found


def undo_temperature(probabilities: npt.ArrayLike, temperature: npt.ArrayLike) -> Floats:
    """Probabilities (utterance, emotion) as they were before division by temperatures (utterance,).

    What was rounded to 0 stays 0.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    powers = values ** np.asarray(temperature, dtype=np.float64)[:, None]
    before: Floats = powers / powers.sum(axis=1, keepdims=True)
    return before


def _selective(probabilities: Floats, truth: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Highest scores, falling, and the share of wrong answers down to each."""
    confidence = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != truth
    order = np.argsort(-confidence, kind="stable")
    return confidence[order], np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)


def _ends_of_ties(confidence: Floats) -> npt.NDArray[np.bool_]:
    """Where a threshold can cut: equal scores are answered together."""
    ends: npt.NDArray[np.bool_] = np.append(confidence[:-1] > confidence[1:], True)
    return ends


def _checked(values: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
    scores, indices = np.asarray(values, dtype=np.float64), np.asarray(truth)
    if scores.ndim != 2 or indices.shape != scores.shape[:1] or len(indices) == 0:
        raise ResultError(
            f"scores of shape {scores.shape} and truth of shape {indices.shape}; (utterance, "
            "emotion) and (utterance,) with at least one utterance are wanted"
        )
    if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= scores.shape[1]:
        raise ResultError(f"truth holds no class indices from 0 to {scores.shape[1] - 1}")
    if np.isnan(scores).any() or not np.isfinite(scores[np.arange(len(indices)), indices]).all():
        raise ResultError("a score is no number, or the true class could not be chosen")
    return scores, indices.astype(np.int64)


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Logarithms of the probabilities over the last axis, in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found
