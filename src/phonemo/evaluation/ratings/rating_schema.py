"""The parts of metrics.json about raters: dimensions and votes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Signed = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
_Size = Annotated[int, Field(ge=0)]


class _RatingModel(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class RatingScore(_RatingModel):
    """One score: folds are pooled within a seed, then seeds are averaged."""

    mean: _Signed
    low: _Signed | None
    """Lower end of the 95 % bootstrap interval over speakers; null for a single one."""
    high: _Signed | None
    per_seed: tuple[_Signed, ...]
    """In ascending order of the seeds."""
    fold_mean: _Signed | None
    """Mean over the folds where it is defined, each averaged over seeds."""
    fold_sd: _Signed | None
    """Sample standard deviation over them; null for fewer than two."""


class DimensionScore(_RatingModel):
    """One rated dimension; values and errors are on the scale 0 to 1."""

    utterances: _Size
    """Distinct utterances with a rating."""
    ccc: RatingScore | None
    """Concordance correlation (Lin 1989); null where the ratings do not vary."""
    pearson: RatingScore | None
    """Null where the ratings or the predictions do not vary."""
    rmse: RatingScore
    """Root mean squared error."""


class DimensionResults(_RatingModel):
    """All rated dimensions."""

    mean_ccc: RatingScore | None
    """Mean over the dimensions, as in the challenge at Interspeech 2025; null if one is null."""
    scores: dict[str, DimensionScore]


class VoteBin(_RatingModel):
    """Emotions of utterances with a predicted probability in (low, high]."""

    low: _Unit
    high: _Unit
    count: _Size
    predicted: _Unit | None
    """Mean predicted probability; null in an empty bin."""
    voted: _Unit | None
    """Mean share of the votes."""


class VoteScore(_RatingModel):
    """Predicted probabilities against the raters' votes for the same emotions."""

    utterances: _Size
    """Distinct utterances with votes."""
    divergence: RatingScore
    """Jensen-Shannon divergence in bits, 0 for equal distributions, at most 1."""
    chance: _Unit
    """The same for always predicting the mean distribution of the votes."""
    ece: _Unit
    """Class-wise calibration: mean |predicted - voted| over the bins of each emotion."""
    bins: tuple[VoteBin, ...]
    """Of all (utterance, emotion) pairs."""
