"""The schema of transfer.json, what a transfer study found."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from phonemo.evaluation.metrics_schema import Count, Share
from phonemo.evaluation.studies.study_schema import Versus

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _TransferModel(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Spread(_TransferModel):
    """A UA as a share."""

    mean: Share
    low: Share | None
    """Lower end of the 95 % bootstrap interval over speakers; null for a single speaker."""
    high: Share | None
    sd: Amount | None
    """Standard deviation over seeds and draws; null for a single run and a mean over corpora."""


class ConditionScores(_TransferModel):
    """Scores of one condition: single recordings, adapted by speaker, or adapted with pools."""

    name: str
    pool: Count | None
    share: Share | None
    """Share of one emotion in the pool, 0 for equal shares; null for randomly drawn pools."""
    runs: Count
    ua: Spread
    wa: Share
    recalls: dict[str, Share] = Field(default_factory=dict)
    coverage: Share
    """Share of answers given at the threshold fitted on other corpora."""
    error: Share | None
    """Share of wrong ones among them; null where none was given."""
    ece: Share


class Pick(_TransferModel):
    """The hyperparameters selected in nested tests with one seed."""

    seed: int
    score: Share | None
    choice: dict[str, Any]


class Fit(_TransferModel):
    """Temperature and threshold of one seed."""

    seed: int
    adapted: bool
    temperature: Amount
    abstain_below: Share
    utterances: Count


class LeftOutCorpus(_TransferModel):
    """One system on one corpus that it was not trained on."""

    left_out: str
    seeds: tuple[int, ...] = Field(min_length=1)
    unlabelled: bool
    """Whether its network was pretrained on the corpus, without labels."""
    utterances: Count
    speakers: Count
    picked: tuple[Pick, ...]
    combinations: Count
    calibration: tuple[Fit, ...]
    conditions: tuple[ConditionScores, ...] = Field(min_length=1)


class SystemScore(_TransferModel):
    """One system on every left-out corpus, and the mean."""

    name: str
    config: str
    corpora: tuple[LeftOutCorpus, ...] = Field(min_length=1)
    mean: tuple[ConditionScores, ...]
    """Over the averaged corpora; empty where one is not finished."""


class CorpusFacts(_TransferModel):
    """A corpus of the study."""

    name: str
    utterances: Count
    speakers: Count
    emotions: dict[str, Count]
    left_out: bool


class Frequent(_TransferModel):
    """Hyperparameters, and the number of speakers they were selected for."""

    speakers: Count
    choice: dict[str, Any]


class WithinScore(_TransferModel):
    """Scores with the speakers of one corpus left out in turn, with or without a profile."""

    ua: Spread
    wa: Share
    recalls: dict[str, Share]
    picked: tuple[Frequent, ...]


class Within(_TransferModel):
    """One system within one corpus."""

    system: str
    corpus: str
    labels: tuple[str, ...]
    teachers: tuple[str, ...]
    utterances: Count
    speakers: Count
    single: WithinScore
    profile: WithinScore


class SystemDifference(Versus):
    """One system against the study's first, paired by recording, seed and pool.

    p is adjusted for all means of the study, or for all its single corpora.
    """

    system: str
    against: str
    left_out: str | None
    """null for the mean over corpora."""
    condition: str
    first: Share
    """UA of the first system."""
    second: Share


class Transfer(_TransferModel):
    """The content of transfer.json."""

    name: str
    command: str
    config: str
    phonemo: str
    labels: tuple[str, ...] = Field(min_length=2)
    merge: dict[str, str]
    emotion: str | None
    """Emotion of the one-sided pools."""
    seeds: tuple[int, ...]
    draws: Count
    risk: Share
    select_by: tuple[str, ...]
    averaged: tuple[str, ...]
    unfinished: Count
    """Number of cells that are not finished."""
    corpora: tuple[CorpusFacts, ...]
    systems: tuple[SystemScore, ...]
    differences: tuple[SystemDifference, ...] = ()
    within: tuple[Within, ...] = ()
