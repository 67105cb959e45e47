"""The profile section of a run's page: how heads were fitted, and the scores with profiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from phonemo.errors import ResultError
from phonemo.files import loads_json

#: File of phonemo finetune beside metrics.json.
PROFILES = "profiles.json"
#: Whose unlabeled recordings a profile is made of, in words.
_WORDS = {"none": "none", "fold": "all tested recordings", "speaker": "each speaker's own"}


class _Prior(BaseModel):
    """The fields of phonemo.train.heads.head_from_start.Started that are shown."""

    shared: tuple[str, ...]
    fresh: tuple[str, ...]
    standardised_by: str
    strength: float | None
    picked_by: int


class ShownScore(BaseModel):
    """UA as a share, with its interval."""

    mean: float = Field(validation_alias="ua")
    low: float | None
    high: float | None


class _Profiles(BaseModel):
    """The content of profiles.json."""

    prior: dict[str, _Prior]
    scores: dict[str, ShownScore]


@dataclass(frozen=True)
class ProfileSection:
    """What the page shows of profiles.json; empty where there is no such file."""

    prior: str = ""
    """How the heads were fitted, in a sentence."""
    scores: tuple[tuple[str, ShownScore], ...] = ()
    """By whose recordings the profile is, the scores."""


def read_profiles(run: Path) -> ProfileSection:
    """Read a run folder's profiles.json.

    Raises:
        ResultError: the file is malformed.
    """
    path = run / PROFILES
    if not path.is_file():
        return ProfileSection()
    try:
        profiles = _Profiles.model_validate(loads_json(path.read_bytes()))
    except (ValueError, ValidationError) as error:
        raise ResultError(f"{path}: malformed; run phonemo finetune again") from error
    prior = profiles.prior.get("model")
    scores = ((_WORDS[name], score) for name, score in profiles.scores.items() if name in _WORDS)
    return ProfileSection("" if prior is None else _prior_text(prior), tuple(scores))


def _prior_text(prior: _Prior) -> str:
    strength = "unchanged" if prior.strength is None else f"strength {prior.strength:g}"
    how = f"selected on {prior.picked_by} left-out speakers" if prior.picked_by else "set"
    fresh = f" Trained from scratch: {', '.join(prior.fresh)}." if prior.fresh else ""
    return (
        f"The head is regularized towards that of the initial model for {', '.join(prior.shared)} "
        f"({strength}, {how}); training recordings are standardized by {prior.standardised_by}."
        f"{fresh}"
    )
