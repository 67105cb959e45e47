"""Run a batch, or resume it, to its summary.

<output>/batch.json          the options
<output>/profile.json        the profile that is applied, if any
<output>/plan/part-*.jsonl   the recordings of each part
<output>/parts/part-*        the results of each part
<output>/tally/part-*.json   the statistics of each part
<output>/summary.json        the statistics of the whole batch
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
from phonemo.files import SkippedFiles, dumps_json
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.device import CPU, is_cuda
from phonemo.runtime.vad import detector_of
from phonemo.runtime.workers import available_cpus, needs_ray

#: Threads that read small files, and files per round.
_READERS, _READ_TOGETHER = 16, 1024
ENGINES: dict[str, Callable[..., Iterator[PartStats]]] = {
    "local": engines.run_parts_locally,
    "ray": engines.run_parts_on_ray,
}


class BatchProgress:
    """Callbacks for a batch's progress; this base class ignores them."""

    def listing(self, count: int) -> None:
        """Report the number of recordings listed so far."""

    def note(self, text: str) -> None:
        """Report what is not used of the inputs."""

    def sampled(self, done: int, total: int) -> None:
        """Report the progress of decoding the profile's sample, in recordings."""

    def begin(self, done: int, total: int) -> None:
        """Report the number of recordings done in earlier runs."""

    def advance(self, done: int, total: int, totals: Totals) -> None:
        """Report the number of recordings done, and totals of the parts this run finished."""


@dataclass(frozen=True)
class Batch:
    """A batch's folder, options and executor."""

    output: str
    """The folder, or an address."""
    options: BatchOptions
    engine: ExecutorOptions = field(default_factory=ExecutorOptions)
    part_files: int = 100
    """Recordings in a part: the most that a killed worker loses."""
    retry: bool = False
    """Process parts with errors again."""
    profile: Profile | None = None
    """Applied to every recording; None if there is none, or if ``options.adapt`` makes one."""


def run_batch(
    inputs: Iterable[str], batch: Batch, command: str, progress: BatchProgress | None = None
) -> dict[str, Any]:
    """Recognize all recordings that have no result yet.

    Args:
        inputs: the names for ``phonemo.batch.inputs.items_of``.
        batch: the folder, the options and the executor.
        command: the command line.
        progress: receives the progress.

    Returns:
        The content of summary.json, with this run's recordings, failures and hours of audio under
        "now".

    Raises:
        UsageError: an input without recordings; an unknown activity or label; a profile of another
            model, a profile together with ``options.adapt``, or a sample without speech.
        RunError: the folder holds something else or another batch, or cannot be written; or its
            profile is not the batch's.
        CheckpointError: the model cannot be opened.
        DeviceError: the requested card is missing, or the model does not open there.
        ModelError: the model does not support profiles.
        ManifestError: a malformed row in an input.
        MissingExtraError: a package for the engine, the format or an address is not installed.
    """
    progress = progress or BatchProgress()
    profile_hash = None if batch.profile is None else batch.profile.hash
    batch = replace(batch, options=batch.options.model_copy(update={"profile": profile_hash}))
    checked = _check(batch)
    batch = _resolved(batch, checked)
    store = open_store(batch.output)
    read_card(store)  # raises for foreign folders before a lock is written to them
    with store.owned():
        card = _new_or_resumed_card(store, batch, command)
        store.clear()
        write_card(store, card)
        skipped = SkippedFiles()
        items = items_of(inputs, skipped)
        planned = plan(store, items, card.planned, batch.part_files, progress.listing)
        for text in skipped.notes():
            progress.note(text)
        if not planned.named:
            raise UsageError("expected recordings, got an empty list; name some")
        card = card.model_copy(update={"planned": planned})
        card = _with_profile(store, batch, card, checked.reference, progress)
        write_card(store, card)  # the plan and the profile take effect here
        done = _finished_parts(store, card, batch.retry)
        try:
            new = _run_missing(store, batch, card, done, progress)
        finally:  # lost workers leave temporary files
            store.clear()
        summary, now = summary_of(card, totals_of([*done, *new]), command), totals_of(new)
        store.write(SUMMARY, dumps_json(summary, indent=1) + "\n")
    hours = round(now.audio_seconds / 3600, 4)
    return summary | {"now": {"files": now.files, "failed": now.failed, "audio_hours": hours}}


@dataclass(frozen=True)
class _Checked:
    """What a batch's model says about its options."""

    labels: tuple[str, ...]
    """Those of ``options.labels``, which may have other spellings."""
    device: str
    """Where the model opens on this machine; never "auto"."""
    reference: Reference | None
    """The model's reference statistics; None if no profile is applied."""


