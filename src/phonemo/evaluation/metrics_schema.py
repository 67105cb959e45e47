"""The schema of metrics.json: the measured system, the method, and scores with uncertainty."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from phonemo.evaluation.ratings.rating_schema import DimensionResults, VoteScore

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _MetricsModel(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Score(_MetricsModel):
    """One score: folds are pooled within a seed, then seeds are averaged."""

    mean: Share
    low: Share | None
    """Lower end of the 95 % bootstrap interval; null where there is a single cluster."""
    high: Share | None
    per_seed: tuple[Share, ...]
    """In ascending order of the seeds."""
    fold_mean: Share
    """Mean over folds of the fold's mean over seeds."""
    fold_sd: Share | None
    """Sample standard deviation (n - 1) over folds of the same; null for a single fold."""


class FoldScore(_MetricsModel):
    """The scores of one training on its test part."""

    fold: str
    seed: int
    utterances: Count
    wa: Share
    ua: Share
    macro_f1: Share


class GroupScore(_MetricsModel):
    """The scores of one speaker's or gender's utterances, averaged over seeds."""

    utterances: Count
    wa: Share
    ua: Share


class Confusion(_MetricsModel):
    """Counts summed over seeds; rows are the truth."""

    labels: tuple[str, ...]
    counts: tuple[tuple[Count, ...], ...]

    @model_validator(mode="after")
    def _check_square(self) -> Confusion:
        size = len(self.labels)
        if len(self.counts) != size or any(len(row) != size for row in self.counts):
            raise ValueError(f"expected {size} x {size} counts, as many as labels")
        return self


class Chance(_MetricsModel):
    """The scores of always predicting the most frequent class."""

    majority_wa: Share
    ua: Share


class Bin(_MetricsModel):
    """One bar of the reliability plot: confidences in (low, high]."""

    low: Share
    high: Share
    count: Count
    confidence: Share | None
    accuracy: Share | None


class CalibrationScore(_MetricsModel):
    """Calibration over the rows of all seeds; scores are scaled where the model is calibrated."""

    ece: Share
    brier: Amount
    nll: Amount
    bins: tuple[Bin, ...]


class RiskPoint(_MetricsModel):
    """A point of the risk-coverage curve."""

    coverage: Share
    """Share of the rows that is answered, the most confident first."""
    risk: Share
    """Share of wrong answers among those."""
    threshold: Share
    """The lowest score among those."""


class SelectiveScore(_MetricsModel):
    """Scores of giving only the most confident answers, over the rows of all seeds."""

    area: Share
    """Area under the risk-coverage curve: the mean risk over all coverages."""
    curve: tuple[RiskPoint, ...]
    coverage: Share | None = None
    """Share of answers above the models' thresholds; null where no model has one."""
    risk: Share | None = None
    """Share of wrong ones among those; null where none is given."""


class PhonemeScore(_MetricsModel):
    """Phoneme error rate and its parts, summed over all rows that have a reference."""

    per: Amount
    substitutions: Count
    deletions: Count
    insertions: Count
    tokens: Count
    utterances: Count
    """Rows with a reference; each seed counts separately."""


class BoundaryScore(_MetricsModel):
    """Errors of aligned phoneme boundaries, pooled within a seed, then averaged over seeds."""

    median_ms: Amount
    per_seed_median_ms: tuple[Amount, ...]
    """In ascending order of the seeds that have any."""
    within_20_ms: Share
    within_40_ms: Share
    boundaries: Count
    """Over all rows; each seed counts separately."""
    utterances: Count
    """Rows with boundaries; each seed counts separately."""


class IntervalNote(_MetricsModel):
    """How the intervals were computed."""

    level: Share
    samples: Count
    unit: str
    """Resampled unit: "speaker", "utterance" where no speaker is known, or a mixture."""
    clusters: Count


