"""A worker: one model, and parts heard with it one after another."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from phonemo.batch.asked import Asked, PartTally
from phonemo.batch.fetching import Fetched, fetched, release
from phonemo.batch.items import Item
from phonemo.batch.plan import read_part
from phonemo.batch.profiles import read_profile
from phonemo.batch.rows import Row, part_name, row_of, writing_rows
from phonemo.batch.stores import Store, open_store
from phonemo.batch.watching import SECONDS, Watch
from phonemo.errors import PhonemoError, RunError
from phonemo.opening import fingerprint, open_model
from phonemo.prediction import Prediction

log = logging.getLogger(__name__)

#: A part that was begun so often and never ended is heard with care: a file in it may be deadly.
BEGUN_BEFORE = 2
#: So many files do not all have the same rare fault.
_MANY = 8
#: Told of every recording that is done.
Tick = Callable[[], None]


@dataclass(frozen=True)
class Work:
    """What a worker must know; it goes to other processes and machines."""

    folder: str
    """The batch's, as its store names it."""
    asked: Asked
    profile: str | None = None
    """The hash of the profile in the folder that is applied; None applies none."""


def tally_name(part: int) -> str:
    """The file with a part's numbers."""
    return f"tally/part-{part:06d}.json"


def begun_name(part: int) -> str:
    """The file that says how often a part was begun without an end."""
    return f"begun/part-{part:06d}"


class Hearer:
    """Hears parts. One processor: the model works in one thread.

    Args:
        work: what is wanted.
        tick: told of every recording.

    Raises:
        CheckpointError: the model is not there, or another one.
        RunError: the profile is not there, or another one.
    """

    def __init__(self, work: Work, tick: Tick = lambda: None) -> None:
        self.store: Store = open_store(work.folder)
        self.asked = work.asked
        self._work, self._tick = work, tick
        self._listener = open_listener(work.asked)
        if work.profile is not None:
            profile = read_profile(self.store, work.profile)
            self._listener = self._listener.with_profile(profile)

    def hear(self, part: int) -> PartTally:
        """Hear a part and put its answers into the folder: all of them, or nothing.

        Raises:
            RunError: the folder cannot be read or written.
        """
        items = read_part(self.store, part)
        if self._begin(part) < BEGUN_BEFORE:
            try:
                with Watch(SECONDS, lambda: self._give_up(part)) as watch:
                    return self._kept(part, self.rows(items), watch.tick)
            except PhonemoError:
                raise
            except Exception as error:  # a fault of ours, or of a library, that one file calls up
                log.warning("part %d: %s; its files are heard one by one", part, _line(error))
        from phonemo.batch.careful import careful_rows

        return self._kept(part, careful_rows(self._work, items))

    def rows(self, items: Sequence[Item]) -> Iterator[Row]:
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

    def _kept(
        self, part: int, rows: Iterator[Row], done: Callable[[], None] = lambda: None
    ) -> PartTally:
        tally, asked, named = _Counting(part), self.asked, self._work.profile is not None
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


def open_listener(asked: Asked) -> Any:
    """The model as it was asked for.

    Raises:
        CheckpointError: it is absent, broken, or another one.
        LabelError: the model does not know one of the labels.
    """
    if fingerprint(asked.model) != asked.model_sha256:
        raise RunError(
            f"{asked.model or 'the bundle that ships with phonemo'}: another model than the batch "
            "was begun with; every worker needs the same phonemo and the same model"
        )
    listener = open_model(asked.model, threads=1)
    listener.activity = asked.activity
    if asked.threshold is not None:
        listener.abstain_below = asked.threshold
    return listener


def _check_fault(found: PartTally) -> None:
    """What meets every file is no fault of the files."""
    for code in ("internal_error", "crashed", "timed_out"):
        if found.errors.get(code, 0) == found.files >= _MANY:
            raise RunError(
                f"part {found.part}: all {found.files} files failed with {code}; perhaps there is "
                "too little memory, or phonemo has a fault: hear one of them with phonemo predict"
            )


def _line(error: Exception) -> str:
    return f"{type(error).__name__} {' '.join(str(error).split())}"


@dataclass
class _Counting:
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

    def result(self) -> PartTally:
        return PartTally(
            part=self.part,
            files=self.files,
            failed=self.errors.total(),
            audio_seconds=round(self.audio_seconds, 3),
            work_seconds=round(perf_counter() - self.began, 3),
            labels=dict(self.labels),
            errors=dict(self.errors),
            warnings=dict(self.warnings),
        )
