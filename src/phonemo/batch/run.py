"""Run a batch, or resume one, to its summary.

<output>/batch.json          options and plan
<output>/profile.json        the profile applied to every recording, if any
<output>/plan/part-*.jsonl   recordings of each part
<output>/parts/part-*        result rows of each part
<output>/tally/part-*.json   statistics of each part
<output>/summary.json        statistics of the batch
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from phonemo.batch import engines
from phonemo.batch.adaptation import make_profile
from phonemo.batch.inputs import items_of
from phonemo.batch.job import (
    SUMMARY,
    BatchCard,
    BatchOptions,
    ExecutorOptions,
    PartStats,
    Totals,
    read_card,
    summary_of,
    totals_of,
    write_card,
)
from phonemo.batch.job_profile import keep_profile, read_profile
from phonemo.batch.plan import plan
from phonemo.batch.rows import needs_pyarrow, part_name
from phonemo.batch.stores import Store, open_store
from phonemo.batch.worker import WorkerSpec, open_recognizer, tally_name
from phonemo.errors import RunError, UsageError
from phonemo.files import dumps_json
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.vad import detector_of
from phonemo.runtime.workers import available_cpus, needs_ray

#: Threads that read small files, and files per round.
_READERS, _READ_TOGETHER = 16, 1024
ENGINES: dict[str, Callable[..., Iterator[PartStats]]] = {
    "local": engines.run_parts_locally,
    "ray": engines.run_parts_on_ray,
}


class BatchProgress:
    """Callbacks for the progress of a batch; this base class ignores them."""

    def listing(self, found: int) -> None:
        """Report the number of recordings found so far."""

    def sampled(self, done: int, total: int) -> None:
        """Report the number of sample recordings processed for the profile."""

    def begin(self, done: int, total: int) -> None:
        """Report the number of recordings finished in earlier runs."""

    def advance(self, done: int, total: int, totals: Totals) -> None:
        """Report the recordings finished; ``totals`` are of the parts finished in this run."""


@dataclass(frozen=True)
class Batch:
    """A batch job."""

    output: str
    """Folder or URL."""
    asked: BatchOptions
    engine: ExecutorOptions = field(default_factory=ExecutorOptions)
    part_files: int = 100
    """Recordings in a part, the most that is repeated after a worker is killed."""
    retry: bool = False
    """Whether to repeat parts with errors."""
    profile: Profile | None = None
    """Profile for every recording; None for none, or if ``asked.adapt`` makes one."""


def run_batch(
    inputs: Iterable[str], batch: Batch, command: str, progress: BatchProgress | None = None
) -> dict[str, Any]:
    """Recognize all recordings that have no result yet.

    Args:
        inputs: inputs as for ``phonemo.batch.inputs.items_of``.
        batch: the job.
        command: the command line, for the summary.
        progress: callbacks.

    Returns:
        The content of summary.json, and under "now" the recordings, failures and hours of audio
        of this run.

    Raises:
        UsageError: an input without recordings, or an unknown activity or label; a profile of
            another model or together with ``asked.adapt``, or a sample without speech.
        RunError: the folder contains other files or another batch, cannot be written, or has
            another profile than the one with which the batch was started.
        CheckpointError: the model cannot be opened.
        ModelError: the model does not support profiles.
        ManifestError: an invalid row in an input.
        MissingExtraError: a package for the engine, the format or a URL is not installed.
    """
    progress = progress or BatchProgress()
    profile_hash = None if batch.profile is None else batch.profile.hash
    batch = replace(batch, asked=batch.asked.model_copy(update={"profile": profile_hash}))
    reference = _check(batch)
    store = open_store(batch.output)
    read_card(store)  # before the lock: a folder with other files is not touched
    with store.owned():
        card = _load_or_create_card(store, batch, command)
        store.clear()
        write_card(store, card)
        planned = plan(store, items_of(inputs), card.planned, batch.part_files, progress.listing)
        if not planned.named:
            raise UsageError("no recordings: the list is empty; give at least one")
        card = card.model_copy(update={"planned": planned})
        card = _with_profile(store, batch, card, reference, progress)
        write_card(store, card)  # from here on, the plan and the profile are in effect
        done = _finished_parts(store, card, batch.retry)
        try:
            new = _run_missing(store, batch, card, done, progress)
        finally:  # files of lost workers take up space
            store.clear()
        summary, now = summary_of(card, totals_of([*done, *new]), command), totals_of(new)
        store.write(SUMMARY, dumps_json(summary, indent=1) + "\n")
    hours = round(now.audio_seconds / 3600, 4)
    return summary | {"now": {"files": now.files, "failed": now.failed, "audio_hours": hours}}


def _check(batch: Batch) -> Reference | None:
    """Raise before anything is written what would stop the first worker.

    Returns:
        Reference statistics for the profile; None without one.
    """
    if batch.profile is not None and batch.asked.adapt is not None:
        raise UsageError("--profile and --adapt are mutually exclusive; leave one of them out")
    if batch.engine.name == "ray":
        needs_ray(batch.engine.address)
    if batch.asked.format == "parquet":
        needs_pyarrow()
    detector_of(batch.asked.activity)
    recognizer = open_recognizer(batch.asked)
    if batch.asked.labels:
        LabelSet(tuple(recognizer.labels)).restrict(batch.asked.labels)
    if batch.profile is None and batch.asked.adapt is None:
        return None
    reference: Reference = recognizer.adaptable()
    if batch.profile is not None:
        batch.profile.check(reference)
    return reference


def _load_or_create_card(store: Store, batch: Batch, command: str) -> BatchCard:
    card = read_card(store)
    if card is None or not card.planned.parts:
        return BatchCard(command=command, asked=batch.asked)
    if differences := card.asked.differences(batch.asked):
        raise RunError(
            f"{store.address}: contains a batch with other options ({'; '.join(differences)}); use "
            "the same options, or give another folder with --output"
        )
    if card.profile is not None:
        read_profile(store, card.profile.hash)
    return card


def _with_profile(
    store: Store,
    batch: Batch,
    card: BatchCard,
    reference: Reference | None,
    progress: BatchProgress,
) -> BatchCard:
    """Add the profile to the card; it is made once, before the first part."""
    if reference is None or card.profile is not None:
        return card
    if batch.profile is not None:
        applied = keep_profile(store, batch.profile)
    else:
        work, workers = (
            WorkerSpec(store.address, batch.asked),
            batch.engine.workers or available_cpus(),
        )
        parts = card.planned.parts
        applied = make_profile(store, work, parts, workers, reference, progress.sampled)
    return card.model_copy(update={"profile": applied})


def _finished_parts(store: Store, card: BatchCard, retry: bool) -> list[PartStats]:
    """Return the statistics of finished parts, without those to repeat."""
    existing = store.names("parts")
    names = {
        part: part_name(part, card.asked.format).rpartition("/")[2] for part in _all_parts(card)
    }
    tallies = _all_stats(store, [part for part in _all_parts(card) if names[part] in existing])
    return [stats for stats in tallies if not (retry and stats.failed)]


def _run_missing(
    store: Store, batch: Batch, card: BatchCard, done: Sequence[PartStats], progress: BatchProgress
) -> list[PartStats]:
    """Process the missing parts; return their statistics."""
    finished = {stats.part for stats in done}
    missing = [part for part in _all_parts(card) if part not in finished]
    new, now = list[PartStats](), Totals()
    before, total = sum(stats.files for stats in done), card.planned.files
    progress.begin(before, total)
    if not missing:
        return new

    def on_progress(more: int) -> None:
        progress.advance(min(total, before + now.files + more), total, now)

    asked = card.asked.model_copy(update={"model": batch.asked.model})
    applied = None if card.profile is None else card.profile.hash
    work = WorkerSpec(store.address, asked, applied)
    for tally in ENGINES[batch.engine.name](work, missing, batch.engine, on_progress):
        new.append(tally)
        now.add(tally)
        on_progress(0)
    return new


def _all_stats(store: Store, parts: Sequence[int]) -> Iterator[PartStats]:
    """Yield the statistics of parts, in order, read in parallel, as object stores are slow."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="tally") as threads:
        for first in range(0, len(parts), _READ_TOGETHER):
            group = parts[first : first + _READ_TOGETHER]
            yield from threads.map(lambda part: _read_stats(store, part), group)


def _read_stats(store: Store, part: int) -> PartStats:
    try:
        return PartStats.model_validate_json(store.read(tally_name(part)))
    except ValueError as error:
        raise RunError(
            f"{store.address}: {tally_name(part)} is damaged; remove it and the part with that "
            "number, and run the same command again"
        ) from error


def _all_parts(card: BatchCard) -> range:
    return range(card.planned.parts)
