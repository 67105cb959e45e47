"""A worker: one model, and parts heard with it one after another.

A watch over a worker: one that gets no further ends its process, for a hang has no exception.

Files heard one by one in a process that may die of one: that file alone then has an error.
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
from phonemo.batch.job import BatchOptions, PartStats
from phonemo.batch.job_profile import read_profile
from phonemo.batch.plan import BatchItem, read_part
from phonemo.batch.rows import Row, failed_row, part_name, row_of, writing_rows
from phonemo.batch.stores import Store, open_store
from phonemo.errors import PhonemoError, RunError, safe_name
from phonemo.loader import load_model, model_digest
from phonemo.runtime.workers import WorkerPool

#: For one file; hours of audio take minutes.
SECONDS = 3600.0
#: For one recording in a process of its own.
ISOLATED_SECONDS = SECONDS


class Watchdog:
    """While it is open, ``late`` is called once, in a thread, when nothing was done for so long.

    Args:
        seconds: how long.
        late: what to do then.
    """

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self._seconds, self._late = seconds, late
        self._done = threading.Condition()
        self._count, self._open = 0, True

    def tick(self) -> None:
        """Something was done."""
        with self._done:
            self._count += 1
            self._done.notify()

    def __enter__(self) -> Watchdog:
        threading.Thread(target=self._look, name="watch", daemon=True).start()
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

    def _look(self) -> None:
        with self._done:
            while self._open:
                before = self._count
                self._done.wait(self._seconds)
                if self._stands_at(before):
                    self._late()
                    return

    def _stands_at(self, before: int) -> bool:
        return self._open and self._count == before


log = logging.getLogger(__name__)

#: A part that was begun so often and never ended is heard with care: a file in it may be deadly.
BEGUN_BEFORE = 2
#: So many files do not all have the same rare fault.
_MANY = 8
#: Told of every recording that is done.
Tick = Callable[[], None]


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker must know; it goes to other processes and machines."""

    folder: str
    """The batch's, as its store names it."""
    asked: BatchOptions
    profile: str | None = None
    """The hash of the profile in the folder that is applied; None applies none."""


def tally_name(part: int) -> str:
    """The file with a part's numbers."""
    return f"tally/part-{part:06d}.json"


def begun_name(part: int) -> str:
    """The file that says how often a part was begun without an end."""
    return f"begun/part-{part:06d}"


