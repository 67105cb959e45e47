"""Sources of recordings for a recognizer; those at addresses are prefetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from io import BufferedReader, BytesIO
from typing import Any, BinaryIO

from phonemo.audio import Excerpt, Source
from phonemo.batch.plan import BatchItem
from phonemo.batch.remote import file_system, is_remote
from phonemo.errors import AudioError, PhonemoError, safe_name

#: Larger files are not prefetched, but read while they are decoded.
_MOST_BYTES = 2**25
#: Recordings prefetched while one is recognized: object stores respond in 10 to 100 ms.
AHEAD = 8
Fetched = Source | Excerpt | PhonemoError


def fetched(items: Iterable[BatchItem], held: deque[Fetched]) -> Iterator[Fetched]:
    """Yield the source of each item, in order, or an error if it cannot be fetched.

    Args:
        items: the recordings.
        held: receives each source too; the caller removes the first and ``release``s it after use.
    """
    with closing(_Prefetcher()) as prefetcher:
        for item in items:
            prefetcher.add(item)
            while prefetcher.full:
                held.append(prefetcher.next())
                yield held[-1]
        while prefetcher.waiting:
            held.append(prefetcher.next())
            yield held[-1]


def release(source: Fetched) -> None:
    """Close a source that was opened at an address."""
    inner = source.source if isinstance(source, Excerpt) else source
    if isinstance(inner, _Named):
        inner.close()


class _Named(BufferedReader):
    """A recording's bytes, with its address as the name for messages."""

    def __init__(self, stream: Any, name: str) -> None:
        super().__init__(stream)
        self._name = name

    @property
    def name(self) -> str:
        return self._name


class _Prefetcher:
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="fetch")
        self._items: deque[tuple[BatchItem, Future[BinaryIO | PhonemoError] | None]] = deque()

    @property
    def waiting(self) -> bool:
        return bool(self._items)

    @property
    def full(self) -> bool:
        remote = self._items and self._items[0][1] is not None
        return len(self._items) > (AHEAD if remote else 0)

    def add(self, item: BatchItem) -> None:
        future = self._threads.submit(self._fetch, item) if is_remote(item.path) else None
        self._items.append((item, future))

    def next(self) -> Fetched:
        item, future = self._items.popleft()
        source = item.path if future is None else future.result()
        if isinstance(source, PhonemoError) or item.is_whole:
            return source
        return Excerpt(source, item.start, item.end, item.channel)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, item: BatchItem) -> BinaryIO | PhonemoError:
        try:
            system, path = file_system(item.path)
            size = system.size(path)
            if size is None or size > _MOST_BYTES:  # None: unknown, possibly endless
                return _Named(system.open(path, "rb"), item.path)
            return _Named(BytesIO(system.cat_file(path)), item.path)
        except PhonemoError as error:
            return error
        except Exception as error:  # packages of stores raise exceptions of any class
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return AudioError(
                "missing_file",
                f"{safe_name(item.path)}: cannot be fetched ({reason}); check the address",
            )
