"""All parts together: the numbers of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from phonemo.batch.asked import Applied, Card, PartTally

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

    def add(self, one: PartTally) -> None:
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


def totals_of(tallies: Iterable[PartTally]) -> Totals:
    """Of several parts."""
    totals = Totals()
    for one in tallies:
        totals.add(one)
    return totals


def summary_of(card: Card, totals: Totals, command: str) -> dict[str, Any]:
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
