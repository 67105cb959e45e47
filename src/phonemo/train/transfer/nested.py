"""Nested leave-one-corpus-out: what is picked, and how sure it is, without the tested corpus.

Every corpus that teaches is left out in turn once more. Each combination of a system's choices is
fitted on the rest and tested on it; the best on the mean is picked, and its answers on corpora that
it had not learnt from calibrate it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.calibration import UNCALIBRATED, Calibrated, calibrate
from phonemo.errors import ProtocolError
from phonemo.train.transfer.choices import Choice
from phonemo.train.transfer.pools import Condition
from phonemo.train.transfer.rows import Indices
from phonemo.train.transfer.tables import unweighted

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
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
Inner = Mapping[str, Mapping[str, Answers]]


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
    single: Calibrated
    adapted: Calibrated


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


def calibrated(inner: Inner, condition: Condition, risk: float) -> Calibrated:
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


def _answered(answers: Answers) -> tuple[Floats, Any]:
    """The first draw's logits and truths, of emotions that were taught."""
    known = answers.taught[answers.truth]
    if not answers.draws:
        known = np.zeros_like(known)
        return np.empty((0, len(answers.taught))), answers.truth[known]
    return answers.draws[0][known], answers.truth[known]
