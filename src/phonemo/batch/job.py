"""Records of a batch job: options, plan, card, statistics and summary."""

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
    """Exclude a field from the files of batches without a profile."""
    return value is None


class _JobModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchOptions(_JobModel):
    """Options of recognition; they are the same for all recordings in a folder."""

    model: str | None = None
    """A bundle or a model folder; None is the packaged bundle."""
    model_sha256: str
    """Digest of the model, from phonemo.loader.model_digest."""
    labels: tuple[str, ...] = ()
    """Restrict the results to these emotions; empty is all."""
    top_k: int | None = None
    """Return only this many of the highest scores."""
    phonemes: bool = False
    """Whether to return the times and shares of phonemes."""
    timeline: bool = False
    """Whether to return a timeline for short recordings too."""
    activity: str = "energy"
    """Voice activity detector."""
    threshold: float | None = None
    """A prediction with a lower score is unsure; None is the model's threshold."""
    format: PartFormat = "jsonl"
    """Format of the parts."""
    profile: str | None = Field(default=None, exclude_if=_is_none)
    """Hash of the given profile; None without one."""
    adapt: int | None = Field(default=None, ge=1, exclude_if=_is_none)
    """Size of the sample from which to make a profile first; None makes none."""

    def differences(self, other: BatchOptions) -> list[str]:
        """Describe what differs; the path of the model may differ."""
        mine, theirs = dict(self), dict(other)
        names = [name for name in mine if name != "model" and mine[name] != theirs[name]]
        return [
            f"{name}: expected {_short(mine[name])}, got {_short(theirs[name])}" for name in names
        ]


class PlanSummary(_JobModel):
    """The recordings of a batch, divided into parts."""

    parts: int = 0
    files: int = 0
    """Recordings in all parts."""
    named: int = 0
    """Recordings in the newest input; those that it no longer contains stay planned."""
    repeated: int = 0
    """Duplicates in the newest input; each recording is processed once."""
    sha: str = ""
    """Hash of the set of recordings in the newest input."""


class Applied(_JobModel):
    """The profile applied to every recording; its content is a file next to the card."""

    hash: str
    count: int
    """Number of vectors it was made from."""
    seconds: float
    """Seconds of speech it was made from."""
    sampled: int | None = Field(default=None, exclude_if=_is_none)
    """Recordings in the first pass; None for a given profile."""
    silent: int = 0
    """Those of them without speech."""
    failed: int = 0
    """Those of them that cannot be used."""


class BatchCard(_JobModel):
    """The content of batch.json."""

    format: Literal[1] = 1
    """Format of the folder."""
    phonemo: str = __version__
    """Version of phonemo that started the batch."""
    command: str
    """The first command line."""
    asked: BatchOptions
    planned: PlanSummary = PlanSummary()
    profile: Applied | None = Field(default=None, exclude_if=_is_none)


@dataclass(frozen=True)
class ExecutorOptions:
    """How the batch is executed; a resumed batch may use other options."""

    name: Literal["local", "ray"] = "local"
    workers: int | None = None
    """Recordings processed at the same time; None is one per CPU of the machine or cluster."""
    address: str | None = None
    """Address of a Ray cluster; None starts Ray on this machine."""


class PartStats(_JobModel):
    """Statistics of a part."""

    part: int
    files: int
    failed: int = 0
    audio_seconds: float = 0.0
    """Length of the recognized recordings."""
    work_seconds: float = 0.0
    """Time of one worker, from the first recording to the last."""
    labels: dict[str, int] = Field(default_factory=dict)
    errors: dict[str, int] = Field(default_factory=dict)
    """Number of errors by code."""
    warnings: dict[str, int] = Field(default_factory=dict)
    phonemo: str = __version__


def _short(value: object) -> str:
    """Format a value for a message; strings, such as hashes, are shortened."""
    return repr(value[:12] if isinstance(value, str) else value)


def read_card(store: Store) -> BatchCard | None:
    """Read the card of a folder; None if the folder is empty or missing.

    Raises:
        RunError: the folder contains other files, or a batch of another version.
    """
    names = store.names()
    if CARD not in names:
        others = sorted(name for name in names if not name.startswith("."))
        if others:
            raise RunError(
                f"{safe_name(store.address)}: expected a batch or an empty folder, got "
                f"{others[0]}; give another folder with --output"
            )
        return None
    try:
        return BatchCard.model_validate(loads_json(store.read(CARD)))
    except (ValidationError, ValueError) as error:
        raise RunError(
            f"{safe_name(store.address)}: {CARD} is not from this version of phonemo; give another "
            "folder with --output"
        ) from error


def write_card(store: Store, card: BatchCard) -> None:
    """Write the card of a folder."""
    store.write(CARD, dumps_json(card.model_dump(), indent=1) + "\n")


SUMMARY = "summary.json"


@dataclass
class Totals:
    """Sums over parts."""

    parts: int = 0
    files: int = 0
    failed: int = 0
    audio_seconds: float = 0.0
    work_seconds: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    versions: set[str] = field(default_factory=set)

    def add(self, stats: PartStats) -> None:
        """Add a part."""
        self.parts += 1
        self.files += stats.files
        self.failed += stats.failed
        self.audio_seconds += stats.audio_seconds
        self.work_seconds += stats.work_seconds
        self.labels.update(stats.labels)
        self.errors.update(stats.errors)
        self.warnings.update(stats.warnings)
        self.versions.add(stats.phonemo)


def totals_of(tallies: Iterable[PartStats]) -> Totals:
    """Sum the statistics of parts."""
    totals = Totals()
    for stats in tallies:
        totals.add(stats)
    return totals


def summary_of(card: BatchCard, totals: Totals, command: str) -> dict[str, Any]:
    """Return the content of summary.json."""
    planned, work = card.planned, totals.work_seconds
    summary = {
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
    return summary if card.profile is None else summary | {"profile": _profile_of(card.profile)}


def _profile_of(applied: Applied) -> dict[str, Any]:
    """Describe the profile and, if a first pass made it, the recordings it was made from."""
    profile = {"hash": applied.hash, "count": applied.count, "seconds": applied.seconds}
    if applied.sampled is None:
        return profile
    used = applied.sampled - applied.silent - applied.failed
    return profile | {"recordings": used, "silent": applied.silent, "failed": applied.failed}
