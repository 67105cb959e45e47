"""Files heard one by one in a process that may die of one: that file alone then has an error."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import TYPE_CHECKING

from phonemo.batch.items import Item
from phonemo.batch.rows import Row, failed_row
from phonemo.batch.watching import SECONDS
from phonemo.errors import PhonemoError, shown
from phonemo.processes import deaf_to_interrupts, end_children, serve_parent

if TYPE_CHECKING:
    from phonemo.batch.hearing import Hearer, Work


def careful_rows(work: Work, items: Iterable[Item]) -> Iterator[Row]:
    """The answers of recordings, in their order, whatever one of them does to its process."""
    with closing(_Child(work)) as child:
        for one in items:
            yield child.row(one)


class _Child:
    """A process that hears; another one is begun where it was lost."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pool: ProcessPoolExecutor | None = None
        self._others = set(multiprocessing.active_children())

    def row(self, item: Item) -> Row:
        name = shown(item.file)
        try:
            return self._opened().submit(_row_of, item).result(SECONDS)
        except BrokenProcessPool:
            self.close()
            message = f"{name}: the process that heard it died; convert it, or leave it out"
            return failed_row(item, "crashed", message)
        except TimeoutError:
            self.close()
            message = f"{name}: not heard in {SECONDS:g} s; convert it, or leave it out"
            return failed_row(item, "timed_out", message)
        except PhonemoError:
            raise  # it is not the file's
        except Exception as error:  # a fault of ours, which is no reason to lose its neighbours
            told = f"{type(error).__name__} {' '.join(str(error).split())}"
            return failed_row(item, "internal_error", f"{name}: {told}; please report this")

    def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            end_children(self._others)
            pool.shutdown(cancel_futures=True)  # quick then; else its locks would stay for a while

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, _set_up, (self._work,))
            with deaf_to_interrupts():
                self._pool.submit(int).result()  # it begins with the first that it is given
        return self._pool


#: In the child: what it was told, and from its first file on the model.
_told: Work | None = None
_hearer: Hearer | None = None


def _set_up(work: Work) -> None:
    global _told
    serve_parent()
    _told = work


def _row_of(item: Item) -> Row:
    global _hearer
    from phonemo.batch.hearing import Hearer

    assert _told is not None
    _hearer = _hearer or Hearer(_told)
    return next(_hearer.rows([item]))
