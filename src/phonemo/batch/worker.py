"""A batch worker: one model that recognizes parts one after another.

A watchdog ends the process of a worker that makes no progress, since a hang raises no exception.
Parts that failed before are recognized file by file in a child process, so that a file that
crashes it yields a single error row.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Any

from phonemo.annotations.prediction import Prediction
from phonemo.batch.fetch import Fetched, fetched, release
from phonemo.batch.job import NO_SPEECH, BatchOptions, PartStats
from phonemo.batch.job_profile import read_profile
from phonemo.batch.plan import BatchItem, read_part
from phonemo.batch.rows import Row, failed_row, part_name, rows_of, writing_rows
from phonemo.batch.stores import Store, open_store
from phonemo.errors import PhonemoError, RunError, safe_name
from phonemo.loader import load_model, model_digest
from phonemo.runtime.device import is_cuda
from phonemo.runtime.workers import WorkerPool, available_cpus

#: Time limit for one file; hours of audio take minutes.
SECONDS = 3600.0
#: Time limit for one recording in an isolated process.
ISOLATED_SECONDS = SECONDS


class Watchdog:
    """Call ``late`` once, in a thread, if no ``tick`` arrives in time; a context manager.

    Args:
        seconds: longest time between two ticks.
        late: called on timeout.
    """

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self._seconds, self._late = seconds, late
        self._done = threading.Condition()
        self._count, self._open = 0, True

    def tick(self) -> None:
        """Report progress."""
        with self._done:
            self._count += 1
            self._done.notify()

    def __enter__(self) -> Watchdog:
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._done:
            self._open = False
            self._done.notify()

    def _watch(self) -> None:
        with self._done:
            while self._open:
                before = self._count
                self._done.wait(self._seconds)
                if self._is_stuck(before):
                    self._late()
                    return

    def _is_stuck(self, before: int) -> bool:
        return self._open and self._count == before


log = logging.getLogger(__name__)

#: Unfinished attempts after which the files of a part are isolated: one of them may be deadly.
BEGUN_BEFORE = 2
#: If this many files all fail with the same rare error, the files are not the cause.
_MANY = 8
#: Called for every recording that is done.
Tick = Callable[[], None]


@dataclass(frozen=True)
class WorkerSpec:
    """A worker's settings, sent to other processes and machines."""

    folder: str
    """Address of the batch folder."""
    options: BatchOptions
    profile: str | None = None
    """Hash of the profile in the folder to apply; None for no profile."""


def tally_name(part: int) -> str:
    """Return the file name of a part's statistics."""
    return f"tally/part-{part:06d}.json"


def begun_name(part: int) -> str:
    """Return the file name of a part's count of unfinished attempts."""
    return f"begun/part-{part:06d}"


class PartWorker:
    """Recognizes parts; the model runs in one thread.

    Args:
        work: the batch and its options.
        tick: called for every recording.

    Raises:
        CheckpointError: the model is missing or malformed.
        RunError: the model or the profile is not the batch's.
    """

    def __init__(self, work: WorkerSpec, tick: Tick = lambda: None) -> None:
        self.store: Store = open_store(work.folder)
        self.options = work.options
        self._work, self._tick = work, tick
        self._recognizer = open_recognizer(work.options)
        # one session on a card, and threads that decode for it
        self._jobs = available_cpus() if is_cuda(self._recognizer.device) else 1
        if work.profile is not None:
            profile = read_profile(self.store, work.profile)
            self._recognizer = self._recognizer.with_profile(profile)

    def recognize(self, part: int) -> PartStats:
        """Recognize a part and write all its rows to the folder, or none.

        Raises:
            RunError: the folder cannot be read or written.
        """
        items = read_part(self.store, part)
        if self._begin(part) < BEGUN_BEFORE:
            try:
                with Watchdog(SECONDS, lambda: self._give_up(part)) as watch:
                    return self._stored(part, self.rows(items), watch.tick)
            except PhonemoError:
                raise
            except Exception as error:  # a bug, here or in a library, that one file triggers
                message = "part %d: %s; its files are recognized one by one"
                log.warning(message, part, error_line(error), exc_info=True)

        return self._stored(part, isolated_rows(self._work, items))

    def rows(self, items: Sequence[BatchItem]) -> Iterator[list[Row]]:
        """Yield the rows of each recording, in order: one, or one for each channel if split."""
        options = self.options
        held: deque[Fetched] = deque()
        results = self._recognizer.predict_many(
            fetched(items, held),
            jobs=self._jobs,
            shares=options.phonemes,
            timeline=options.timeline,
            channels=options.channels,
        )
        try:
            for item, result in zip(items, results, strict=True):
                release(held.popleft())
                if isinstance(result, Prediction):
                    result = result.narrowed(options.labels, options.top_k)
                yield rows_of(item, result, options.phonemes)
        finally:
            for source in held:
                release(source)

    def _give_up(self, part: int) -> None:
        """End the process, which hangs in a recording; the next attempt isolates the files."""
        log.warning("part %d: no recording finished within %g s; restarting it", part, SECONDS)
        self.store.write(begun_name(part), f"{BEGUN_BEFORE}\n")
        os._exit(1)

    def _stored(
        self, part: int, recordings: Iterator[list[Row]], done: Callable[[], None] = lambda: None
    ) -> PartStats:
        counter, options, profiled = (
            _StatsCounter(part),
            self.options,
            self._work.profile is not None,
        )
        labels, name = self._recognizer.labels, part_name(part, self.options.format)
        with (
            self.store.writing(name) as path,
            writing_rows(path, options.format, labels, options.phonemes, profiled) as write,
        ):
            for rows in recordings:
                for row in rows:
                    write(row)
                counter.add(rows)
                done()
                self._tick()
            stats = counter.result()
            _check_fault(stats)
            # the statistics are written before the part, so that no part lacks its own
            self.store.remove(name)
            self.store.write(tally_name(part), stats.model_dump_json() + "\n")
        self.store.remove(begun_name(part))
        return stats

    def _begin(self, part: int) -> int:
        """Return the number of unfinished attempts, and count this one."""
        name = begun_name(part)
        text = (self.store.find(name) or "").strip()
        before = int(text) if text.isdigit() else 0
        self.store.write(name, f"{before + 1}\n")
        return before


