"""A batch from its beginning, or from where it stopped, to its summary.

<output>/batch.json          what was asked
<output>/profile.json        the profile that every row is made with, where there is one
<output>/plan/part-*.jsonl   the recordings of each part
<output>/parts/part-*        their answers
<output>/tally/part-*.json   their numbers
<output>/summary.json        all numbers together
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

#: Small files that are read at once.
_READERS, _READ_TOGETHER = 16, 1024
ENGINES: dict[str, Callable[..., Iterator[PartStats]]] = {
    "local": engines.run_parts_locally,
    "ray": engines.run_parts_on_ray,
}


class BatchProgress:
    """Hears how far a batch is; this one keeps quiet, the command line shows it."""

    def listing(self, found: int) -> None:
        """So many recordings were found up to now."""

    def sampled(self, done: int, total: int) -> None:
        """So many recordings of the sample for the profile are decoded."""

    def begin(self, done: int, total: int) -> None:
        """So many of all recordings were heard in earlier runs."""

    def advance(self, done: int, total: int, totals: Totals) -> None:
        """So many are heard now; ``totals`` are those of the parts that this run has finished."""


@dataclass(frozen=True)
class Batch:
    """What there is to do."""

    output: str
    """The folder, or an address."""
    asked: BatchOptions
    engine: ExecutorOptions = field(default_factory=ExecutorOptions)
    part_files: int = 100
    """Recordings in a part: what is lost at most for each worker that is killed."""
    retry: bool = False
    """Whether parts with errors are heard again."""
    profile: Profile | None = None
    """Applied to every recording; None where there is none, or ``asked.adapt`` makes one."""


def run_batch(
    inputs: Iterable[str], batch: Batch, command: str, progress: BatchProgress | None = None
) -> dict[str, Any]:
    """Hear all recordings that were not heard yet.

    Args:
        inputs: as ``phonemo.batch.inputs.items_of`` takes them.
        batch: what there is to do.
        command: what was typed.
        progress: told what happens.

    Returns:
        The content of summary.json, and under "now" the recordings, failures and hours of audio
        of this run.

    Raises:
        UsageError: an input that names nothing, or an unknown activity or label; a profile of
            another model, one beside ``asked.adapt``, or a sample without speech.
        RunError: the folder holds something else or another batch, or cannot be written; or its
            profile is not the one that the batch was begun with.
        CheckpointError: of the model.
        ModelError: the model takes no profile.
        ManifestError: of an input's row.
        MissingExtraError: of the engine, the format or an address.
    """
    progress = progress or BatchProgress()
    given = None if batch.profile is None else batch.profile.hash
    batch = replace(batch, asked=batch.asked.model_copy(update={"profile": given}))
    reference = _check(batch)
    store = open_store(batch.output)
    read_card(store)  # what is not ours is not touched, not even by a lock
    with store.owned():
        card = _carried_on(store, batch, command)
        store.clear()
        write_card(store, card)
        planned = plan(store, items_of(inputs), card.planned, batch.part_files, progress.listing)
        if not planned.named:
            raise UsageError("nothing to hear: the list is empty; name recordings")
        card = card.model_copy(update={"planned": planned})
        card = _with_profile(store, batch, card, reference, progress)
        write_card(store, card)  # from here on the plan and the profile count
        done = _done(store, card, batch.retry)
        try:
            new = _run_missing(store, batch, card, done, progress)
        finally:  # what lost workers left behind takes room
            store.clear()
        found, now = summary_of(card, totals_of([*done, *new]), command), totals_of(new)
        store.write(SUMMARY, dumps_json(found, indent=1) + "\n")
    hours = round(now.audio_seconds / 3600, 4)
    return found | {"now": {"files": now.files, "failed": now.failed, "audio_hours": hours}}


def _check(batch: Batch) -> Reference | None:
    """Whatever would stop the first worker stops the command, before anything is written.

    Returns:
        What the profile is measured against; None where none is wanted.
    """
    if batch.profile is not None and batch.asked.adapt is not None:
        raise UsageError(
            "--profile and --adapt: the recordings are adapted by one of them; leave one out"
        )
    if batch.engine.name == "ray":
        needs_ray(batch.engine.address)
    if batch.asked.format == "parquet":
        needs_pyarrow()
    detector_of(batch.asked.activity)
    listener = open_recognizer(batch.asked)
    if batch.asked.labels:
        LabelSet(tuple(listener.labels)).restrict(batch.asked.labels)
    if batch.profile is None and batch.asked.adapt is None:
        return None
    reference: Reference = listener.adaptable()
    if batch.profile is not None:
        batch.profile.check(reference)
    return reference


def _carried_on(store: Store, batch: Batch, command: str) -> BatchCard:
    card = read_card(store)
    if card is None or not card.planned.parts:
        return BatchCard(command=command, asked=batch.asked)
    if other := card.asked.differences(batch.asked):
        raise RunError(
            f"{store.address}: holds a batch that was asked otherwise ({'; '.join(other)}); ask "
            "the same, or name another folder with --output"
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
    """The card with the profile of the folder, which is made once, before the first part."""
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


def _done(store: Store, card: BatchCard, retry: bool) -> list[PartStats]:
    """The parts that are there, without those that are to be heard again."""
    there = store.names("parts")
    names = {part: part_name(part, card.asked.format).rpartition("/")[2] for part in _all(card)}
    tallies = _tallies(store, [part for part in _all(card) if names[part] in there])
    return [one for one in tallies if not (retry and one.failed)]


def _run_missing(
    store: Store, batch: Batch, card: BatchCard, done: Sequence[PartStats], progress: BatchProgress
) -> list[PartStats]:
    """Hear the parts that are missing; the numbers of these."""
    there = {one.part for one in done}
    missing = [part for part in _all(card) if part not in there]
    new, now = list[PartStats](), Totals()
    before, total = sum(one.files for one in done), card.planned.files
    progress.begin(before, total)
    if not missing:
        return new

    def alive(more: int) -> None:
        progress.advance(min(total, before + now.files + more), total, now)

    asked = card.asked.model_copy(update={"model": batch.asked.model})
    applied = None if card.profile is None else card.profile.hash
    work = WorkerSpec(store.address, asked, applied)
    for tally in ENGINES[batch.engine.name](work, missing, batch.engine, alive):
        new.append(tally)
        now.add(tally)
        alive(0)
    return new


def _tallies(store: Store, parts: Sequence[int]) -> Iterator[PartStats]:
    """The numbers of parts, in their order; an object store takes its time for each file."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="tally") as threads:
        for first in range(0, len(parts), _READ_TOGETHER):
            some = parts[first : first + _READ_TOGETHER]
            yield from threads.map(lambda part: _tally(store, part), some)


def _tally(store: Store, part: int) -> PartStats:
    try:
        return PartStats.model_validate_json(store.read(tally_name(part)))
    except ValueError as error:
        raise RunError(
            f"{store.address}: {tally_name(part)} is broken; remove it and the part of that "
            "number, and run the same command again"
        ) from error


def _all(card: BatchCard) -> range:
    return range(card.planned.parts)
