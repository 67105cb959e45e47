"""The profile section of a run's page: how heads were fitted, and the scores with profiles."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from phonemo.errors import ResultError
from phonemo.evaluation.markdown import per_cent
from phonemo.files import loads_json

#: File of phonemo finetune beside metrics.json.
PROFILES = "profiles.json"
#: Whose unlabeled recordings a profile is made of, in words.
_WORDS = {"none": "none", "fold": "all tested recordings", "speaker": "each speaker's own"}


class _Prior(BaseModel):
    """The fields of phonemo.train.head_from_start.Started that are shown."""

    shared: tuple[str, ...]
    fresh: tuple[str, ...]
    standardised_by: str
    strength: float | None
    picked_by: int


class _ProfileScore(BaseModel):
    """UA as a share, with its interval."""

    ua: float
    low: float | None
    high: float | None


class _Profiles(BaseModel):
    """The content of profiles.json."""

    prior: dict[str, _Prior]
    scores: dict[str, _ProfileScore]


def profile_sections(run: Path) -> Iterator[str]:
    """Yield HTML for a run folder's profiles.json; nothing without that file.

    Raises:
        ResultError: the file is malformed.
    """
    path = run / PROFILES
    if not path.is_file():
        return
    try:
        profiles = _Profiles.model_validate(loads_json(path.read_bytes()))
    except (ValueError, ValidationError) as error:
        raise ResultError(f"{path}: malformed; run phonemo finetune again") from error
    if (prior := profiles.prior.get("model")) is not None:
        yield f"<p>{html.escape(_prior_text(prior))}</p>"
    if profiles.scores:
        yield (
            "<h2>With profiles</h2><p>The same models, adapted by statistics of unlabeled "
            f"recordings (phonemo adapt).</p>{_table(profiles.scores)}"
        )


def scored(mean: float, low: float | None, high: float | None) -> str:
    """Format a score in per cent, with its interval where there is one; HTML."""
    interval = "" if low is None else f" ({per_cent(low)} to {per_cent(high)})"
    return f"{per_cent(mean)} %<span>{interval}</span>"


def _prior_text(prior: _Prior) -> str:
    strength = "unchanged" if prior.strength is None else f"strength {prior.strength:g}"
    how = f"selected on {prior.picked_by} left-out speakers" if prior.picked_by else "set"
    fresh = f" Trained from scratch: {', '.join(prior.fresh)}." if prior.fresh else ""
    return (
        f"The head is regularized towards that of the initial model for {', '.join(prior.shared)} "
        f"({strength}, {how}); training recordings are standardized by {prior.standardised_by}."
        f"{fresh}"
    )


def _table(scores: dict[str, _ProfileScore]) -> str:
    rows = [
        f'<tr><th scope="row">{_WORDS[name]}</th>'
        f"<td>{scored(score.ua, score.low, score.high)}</td></tr>"
        for name, score in scores.items()
        if name in _WORDS
    ]
    head = "<tr><th>profile</th><th>UA</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