def _resolved(batch: Batch, checked: _Checked) -> Batch:
    """Resolve the labels and, for processes of this machine, the device and their number.

    On a card it is one process, whose threads decode for one session.
    """
    options: dict[str, object] = {"labels": checked.labels}
    if batch.engine.name == "ray":
        return replace(batch, options=batch.options.model_copy(update=options))
    workers = batch.engine.workers or (1 if is_cuda(checked.device) else available_cpus())
    options |= {"device": checked.device}
    return replace(
        batch,
        options=batch.options.model_copy(update=options),
        engine=replace(batch.engine, workers=workers),
    )


def _options_here(batch: Batch) -> BatchOptions:
    """The options for work on this machine, which needs no card where Ray's actors have theirs."""
    if batch.engine.name != "ray":
        return batch.options
    return batch.options.model_copy(update={"device": CPU})


def _check(batch: Batch) -> _Checked:
    """Raise errors that the first worker would raise, before anything is written."""
    if batch.profile is not None and batch.options.adapt is not None:
        raise UsageError("--profile and --adapt are mutually exclusive; drop one")
    if batch.engine.name == "ray":
        needs_ray(batch.engine.address)
    if batch.options.format == "parquet":
        needs_pyarrow()
    detector_of(batch.options.activity)
    recognizer = open_recognizer(_options_here(batch))
    known = LabelSet(tuple(recognizer.labels))
    labels = known.resolved(batch.options.labels)
    if labels:
        known.restrict(labels)  # at least two
    device = recognizer.device
    if batch.profile is None and batch.options.adapt is None:
        return _Checked(labels, device, None)
    reference: Reference = recognizer.adaptable()
    if batch.profile is not None:
        batch.profile.check(reference)
    return _Checked(labels, device, reference)


def _new_or_resumed_card(store: Store, batch: Batch, command: str) -> BatchCard:
    card = read_card(store)
    if card is None or not card.planned.parts:
        return BatchCard(command=command, options=batch.options)
    if differences := card.options.differences(batch.options):
        raise RunError(
            f"{store.address}: holds a batch with other options ({'; '.join(differences)}); repeat "
            "its options, or pass another folder with --output"
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
    """Return the card with the folder's profile, which is made once, before the first part."""
    if reference is None or card.profile is not None:
        return card
    if batch.profile is not None:
        applied = keep_profile(store, batch.profile)
    else:
        work = WorkerSpec(store.address, _options_here(batch))
        parts, workers = card.planned.parts, batch.engine.workers or available_cpus()
        applied = make_profile(store, work, parts, workers, reference, progress.sampled)
    return card.model_copy(update={"profile": applied})


def _finished_parts(store: Store, card: BatchCard, retry: bool) -> list[PartStats]:
    """Read the statistics of finished parts, without those to process again."""
    existing = store.names("parts")
    names = {
        part: part_name(part, card.options.format).rpartition("/")[2] for part in _planned(card)
    }
    finished = [part for part in _planned(card) if names[part] in existing]
    return [stats for stats in _read_tallies(store, finished) if not (retry and stats.failed)]


def _run_missing(
    store: Store, batch: Batch, card: BatchCard, done: Sequence[PartStats], progress: BatchProgress
) -> list[PartStats]:
    """Process the missing parts; return their statistics."""
    finished = {stats.part for stats in done}
    missing = [part for part in _planned(card) if part not in finished]
    new, now = list[PartStats](), Totals()
    before, total = sum(stats.files for stats in done), card.planned.files
    progress.begin(before, total)
    if not missing:
        return new

    def alive(more: int) -> None:
        progress.advance(min(total, before + now.files + more), total, now)

    options = card.options.model_copy(update={"model": batch.options.model})
    profile_hash = None if card.profile is None else card.profile.hash
    work = WorkerSpec(store.address, options, profile_hash)
    for stats in ENGINES[batch.engine.name](work, missing, batch.engine, alive):
        new.append(stats)
        now.add(stats)
        alive(0)
    return new


def _read_tallies(store: Store, parts: Sequence[int]) -> Iterator[PartStats]:
    """Read the statistics of parts in parallel, as object stores are slow for each file."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="tally") as threads:
        for first in range(0, len(parts), _READ_TOGETHER):
            numbers = parts[first : first + _READ_TOGETHER]
            yield from threads.map(lambda part: _read_tally(store, part), numbers)


def _read_tally(store: Store, part: int) -> PartStats:
    try:
        return PartStats.model_validate_json(store.read(tally_name(part)))
    except ValueError as error:
        raise RunError(
            f"{store.address}: {tally_name(part)} is malformed; remove it and the part with the "
            "same number, then run the same command again"
        ) from error


def _planned(card: BatchCard) -> range:
    return range(card.planned.parts)
