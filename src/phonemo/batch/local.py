"""The engine of one machine: processes, each with the model, that hear parts."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from phonemo.batch.asked import Engine, PartTally
from phonemo.batch.hearing import BEGUN_BEFORE, Hearer, Work
from phonemo.errors import RunError
from phonemo.processes import deaf_to_interrupts, end_children, serve_parent

log = logging.getLogger(__name__)

#: Seconds between two looks at how far the workers are.
_LOOK = 0.2
#: A pool that is lost so often in a row, without a part being done, is lost for another reason.
_MOST_LOSSES = 2 * BEGUN_BEFORE + 1
Alive = Callable[[int], None]


def hear_parts(
    work: Work, parts: Sequence[int], engine: Engine, alive: Alive
) -> Iterator[PartTally]:
    """Hear parts side by side; each one's numbers when it is done, in the order in which they end.

    A process that dies is replaced, and what it was at is begun again.

    Args:
        work: what is wanted.
        parts: which.
        engine: says how many processes.
        alive: told now and then how many recordings were heard that no part has told yet.

    Raises:
        RunError: processes die again and again, or the folder cannot be written.
        PhonemoError: of the model.
    """
    rest, losses = list(parts), 0
    while rest:
        done = list[int]()
        try:
            for tally in _pool(work, rest, engine.workers or 1, alive):
                done.append(tally.part)
                yield tally
        except BrokenProcessPool as error:
            losses = 0 if done else losses + 1
            if losses == _MOST_LOSSES:
                raise RunError(
                    "worker processes were killed again and again, perhaps for want of memory; "
                    "run the same command again with fewer --workers"
                ) from error
            log.warning("a worker process died; the others begin again where they were")
        rest = [part for part in rest if part not in set(done)]


def _pool(work: Work, parts: Sequence[int], workers: int, alive: Alive) -> Iterator[PartTally]:
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    ticks = context.Value("q", 0)
    count = min(workers, len(parts))
    pool = ProcessPoolExecutor(count, context, _set_up, (work, ticks))
    told, rest = 0, iter(parts)
    running: set[Future[PartTally]] = set()
    try:
        while True:
            with deaf_to_interrupts():  # which the processes inherit, from their first moment on
                running |= {
                    pool.submit(_hear, one) for one in islice(rest, 2 * count - len(running))
                }
            if not running:
                return
            ended, running = wait(running, _LOOK, FIRST_COMPLETED)
            # what is done first: one that was lost is told by an exception
            for future in sorted(ended, key=lambda one: one.exception() is not None):
                tally = future.result()
                told += tally.files
                yield tally
            # without its lock, which a process may have been killed with
            alive(max(0, ticks.get_obj().value - told))
    finally:  # after Ctrl-C too, where some still hear
        pool.shutdown(wait=False, cancel_futures=True)
        end_children(others)
        # the exception of a lost pool holds this frame, and would keep its pipes and locks with it
        del pool, ticks


#: In a worker: what it was told, and from its first part on the model.
_told: tuple[Work, Any] | None = None
_hearer: Hearer | None = None


def _set_up(work: Work, ticks: Any) -> None:
    global _told
    serve_parent()
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _told = work, ticks


def _hear(part: int) -> PartTally:
    """The model is opened here, where an error of it reaches the parent."""
    global _hearer
    assert _told is not None
    work, ticks = _told

    def tick() -> None:
        with ticks.get_lock():
            ticks.value += 1

    _hearer = _hearer or Hearer(work, tick)
    return _hearer.hear(part)
