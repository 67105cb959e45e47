"""The schemas of a study's results: ablation.json and cross.json."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from phonemo.evaluation.metrics_schema import Amount, Count, Protocol, Score, Share
from phonemo.evaluation.ratings.rating_schema import RatingScore

Points = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class _StudyModel(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Versus(_StudyModel):
    """An arm compared with the table's baseline: UA as a share, or CCC without emotions."""

    difference: Points
    low: Points | None
    high: Points | None
    p: Share | None
    """From permutation of whole speakers; null for a single speaker."""
    p_holm: Share | None
    """Adjusted for the number of arms in the table."""
    p_folds: Share | None = None
    """From permutation of whole folds; null for a single fold, and in older files."""


class Tuned(_StudyModel):
    """A setting that every fold of an arm selected on its validation part: tuned.json."""

    key: str
    """The dotted key, such as train.rate_backbone."""
    folds: dict[str, float]
    """Fold -> selected value."""


class ArmScore(_StudyModel):
    """One arm over all its folds and seeds."""

    arm: str
    changes: dict[str, Any]
    config: str
    corpus: str
    protocol: Protocol
    protocol_note: str
    leaky: bool
    seeds: tuple[int, ...]
    folds: Count
    utterances: Count
    speakers: Count
    wa: Score | None
    ua: Score | None
    """Null, as all scores of emotions, where no tested utterance has one."""
    per: Amount | None
    ece: Share | None
    ccc: RatingScore | None = None
    """Mean CCC of the rated dimensions; null without them."""
    seconds: Amount
    versus: Versus | None
    tuned: Tuned | None = None
    """Null without tuning, and in older files."""


class ArmTable(_StudyModel):
    """One question of an ablation; the baseline is the first row."""

    title: str
    baseline: str
    rows: tuple[ArmScore, ...] = Field(min_length=1)


class Ablation(_StudyModel):
    """The content of ablation.json."""

    name: str
    command: str
    config: str
    phonemo: str
    missing: tuple[str, ...] = ()
    """Arms without a finished run, or not among those chosen by --arm."""
    tables: tuple[ArmTable, ...]


class CrossCell(_StudyModel):
    """One training corpus on one tested corpus."""

    train: str
    test: str
    run: str
    config: str
    protocol: str
    leaky: bool
    heard: bool = False
    """Whether the backbone was pretrained on the tested corpus, without labels."""
    seeds: tuple[int, ...] = ()
    models: Count
    utterances: Count
    speakers: Count
    wa: Score
    ua: Score
    ece: Share


class Crossing(_StudyModel):
    """The content of cross.json."""

    name: str
    command: str
    labels: tuple[str, ...] = Field(min_length=2)
    merge: dict[str, str]
    cells: tuple[CrossCell, ...] = Field(min_length=1)
