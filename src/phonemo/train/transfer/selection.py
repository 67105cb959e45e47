"""Nested leave-one-corpus-out: what is picked, and how sure it is, without the tested corpus.

Every corpus that teaches is left out in turn once more. Each combination of a system's choices is
fitted on the rest and tested on it; the best on the mean is picked, and its answers on corpora that
it had not learnt from calibrate it.

What a system can be: every combination of the choices that its config lists.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
    """One combination.

    Attributes:
        training: the number of the template; 0 too where the network is used as it is.
        start_share: how far a trained backbone goes back to its start.
        statistics: hidden states that the head reads.
        frames: which frames those statistics are over: "all" or "speech".
        moments: "mean-deviation", or "mean" alone.
        pooled: whether it reads the pooled fusion.
        head: how it is fitted and adapted.
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
        """Names of the vectors that stand side by side."""
        end = (SPEECH if self.frames == "speech" else "") + (MEAN if self.moments == "mean" else "")
        states = (f"{number}{end}" for number in self.statistics)
        return (*((POOLED,) if self.pooled else ()), *states)

    def to_json(self) -> dict[str, Any]:
        """Plain data, flat, by the keys of a system's config."""
        found = asdict(self)
        head = found.pop("head")
        return {**found, "statistics": list(self.statistics), **head}


def choices_of(system: SystemConfig) -> tuple[Choice, ...]:
    """All combinations, in the order of the config; of equals the first is picked."""
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
    below = itertools.product(
        range(max(1, len(system.train))),
        system.start_share,
        system.statistics,
        system.frames,
        system.moments,
        system.pooled,
    )
    found = (Choice(*one, head) for one, head in itertools.product(below, heads))
    return tuple(one for one in found if one.statistics or one.pooled)


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NestedLogits:
    """Logits on one corpus under one condition.

    Attributes:
        truth: class indices (utterance,).
        draws: for each pool that was drawn, (utterance, emotion).
        taught: (emotion,), which ones the head has learnt.
    """

    truth: Indices
    draws: tuple[Floats, ...]
    taught: npt.NDArray[np.bool_]

    @property
    def ua(self) -> float | None:
        """Mean over the draws, of utterances whose emotion was taught; None without any."""
        known = self.taught[self.truth]
        if not self.draws or not known.any():
            return None
        classes = len(self.taught)
        found = [
            unweighted(self.truth[known], one[known].argmax(axis=1), classes) for one in self.draws
        ]
        return float(np.mean(found))


#: By tested corpus, by condition.
Inner = Mapping[str, Mapping[str, NestedLogits]]


@dataclass(frozen=True, eq=False)
class Picked:
    """A combination with what nested tests say of it.

    Attributes:
        choice: the one that is picked.
        score: its mean UA over corpora and conditions; None where there was nothing to pick.
        single: how sure it is of a recording by itself.
        adapted: how sure it is of an adapted one.
    """

    choice: Choice
    score: float | None
    single: TemperatureScaling
    adapted: TemperatureScaling


def check_nested(choices: Sequence[Choice], teaching: Sequence[str], system: str) -> bool:
    """Whether nested tests can be done; refuse a system that needs them and cannot have them.

    Raises:
        ProtocolError: a system has several choices and a single corpus to learn from.
    """
    if len(teaching) < 2 and len(choices) > 1:
        raise ProtocolError(
            f"system {system} picks among {len(choices)} combinations and learns from "
            f"{teaching[0]} alone; expected two corpora or more that teach: add one, or give "
            "each key a single value"
        )
    return len(teaching) > 1


def score_of(inner: Inner, names: Sequence[str]) -> float:
    """Mean UA over corpora, of conditions by name.

    Raises:
        ProtocolError: a condition could not be tested on any corpus.
    """
    means = []
    for name in names:
        found = [one[name].ua for one in inner.values() if one[name].ua is not None]
        if not found:
            raise ProtocolError(
                f"select_by: condition {name} could not be tested on {', '.join(inner)}; a corpus "
                "has too few recordings of an emotion for it: name another"
            )
        means.append(float(np.mean([one for one in found if one is not None])))
    return float(np.mean(means))


def nested_calibration(inner: Inner, condition: Condition, risk: float) -> TemperatureScaling:
    """Temperature and threshold from answers on corpora that were not learnt from.

    Every corpus has the same number of them, drawn where it has more.

    Args:
        inner: of the combination that was picked.
        condition: whose answers.
        risk: share of wrong answers that is allowed among those given.
    """
    parts = [_answered(one[condition.name]) for one in inner.values()]
    fewest = min((len(truth) for _, truth in parts), default=0)
    if fewest == 0:
        return UNCALIBRATED
    random = np.random.default_rng(0)
    chosen = [random.choice(len(truth), fewest, replace=False) for _, truth in parts]
    logits = np.concatenate([one[0][rows] for one, rows in zip(parts, chosen, strict=True)])
    truth = np.concatenate([one[1][rows] for one, rows in zip(parts, chosen, strict=True)])
    return calibrate(logits, truth, risk)


def _answered(answers: NestedLogits) -> tuple[Floats, Any]:
    """The first draw's logits and truths, of emotions that were taught."""
    known = answers.taught[answers.truth]
    if not answers.draws:
        known = np.zeros_like(known)
        return np.empty((0, len(answers.taught))), answers.truth[known]
    return answers.draws[0][known], answers.truth[known]
