"""The part of a run's page that is of profiles: how heads were fitted, and what profiles add."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from phonemo.errors import ResultError
from phonemo.evaluation.markdown import per_cent
from phonemo.files import loads_json

#: What phonemo finetune writes beside metrics.json.
PROFILES = "profiles.json"
#: By whose unlabelled recordings the profile is, in words.
_WORDS = {"none": "none", "fold": "all tested recordings", "speaker": "each speaker's own"}


class _Prior(BaseModel):
    """What is shown of phonemo.train.head_from_start.Started."""

    shared: tuple[str, ...]
    fresh: tuple[str, ...]
    standardised_by: str
    strength: float | None
    picked_by: int


class _ProfileScore(BaseModel):
    """UA in parts of one, with its interval."""

    ua: float
    low: float | None
    high: float | None


class _Profiles(BaseModel):
    """The content of the file."""

    prior: dict[str, _Prior]
    scores: dict[str, _ProfileScore]


def profile_sections(run: Path) -> Iterator[str]:
    """HTML of a run folder's profiles.json; nothing where there is none.

    Raises:
        ResultError: the file is malformed.
    """
    path = run / PROFILES
    if not path.is_file():
        return
    try:
        found = _Profiles.model_validate(loads_json(path.read_bytes()))
    except (ValueError, ValidationError) as error:
        raise ResultError(f"{path}: malformed; run phonemo finetune again") from error
    if (done := found.prior.get("model")) is not None:
        yield f"<p>{html.escape(_fitted(done))}</p>"
    if found.scores:
        yield (
            "<h2>With profiles</h2><p>The same models with statistics of unlabelled recordings "
            f"(phonemo adapt).</p>{_table(found.scores)}"
        )


def scored(mean: float, low: float | None, high: float | None) -> str:
    """A score in per cent, with its interval where there is one; HTML."""
    interval = "" if low is None else f" ({per_cent(low)} to {per_cent(high)})"
    return f"{per_cent(mean)} %<span>{interval}</span>"


def _fitted(done: _Prior) -> str:
    strength = "its head as it is" if done.strength is None else f"strength {done.strength:g}"
    how = f"picked by {done.picked_by} speakers left out" if done.picked_by else "set"
    fresh = f" Learnt anew: {', '.join(done.fresh)}." if done.fresh else ""
    return (
        f"The head is drawn towards that of the start for {', '.join(done.shared)} "
        f"({strength}, {how}); training recordings are standardised by {done.standardised_by}."
        f"{fresh}"
    )


def _table(scores: dict[str, _ProfileScore]) -> str:
    rows = [
        f'<tr><th scope="row">{_WORDS[name]}</th><td>{scored(one.ua, one.low, one.high)}</td></tr>'
        for name, one in scores.items()
        if name in _WORDS
    ]
    head = "<tr><th>profile</th><th>UA</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