class PartWorker:
    """Hears parts. One processor: the model works in one thread.

    Args:
        work: what is wanted.
        tick: told of every recording.

    Raises:
        CheckpointError: the model is not there, or another one.
        RunError: the profile is not there, or another one.
    """

    def __init__(self, work: WorkerSpec, tick: Tick = lambda: None) -> None:
        self.store: Store = open_store(work.folder)
        self.asked = work.asked
        self._work, self._tick = work, tick
        self._listener = open_recognizer(work.asked)
        if work.profile is not None:
            profile = read_profile(self.store, work.profile)
            self._listener = self._listener.with_profile(profile)

    def recognize(self, part: int) -> PartStats:
        """Hear a part and put its answers into the folder: all of them, or nothing.

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
            except Exception as error:  # a fault of ours, or of a library, that one file calls up
                told = "part %d: %s; its files are recognized one by one"
                log.warning(told, part, error_line(error), exc_info=True)

        return self._stored(part, isolated_rows(self._work, items))

    def rows(self, items: Sequence[BatchItem]) -> Iterator[Row]:
        """The answers of recordings, in their order."""
        asked = self.asked
        held: deque[Fetched] = deque()
        found = self._listener.predict_many(
            fetched(items, held), jobs=1, shares=asked.phonemes, timeline=asked.timeline
        )
        try:
            for item, one in zip(items, found, strict=True):
                release(held.popleft())
                if isinstance(one, Prediction):
                    one = one.narrowed(asked.labels, asked.top_k)
                yield row_of(item, one, asked.phonemes)
        finally:
            for source in held:
                release(source)

    def _give_up(self, part: int) -> None:
        """One recording does not end: end the process, and have the part heard with care."""
        log.warning("part %d: no recording was done for %g s; it is begun again", part, SECONDS)
        self.store.write(begun_name(part), f"{BEGUN_BEFORE}\n")
        os._exit(1)

    def _stored(
        self, part: int, rows: Iterator[Row], done: Callable[[], None] = lambda: None
    ) -> PartStats:
        tally, asked, named = _StatsCounter(part), self.asked, self._work.profile is not None
        labels = self._listener.labels
        with (
            self.store.writing(part_name(part, asked.format)) as path,
            writing_rows(path, asked.format, labels, asked.phonemes, named) as write,
        ):
            for row in rows:
                write(row)
                tally.add(row)
                done()
                self._tick()
            found = tally.result()
            _check_fault(found)
            # the numbers before the part: one that is there has its own
            self.store.remove(part_name(part, asked.format))
            self.store.write(tally_name(part), found.model_dump_json() + "\n")
        self.store.remove(begun_name(part))
        return found

    def _begin(self, part: int) -> int:
        """How often it was begun before; one more from now on."""
        name = begun_name(part)
        text = (self.store.find(name) or "").strip()
        before = int(text) if text.isdigit() else 0
        self.store.write(name, f"{before + 1}\n")
        return before


def open_recognizer(asked: BatchOptions) -> Any:
    """The model as it was asked for.

    Raises:
        CheckpointError: it is absent, broken, or another one.
        LabelError: the model does not know one of the labels.
    """
    if model_digest(asked.model) != asked.model_sha256:
        raise RunError(
            f"{asked.model or 'the bundle that ships with phonemo'}: another model than the batch "
            "was begun with; every worker needs the same phonemo and the same model"
        )
    listener = load_model(asked.model, threads=1)
    listener.activity = asked.activity
    if asked.threshold is not None:
        listener.abstain_below = asked.threshold
    return listener


def _check_fault(found: PartStats) -> None:
    """What meets every file is no fault of the files."""
    for code in ("internal_error", "crashed", "timed_out"):
        if found.errors.get(code, 0) == found.files >= _MANY:
            raise RunError(
                f"part {found.part}: all {found.files} files failed with {code}; perhaps there is "
                "too little memory, or phonemo has a fault: hear one of them with phonemo predict"
            )


def error_line(error: Exception) -> str:
    """An error's class and text, in one line."""
    return f"{type(error).__name__} {' '.join(str(error).split())}"


@dataclass
class _StatsCounter:
    """Numbers that grow row by row."""

    part: int
    files: int = 0
    audio_seconds: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=perf_counter)

    def add(self, row: Row) -> None:
        self.files += 1
        if "error" in row:
            self.errors[row["code"]] += 1
            return
        self.labels[row["label"]] += 1
        self.warnings.update(row["warnings"])
        self.audio_seconds += row["seconds"]

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


def isolated_rows(work: WorkerSpec, items: Iterable[BatchItem]) -> Iterator[Row]:
    """The answers of recordings, in their order, whatever one of them does to its process."""
    with closing(_Child(work)) as child:
        for one in items:
            yield child.row(one)


class _Child:
    """A process for one recording at a time; it is replaced where it was lost."""

    def __init__(self, work: WorkerSpec) -> None:
        self._work = work
        self._pool: WorkerPool[BatchItem, Row] | None = None

    def row(self, item: BatchItem) -> Row:
        name = safe_name(item.file)
        try:
            return self._open().submit(item).result(ISOLATED_SECONDS)
        except BrokenProcessPool:
            self.close()
            message = f"{name}: the process that recognized it died; convert it, or leave it out"
            return failed_row(item, "crashed", message)
        except TimeoutError:
            self.close()
            message = f"{name}: no result in {ISOLATED_SECONDS:g} s; convert it, or leave it out"
            return failed_row(item, "timed_out", message)
        except PhonemoError:
            raise  # it is not the file's
        except Exception as error:  # a fault of ours, which is no reason to lose its neighbours
            log.warning("%s: internal error", name, exc_info=True)
            message = f"{name}: {error_line(error)}; please report this"
            return failed_row(item, "internal_error", message)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _open(self) -> WorkerPool[BatchItem, Row]:
        if self._pool is None:
            self._pool = WorkerPool(_row_of, 1, _set_up, (self._work,))
            self._pool.start()
        return self._pool


#: In the child: its batch, and from its first file on the model.
_spec: WorkerSpec | None = None
_worker: PartWorker | None = None


def _set_up(work: WorkerSpec) -> None:
    global _spec
    _spec = work


def _row_of(item: BatchItem) -> Row:
    global _worker
    assert _spec is not None
    _worker = _worker or PartWorker(_spec)
    return next(_worker.rows([item]))