class Results(_MetricsModel):
    """The content of "results" in metrics.json. All scores are shares from 0 to 1.

    Where no tested utterance has an emotion (dimensions only), the scores of emotions are null.
    """

    utterances: Count
    """Distinct utterances tested, over all seeds."""
    speakers_count: Count
    """Distinct known speakers among them."""
    labels: tuple[str, ...]
    wa: Score | None
    ua: Score | None
    macro_f1: Score | None
    weighted_f1: Score | None
    recalls: dict[str, Share | None]
    """Mean recall over seeds; null for an emotion that is in no test part."""
    folds: tuple[FoldScore, ...]
    confusion: Confusion | None
    per_speaker: dict[str, GroupScore]
    per_gender: dict[str, GroupScore]
    per_corpus: dict[str, GroupScore] | None = None
    """Omitted where all rows are of one corpus."""
    per_style: dict[str, GroupScore] | None = None
    """Scripted and improvised speech separately; omitted where no row has a style."""
    chance: Chance | None
    calibration: CalibrationScore | None
    uncalibrated: CalibrationScore | None = None
    """Calibration without temperature scaling; omitted where no model has a temperature."""
    selective: SelectiveScore | None = None
    """Omitted in results of earlier versions."""
    phonemes: PhonemeScore | None
    """Null without a phoneme head, or where no utterance has reference phonemes."""
    boundaries: BoundaryScore | None = None
    """Omitted where no row has boundaries: no phoneme head, or no hand-made times."""
    dimensions: DimensionResults | None = None
    """Omitted where no row has rated dimensions."""
    votes: VoteScore | None = None
    """Omitted where no row has votes."""
    interval: IntervalNote
    seeds_agree: bool = True
    """Whether all seeds tested the same utterances; otherwise their mean is not meaningful."""

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        absent = ("boundaries", "per_corpus", "per_style", "uncalibrated", "dimensions", "votes")
        return {name: value for name, value in data.items() if name not in absent or value}


class PhonemeBits(_MetricsModel):
    """How much a phoneme says about the emotion, measured on a fold's training part."""

    symbol: str
    utterances: Count
    bits: float
    """Lower bound on the mutual information, per utterance that contains it."""
    chosen: bool
    """Whether the inventory keeps it apart."""


class FoldMetrics(_MetricsModel):
    """The content of metrics.json of one fold with one seed."""

    fold: str
    seed: int
    sizes: dict[str, Count]
    """Part -> utterances."""
    best_step: int | None
    best_validation: float | None
    steps: Count
    epochs: float | None
    seconds: Amount = 0.0
    """Of the session that finished it, training and testing."""
    results: Results
    extra: dict[str, dict[str, float]] = Field(default_factory=dict)
    """By auxiliary corpus, phoneme scores of its held-out speakers."""
    phonemes: list[PhonemeBits] = Field(default_factory=list)
    """Inventory emotional: all phonemes, the most informative first; else empty."""

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data = _without_empty_extra(handler(self))
        return {name: value for name, value in data.items() if name != "phonemes" or value}


class ExtraScore(_MetricsModel):
    """Phoneme scores of an extra corpus's speakers held out of every training."""

    per: Amount
    """Phoneme error rate, averaged over trainings."""
    utterances: Count
    speakers: Count
    trainings: Count
    """Folds and seeds."""


class Protocol(BaseModel):
    """How the data was split: the protocol section of the config; its name is shown."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1)


class Metrics(BaseModel):
    """The content of metrics.json; other keys are ignored."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    """The run's name, unique among the results."""
    title: str
    """Short description of the system."""
    command: str
    """The command that reproduces the measurement."""
    config: str
    """Digest of the resolved config."""
    protocol: Protocol
    protocol_note: str
    """Important remarks on the protocol; may be empty."""
    leaky: bool
    """Whether train and test share speakers."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Those with a finished cell."""
    corpus: str = Field(min_length=1)
    model: dict[str, Any]
    """Short facts: name -> value."""
    phonemo: str
    """Version of phonemo that measured it."""
    seconds: Amount = 0.0
    """Training and test time, summed over cells; 0 where it was not measured."""
    partial_corpus: bool = False
    """Whether the manifest has less than the corpus as published."""
    extra: dict[str, ExtraScore] = Field(default_factory=dict)
    """Scores by extra corpus, where speakers of it were held out."""
    results: Results

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_empty_extra(handler(self))


def _without_empty_extra(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "extra" or value}
