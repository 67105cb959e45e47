"""A batch folder's card (batch.json) and the statistics of its parts and of the whole batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from phonemo.audio import Channels
from phonemo.batch.stores import Store
from phonemo.errors import RunError, safe_name
from phonemo.files import dumps_json, loads_json
from phonemo.version import __version__

CARD = "batch.json"
#: Counts rows without a label, beside the emotions.
NO_SPEECH = "no_speech"
PartFormat = Literal["jsonl", "parquet"]


def _is_mix(value: object) -> bool:
    """Exclude the default from the files, which earlier versions read."""
    return value == "mix"


def _is_cpu(value: object) -> bool:
    return value == "cpu"


def _is_none(value: object) -> bool:
    """Exclude fields of batches with a profile from the files of those without."""
    return value is None


class _JobModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchOptions(_JobModel):
    """Options that apply to every recording; fixed within a folder."""

    model: str | None = None
    """A bundle or a model folder; None is the bundle that ships with phonemo."""
    model_sha256: str
    """The result of phonemo.loader.model_digest."""
    labels: tuple[str, ...] = ()
    """Emotions to choose among; empty for all."""
    top_k: int | None = None
    """Number of highest scores to keep; None for all."""
    phonemes: bool = False
    """Include the times and shares of the phonemes."""
    decoding: str | None = Field(default=None, exclude_if=_is_none)
    """How phonemes are decoded (``PhonemeOptions``); None is the model's default."""
    edges: str | None = Field(default=None, exclude_if=_is_none)
    """Where phonemes end; None is the network's frames."""
    timeline: bool = False
    """Give short recordings a timeline too."""
    activity: str = "energy"
    """Voice activity detector."""
    device: str = Field(default="cpu", exclude_if=_is_cpu)
    """Where the network runs: scores on a card differ from the processor's in their last digits.
    "auto" is decided by the command for processes, by each actor on Ray."""
    channels: Channels = Field(default="mix", exclude_if=_is_mix)
    """The channels of recordings whose row in a manifest names none."""
    threshold: float | None = None
    """Results with a lower score are marked unsure; None uses the model's threshold."""
    format: PartFormat = "jsonl"
    """File format of the parts."""
    profile: str | None = Field(default=None, exclude_if=_is_none)
    """Hash of the profile passed by the user, if any."""
    adapt: int | None = Field(default=None, ge=1, exclude_if=_is_none)
    """Number of recordings to make a profile of first; None makes none."""

    def differences(self, other: BatchOptions) -> list[str]:
        """Describe how ``other`` differs, for a message; the path of the model may differ."""
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
    """Recordings in the latest input; those missing from it stay planned."""
    repeated: int = 0
    """Duplicates in the latest input; each recording is processed once."""
    sha: str = ""
    """Hash of the set of recordings in the latest input."""


class Applied(_JobModel):
    """The profile that is applied to every recording; its file is beside the card."""

    hash: str
    count: int
    """Number of vectors."""
    seconds: float
    """Seconds of speech."""
    sampled: int | None = Field(default=None, exclude_if=_is_none)
    """Recordings of the first pass; None for a profile passed by the user."""
    silent: int = 0
    """Recordings of the first pass without speech."""
    failed: int = 0
    """Recordings of the first pass that cannot be used."""


class BatchCard(_JobModel):
    """The content of batch.json."""

    format: Literal[1] = 1
    """Version of the folder format."""
    phonemo: str = __version__
    """Version of phonemo that started the batch."""
    command: str
    """The first command line."""
    options: BatchOptions = Field(
        validation_alias=AliasChoices("asked", "options"), serialization_alias="asked"
    )
    planned: PlanSummary = PlanSummary()
    profile: Applied | None = Field(default=None, exclude_if=_is_none)


@dataclass(frozen=True)
class ExecutorOptions:
    """Where a batch runs; a folder may be resumed with another executor."""

    name: Literal["local", "ray"] = "local"
    workers: int | None = None
    """Parallel workers; None for one per processor of the machine or the cluster. On a card, None
    for one process on this machine, and for one actor per card of a Ray cluster."""
    address: str | None = None
    """Address of a Ray cluster; None starts Ray on this machine."""


class PartStats(_JobModel):
    """Statistics of a part."""

    part: int
    files: int
    failed: int = 0
    audio_seconds: float = 0.0
    """Audio of the recognized recordings."""
    work_seconds: float = 0.0
    """Wall time of the part in its worker."""
    labels: dict[str, int] = Field(default_factory=dict)
    """Rows by emotion, or NO_SPEECH; a recording whose channels are split has several."""
    errors: dict[str, int] = Field(default_factory=dict)
    """Counts by error code."""
    warnings: dict[str, int] = Field(default_factory=dict)
    phonemo: str = __version__


def _short(value: object) -> str:
    """Format for a message; hashes are shortened."""
    return repr(value[:12] if isinstance(value, str) else value)


def read_card(store: Store) -> BatchCard | None:
    """Read a batch folder's card; None if the folder is empty or missing.

    Raises:
        RunError: the folder holds something else, or a card of another version.
    """
    names = store.names()
    if CARD not in names:
        others = sorted(name for name in names if not name.startswith("."))
        if others:
            raise RunError(
                f"{safe_name(store.address)}: expected a batch folder or an empty one, got "
                f"{others[0]} in it; pass a new folder with --output"
            )
        return None
    try:
        return BatchCard.model_validate(loads_json(store.read(CARD)))
    except (ValidationError, ValueError) as error:
        raise RunError(
            f"{safe_name(store.address)}: expected {CARD} of this version of phonemo; pass another "
            "folder with --output"
        ) from error


def write_card(store: Store, card: BatchCard) -> None:
    """Write a batch folder's card."""
    store.write(CARD, dumps_json(card.model_dump(by_alias=True), indent=1) + "\n")


SUMMARY = "summary.json"


@dataclass
class Totals:
    """Statistics summed over parts."""

    parts: int = 0
    files: int = 0
    failed: int = 0
    audio_seconds: float = 0.0
    work_seconds: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    versions: set[str] = field(default_factory=set)

    def add(self, part: PartStats) -> None:
        """Add a part."""
        self.parts += 1
        self.files += part.files
        self.failed += part.failed
        self.audio_seconds += part.audio_seconds
        self.work_seconds += part.work_seconds
        self.labels.update(part.labels)
        self.errors.update(part.errors)
        self.warnings.update(part.warnings)
        self.versions.add(part.phonemo)


def totals_of(tallies: Iterable[PartStats]) -> Totals:
    """Sum the statistics of several parts."""
    totals = Totals()
    for part in tallies:
        totals.add(part)
    return totals


def summary_of(card: BatchCard, totals: Totals, command: str) -> dict[str, Any]:
    """Return the content of summary.json."""
    planned, work = card.planned, totals.work_seconds
    summary = {
        "command": command,
        "model": card.options.model or "the bundle that ships with phonemo",
        "model_sha256": card.options.model_sha256,
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
    return summary if card.profile is None else summary | {"profile": _describe(card.profile)}


def _describe(profile: Applied) -> dict[str, Any]:
    """Describe a profile; one from a first pass with its numbers of recordings."""
    content = {"hash": profile.hash, "count": profile.count, "seconds": profile.seconds}
    if profile.sampled is None:
        return content
    used = profile.sampled - profile.silent - profile.failed
    return content | {"recordings": used, "silent": profile.silent, "failed": profile.failed}
