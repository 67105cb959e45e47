"""Nested leave-one-corpus-out: selection and calibration without the tested corpus.

A system is every combination of the choices in its config. Each training corpus is left out in
turn once more; each combination is fitted on the rest and tested on it. The best mean is picked,
and its predictions on left-out corpora calibrate it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import ProtocolError
from phonemo.evaluation.calibration import UNCALIBRATED, TemperatureScaling, calibrate
from phonemo.train.transfer.corpora import Indices
from phonemo.train.transfer.linear_heads import HeadOptions
from phonemo.train.transfer.study_config import SystemConfig
from phonemo.train.transfer.testing import Condition, unweighted
from phonemo.train.transfer.vectors import MEAN, POOLED, SPEECH


@dataclass(frozen=True)
class Choice:
    """One combination of a system's choices.

    Attributes:
        training: index of the train template; 0 if the network is not trained.
        start_share: weight of the start in the interpolation with a trained backbone.
        statistics: hidden states that the head reads.
        frames: frames the statistics are over: "all" or "speech".
        moments: "mean-deviation", or "mean" alone.
        pooled: whether the head reads the pooled fusion.
        head: options for fitting and adaptation.
    """

    training: int
    start_share: float
    statistics: tuple[int, ...]
    frames: str
    moments: str
    pooled: bool
    head: HeadOptions

    @property
    def columns(self) -> tuple[str, ...]:
        """Return names of the concatenated vectors."""
        suffix = (SPEECH if self.frames == "speech" else "") + (
            MEAN if self.moments == "mean" else ""
        )
        names = (f"{number}{suffix}" for number in self.statistics)
        return (*((POOLED,) if self.pooled else ()), *names)

    def to_json(self) -> dict[str, Any]:
        """Return it as flat plain data, by the keys of a system's config."""
        data = asdict(self)
        head = data.pop("head")
        return {**data, "statistics": list(self.statistics), **head}


def choices_of(system: SystemConfig) -> tuple[Choice, ...]:
    """List all combinations, in the config's order; on a tie the first is picked.

    Ridges do not multiply logistic regressions, nor penalties discriminants.
    """
    heads = [
        HeadOptions(*values)
        for values in itertools.product(
            system.fit,
            system.standardise,
            system.balance,
            system.inverse_penalty,
            system.ridge,
            system.mask,
            system.k_mean,
            system.k_spread,
            system.em_iterations,
        )
    ]
    vectors = itertools.product(
        range(max(1, len(system.train))),
        system.start_share,
        system.statistics,
        system.frames,
        system.moments,
        system.pooled,
    )
    choices = (Choice(*vector, head) for vector, head in itertools.product(vectors, heads))
    different = dict.fromkeys(_without_unused(choice, system) for choice in choices)
    return tuple(choice for choice in different if choice.statistics or choice.pooled)


def _without_unused(choice: Choice, system: SystemConfig) -> Choice:
    """Reset the regularization that the head's fit does not read."""
    if choice.head.fit == "discriminant":
        head = replace(choice.head, inverse_penalty=system.inverse_penalty[0])
    else:
        head = replace(choice.head, ridge=system.ridge[0])
    return replace(choice, head=head)


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NestedLogits:
    """Logits on one corpus under one condition.

    Attributes:
        truth: class indices (utterance,).
        draws: (utterance, emotion) for each pool.
        taught: mask (emotion,) of those the head was trained on.
    """

    truth: Indices
    draws: tuple[Floats, ...]
    taught: npt.NDArray[np.bool_]

    @property
    def ua(self) -> float | None:
        """Return the UA on taught emotions, averaged over draws; None without any."""
        known = self.taught[self.truth]
        if not self.draws or not known.any():
            return None
        classes = len(self.taught)
        scores = [
            unweighted(self.truth[known], logits[known].argmax(axis=1), classes)
            for logits in self.draws
        ]
        return float(np.mean(scores))


#: Logits by tested corpus, by condition.
Inner = Mapping[str, Mapping[str, NestedLogits]]


@dataclass(frozen=True, eq=False)
class Picked:
    """The picked combination with its nested scores.

    Attributes:
        choice: the combination.
        score: its mean UA over corpora and conditions; None if there was nothing to pick.
        single: calibration for single recordings.
        adapted: calibration for adapted recordings.
    """

    choice: Choice
    score: float | None
    single: TemperatureScaling
    adapted: TemperatureScaling


def check_nested(choices: Sequence[Choice], teaching: Sequence[str], system: str) -> bool:
    """Whether nested tests are possible; refuse a system that needs them if they are not.

    Raises:
        ProtocolError: a system has several choices and a single training corpus.
    """
    if len(teaching) < 2 and len(choices) > 1:
        raise ProtocolError(
            f"system {system}: expected two training corpora or more to pick among {len(choices)} "
            f"combinations, got {teaching[0]} alone; add one, or give each key a single value"
        )
    return len(teaching) > 1


def score_of(inner: Inner, names: Sequence[str]) -> float:
    """Return the mean UA over corpora and conditions.

    Raises:
        ProtocolError: a condition could not be tested on any corpus.
    """
    means = []
    for name in names:
        scores = [logits[name].ua for logits in inner.values() if logits[name].ua is not None]
        if not scores:
            raise ProtocolError(
                f"select_by: expected a condition that can be tested, got {name}, for which "
                f"{', '.join(inner)} have too few recordings of an emotion; name another"
            )
        means.append(float(np.mean([score for score in scores if score is not None])))
    return float(np.mean(means))


def nested_calibration(inner: Inner, condition: Condition, risk: float) -> TemperatureScaling:
    """Fit temperature and threshold on predictions for left-out corpora.

    Every corpus contributes the same number of predictions; larger ones are sampled.

    Args:
        inner: logits of the picked combination.
        condition: whose predictions to use.
        risk: allowed share of wrong predictions among those given.
    """
    parts = [_known_logits(corpus[condition.name]) for corpus in inner.values()]
    fewest = min((len(truth) for _, truth in parts), default=0)
    if fewest == 0:
        return UNCALIBRATED
    random = np.random.default_rng(0)
    samples = [random.choice(len(truth), fewest, replace=False) for _, truth in parts]
    logits = np.concatenate([part[0][rows] for part, rows in zip(parts, samples, strict=True)])
    truth = np.concatenate([part[1][rows] for part, rows in zip(parts, samples, strict=True)])
    return calibrate(logits, truth, risk)


def _known_logits(nested: NestedLogits) -> tuple[Floats, Any]:
    """Return the first draw's logits and truth, for taught emotions."""
    known = nested.taught[nested.truth]
    if not nested.draws:
        known = np.zeros_like(known)
        return np.empty((0, len(nested.taught))), nested.truth[known]
    return nested.draws[0][known], nested.truth[known]