def open_recognizer(options: BatchOptions) -> Any:
    """Open the model with a batch's options.

    Raises:
        CheckpointError: the model is missing or malformed.
        DeviceError: the requested card is missing, or the model does not open there.
        RunError: it is not the batch's model.
        UsageError: phoneme options that the model does not support.
    """
    if model_digest(options.model) != options.model_sha256:
        raise RunError(
            f"{options.model or 'the bundle that ships with phonemo'}: expected the model that the "
            "batch was started with, got another one; use the same phonemo and model everywhere"
        )
    recognizer = load_model(options.model, threads=1, device=options.device)
    recognizer.activity = options.activity
    if options.threshold is not None:
        recognizer.abstain_below = options.threshold
    return recognizer.with_phonemes(options.decoding, options.edges)


def _check_fault(stats: PartStats) -> None:
    """Raise if all files failed alike, which is not the files' fault."""
    for code in ("internal_error", "crashed", "timed_out"):
        if stats.errors.get(code, 0) == stats.files >= _MANY:
            raise RunError(
                f"part {stats.part}: all {stats.files} files failed with {code}, perhaps for lack "
                "of memory or by a bug; try one of them with phonemo predict"
            )


def error_line(error: Exception) -> str:
    """Return an error's class and text, in one line."""
    return f"{type(error).__name__} {' '.join(str(error).split())}"


@dataclass
class _StatsCounter:
    part: int
    files: int = 0
    audio_seconds: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=perf_counter)

    def add(self, rows: Sequence[Row]) -> None:
        """Count one recording, whose labels and warnings are those of all its rows."""
        self.files += 1
        if "error" in rows[0]:
            self.errors[rows[0]["code"]] += 1
            return
        self.audio_seconds += rows[0]["seconds"]
        for row in rows:
            self.labels[row["label"] or NO_SPEECH] += 1
            self.warnings.update(row["warnings"])

    def result(self) -> PartStats:
        return PartStats(
            part=self.part,
            files=self.files,
            failed=self.errors.total(),
            audio_seconds=round(self.audio_seconds, 3),
            work_seconds=round(perf_counter() - self.began, 3),
            labels=dict(self.labels),
            errors=dict(self.errors),
            warnings=dict(self.warnings),
        )


def isolated_rows(work: WorkerSpec, items: Iterable[BatchItem]) -> Iterator[list[Row]]:
    """Yield each recording's rows, in order; a crash yields an error row for its file alone."""
    with closing(_Child(work)) as child:
        for item in items:
            yield child.rows(item)


class _Child:
    """A process that recognizes one recording at a time and is replaced after a crash."""

    def __init__(self, work: WorkerSpec) -> None:
        self._work = work
        self._pool: WorkerPool[BatchItem, list[Row]] | None = None

    def rows(self, item: BatchItem) -> list[Row]:
        name = safe_name(item.file)
        try:
            return self._open().submit(item).result(ISOLATED_SECONDS)
        except BrokenProcessPool:
            self.close()
            message = f"{name}: the process that recognized it died; convert it, or leave it out"
            return [failed_row(item, "crashed", message)]
        except TimeoutError:
            self.close()
            message = f"{name}: no result in {ISOLATED_SECONDS:g} s; convert it, or leave it out"
            return [failed_row(item, "timed_out", message)]
        except PhonemoError:
            raise  # concerns the batch, not the file
        except Exception as error:  # a bug must not lose the other files
            log.warning("%s: internal error", name, exc_info=True)
            message = f"{name}: {error_line(error)}; please report this"
            return [failed_row(item, "internal_error", message)]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _open(self) -> WorkerPool[BatchItem, list[Row]]:
        if self._pool is None:
            self._pool = WorkerPool(_rows_of, 1, _set_up, (self._work,))
            self._pool.start()
        return self._pool


#: In the child process: its batch and, once a file was recognized, its model.
_spec: WorkerSpec | None = None
_worker: PartWorker | None = None


def _set_up(work: WorkerSpec) -> None:
    global _spec
    _spec = work


def _rows_of(item: BatchItem) -> list[Row]:
    global _worker
    assert _spec is not None
    _worker = _worker or PartWorker(_spec)
    return next(_worker.rows([item]))
