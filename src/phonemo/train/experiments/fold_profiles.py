"""A run's folds once more, with profiles: what unlabelled recordings of the tested people add.

Every tested utterance is recognized without a profile, as in the run's own scores, with that of
its whole fold, and with that of its speaker. Labels take no part in a profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.config import RunConfig
from phonemo.evaluation import metrics
from phonemo.files import loads_json, read_rows
from phonemo.runtime.adaptation.statistics import Reference, adapt_logits, logits_of
from phonemo.train.experiments.fold import PRIOR, VECTORS
from phonemo.train.linear_head import reference_of
from phonemo.train.model_folder import load_trained

#: Beside metrics.json: how heads were fitted, and what profiles add.
PROFILES = "profiles.json"
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProfileScore:
    """UA over all folds, with its interval over speakers; None where there are too few."""

    ua: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class OwnProfiles:
    """The content of profiles.json.

    Attributes:
        prior: by cell, and for "model", what phonemo.train.head_from_start says was done; empty
        without
            a prior.
        scores: by "none", "fold" and "speaker": whose unlabelled recordings are the profile.
            Empty where the head takes none; without "speaker" where not all are known.
        utterances: that the scores are of.
    """

    prior: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, ProfileScore]
    utterances: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        scores = {name: vars(one) for name, one in self.scores.items()}
        return {"prior": dict(self.prior), "scores": scores, "utterances": self.utterances}


@dataclass(frozen=True, eq=False)
class _Answers:
    """Class indices (utterance,) of one cell, by whose profile was applied."""

    truth: Indices
    speakers: tuple[str | None, ...]
    given: Mapping[str, Indices]


def own_profiles(config: RunConfig) -> OwnProfiles:
    """Score the finished cells of a run with profiles.

    Args:
        config: of the run.

    Raises:
        PhonemoError: a cell's files cannot be read.
    """
    cells = [path.parent for path in sorted(Path(config.output).glob("seed-*/*/metrics.json"))]
    answers = [found for cell in cells if (found := _answers(cell)) is not None]
    priors = {f"{cell.parent.name}/{cell.name}": _prior(cell) for cell in cells}
    priors["model"] = _prior(Path(config.output))  # of the one that learns from everybody
    scores: dict[str, ProfileScore] = {}
    if answers and len(answers) == len(cells):
        scores = {name: _score(answers, name, config) for name in _profiles(answers)}
    return OwnProfiles(
        {name: one for name, one in priors.items() if one is not None},
        scores,
        sum(len(one.truth) for one in answers) if scores else 0,
    )


def _answers(cell: Path) -> _Answers | None:
    """Of one cell; None where its head takes no profile or its vectors were not kept."""
    path, trained = cell / VECTORS, load_trained(cell / "model")
    reference = reference_of(trained.model)
    if reference is None or not path.is_file():
        return None
    rows = read_rows(cell / "predictions.jsonl")
    vectors = np.load(path, allow_pickle=False).astype(np.float64)
    speakers = tuple(row["speaker"] for row in rows)
    given = {
        "none": logits_of(reference, vectors, None).argmax(axis=1),
        "fold": _adapted(reference, vectors, ["fold"] * len(rows)),
    }
    if None not in speakers:
        given["speaker"] = _adapted(reference, vectors, [str(one) for one in speakers])
    truth = np.array([trained.labels.index(row["truth"]) for row in rows], dtype=np.int64)
    return _Answers(truth, speakers, given)


def _adapted(
    reference: Reference, vectors: npt.NDArray[np.float64], groups: Sequence[str]
) -> Indices:
    """Class indices (utterance,), each group by the statistics of its own vectors."""
    names, found = np.array(groups), np.zeros(len(groups), dtype=np.int64)
    for name in np.unique(names):
        own = vectors[names == name]
        logits = logits_of(reference, own, adapt_logits(reference, own))
        found[names == name] = logits.argmax(axis=1)
    return found


def _profiles(answers: Sequence[_Answers]) -> Iterator[str]:
    """Those that every cell has."""
    return (name for name in answers[0].given if all(name in one.given for one in answers))


def _score(answers: Sequence[_Answers], name: str, config: RunConfig) -> ProfileScore:
    classes = len(config.labels.names)
    truth = np.concatenate([one.truth for one in answers])
    given = np.concatenate([one.given[name] for one in answers])
    who = [
        speaker or f"utterance {number}"
        for one in answers
        for number, speaker in enumerate(one.speakers)
    ]

    def ua(chosen: npt.NDArray[Any]) -> float:
        return metrics.score_emotions(truth[chosen], given[chosen], classes).ua

    if len(set(who)) < 2:
        return ProfileScore(ua(np.arange(len(truth))), None, None)
    interval = metrics.bootstrap_interval(who, ua)
    return ProfileScore(interval.estimate, interval.low, interval.high)


def _prior(cell: Path) -> dict[str, Any] | None:
    path = cell / PRIOR
    found: dict[str, Any] | None = None
    if path.is_file():
        found = loads_json(path.read_text(encoding="utf-8"))
    return found
