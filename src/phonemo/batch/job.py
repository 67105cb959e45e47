"""What a batch was asked, as it stands in its folder.

All parts together: the numbers of a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phonemo.batch.stores import Store
from phonemo.errors import RunError, safe_name
from phonemo.files import dumps_json, loads_json
from phonemo.version import __version__

CARD = "batch.json"
PartFormat = Literal["jsonl", "parquet"]


def _is_none(value: object) -> bool:
    """What a batch without a profile has not, its files do not name."""
    return value is None


class _JobModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchOptions(_JobModel):
    """What is wanted of every recording; within one folder it stays the same."""

    model: str | None = None
    """A bundle or a model folder; None is the bundle that ships with phonemo."""
    model_sha256: str
    """What phonemo.loader.model_digest says of it."""
    labels: tuple[str, ...] = ()
    """Choose among these emotions; all where there is none."""
    top_k: int | None = None
    """Give the highest scores only, so many."""
    phonemes: bool = False
    """Whether the times and shares of the phonemes are told."""
    timeline: bool = False
    """Whether short recordings get a timeline too."""
    activity: str = "energy"
    """The voice activity."""
    threshold: float | None = None
    """Below this score an answer is unsure; None is the model's."""
    format: PartFormat = "jsonl"
    """Of the parts."""
    profile: str | None = Field(default=None, exclude_if=_is_none)
    """The hash of the profile that was given; None where none was."""
    adapt: int | None = Field(default=None, ge=1, exclude_if=_is_none)
    """Make a profile of a sample of so many recordings first; None makes none."""

    def differences(self, other: BatchOptions) -> list[str]:
        """What differs, for a message; the same model may lie elsewhere."""
        mine, theirs = dict(self), dict(other)
        names = [name for name in mine if name != "model" and mine[name] != theirs[name]]
        return [
            f"{name} {_short(mine[name])} there, {_short(theirs[name])} asked" for name in names
        ]


class PlanSummary(_JobModel):
    """The recordings of a batch, divided into parts."""

    parts: int = 0
    files: int = 0
    """Recordings in all parts."""
    named: int = 0
    """Recordings that the input named last; those that it names no more stay planned."""
    repeated: int = 0
    """How often it named one again; it is heard once."""
    sha: str = ""
    """Of the set that it named."""


class Applied(_JobModel):
    """The profile that every row is made with; the profile itself is a file beside the card."""

    hash: str
    count: int
    """How many vectors it is of."""
    seconds: float
    """Of speech in them."""
    sampled: int | None = Field(default=None, exclude_if=_is_none)
    """Recordings of the first pass; None for a profile that was given."""
    silent: int = 0
    """How many of them have no speech."""
    failed: int = 0
    """How many of them cannot be used."""


class BatchCard(_JobModel):
    """The content of batch.json."""

    format: Literal[1] = 1
    """Of the folder."""
    phonemo: str = __version__
    """The version that began it."""
    command: str
    """What was typed first."""
    asked: BatchOptions
    planned: PlanSummary = PlanSummary()
    profile: Applied | None = Field(default=None, exclude_if=_is_none)


@dataclass(frozen=True)
class ExecutorOptions:
    """Where and how widely it is heard; another one may go on with the same folder."""

    name: Literal["local", "ray"] = "local"
    workers: int | None = None
    """Recordings heard at once; None is one for each processor of the machine, or the cluster."""
    address: str | None = None
    """Of a Ray cluster; None starts Ray on this machine."""


class PartStats(_JobModel):
    """What a part holds, in numbers."""

    part: int
    files: int
    failed: int = 0
    audio_seconds: float = 0.0
    """Of the recordings that were heard."""
    work_seconds: float = 0.0
    """From the first to the last of them, in one worker."""
    labels: dict[str, int] = Field(default_factory=dict)
    errors: dict[str, int] = Field(default_factory=dict)
    """By the errors' codes."""
    warnings: dict[str, int] = Field(default_factory=dict)
    phonemo: str = __version__


def _short(value: object) -> str:
    """For a message; of a hash the beginning."""
    return repr(value[:12] if isinstance(value, str) else value)


def read_card(store: Store) -> BatchCard | None:
    """What was asked in this folder before; None where it is empty or not there.

    Raises:
        RunError: it holds something else, or a batch of another kind.
    """
    names = store.names()
    if CARD not in names:
        others = sorted(name for name in names if not name.startswith("."))
        if others:
            raise RunError(
                f"{safe_name(store.address)}: holds something else than a batch ({others[0]}); "
                "name an empty or a new folder with --output"
            )
        return None
    try:
        return BatchCard.model_validate(loads_json(store.read(CARD)))
    except (ValidationError, ValueError) as error:
        raise RunError(
            f"{safe_name(store.address)}: {CARD} is not of this version of phonemo; name another "
            "folder with --output"
        ) from error


def write_card(store: Store, card: BatchCard) -> None:
    """Keep it."""
    store.write(CARD, dumps_json(card.model_dump(), indent=1) + "\n")


SUMMARY = "summary.json"


@dataclass
class Totals:
    """Numbers that grow part by part."""

    parts: int = 0
    files: int = 0
    failed: int = 0
    audio_seconds: float = 0.0
    work_seconds: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    versions: set[str] = field(default_factory=set)

    def add(self, one: PartStats) -> None:
        """One more part."""
        self.parts += 1
        self.files += one.files
        self.failed += one.failed
        self.audio_seconds += one.audio_seconds
        self.work_seconds += one.work_seconds
        self.labels.update(one.labels)
        self.errors.update(one.errors)
        self.warnings.update(one.warnings)
        self.versions.add(one.phonemo)


def totals_of(tallies: Iterable[PartStats]) -> Totals:
    """Of several parts."""
    totals = Totals()
    for one in tallies:
        totals.add(one)
    return totals


def summary_of(card: BatchCard, totals: Totals, command: str) -> dict[str, Any]:
    """The content of summary.json."""
    planned, work = card.planned, totals.work_seconds
    found = {
        "command": command,
        "model": card.asked.model or "the bundle that ships with phonemo",
        "model_sha256": card.asked.model_sha256,
        "phonemo": sorted(totals.versions),
        "parts": {"done": totals.parts, "planned": planned.parts},
        "files": {
            "planned": planned.files,
            "heard": totals.files - totals.failed,
            "failed": totals.failed,
            "named_again": planned.repeated,
            "named_no_more": planned.files - planned.named,
        },
        "audio_hours": round(totals.audio_seconds / 3600, 4),
        "worker_hours": round(work / 3600, 4),
        "audio_hours_per_worker_hour": round(totals.audio_seconds / work, 1) if work else None,
        "labels": dict(totals.labels.most_common()),
        "errors": dict(totals.errors.most_common()),
        "warnings": dict(totals.warnings.most_common()),
    }
    return found if card.profile is None else found | {"profile": _profile(card.profile)}


def _profile(one: Applied) -> dict[str, Any]:
    """Which profile it was and, where a first pass made it, of how many recordings."""
    known = {"hash": one.hash, "count": one.count, "seconds": one.seconds}
    if one.sampled is None:
        return known
    used = one.sampled - one.silent - one.failed
    return known | {"recordings": used, "silent": one.silent, "failed": one.failed}
