"""Recordings as they are handed to a listener; those at addresses are fetched a few ahead."""

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

#: A larger file is not fetched ahead, but read while it is heard.
_MOST_BYTES = 2**25
#: Recordings that are fetched while one is heard: an object store answers after 10 to 100 ms.
AHEAD = 8
Fetched = Source | Excerpt | PhonemoError


def fetched(items: Iterable[BatchItem], held: deque[Fetched]) -> Iterator[Fetched]:
    """What each item is opened from, in their order; an error where one cannot be fetched.

    Args:
        items: what is to be heard.
        held: gets each of them too; whoever has heard the first takes it out and ``release``s it.
    """
    with closing(_Ahead()) as ahead:
        for one in items:
            ahead.add(one)
            while ahead.full:
                held.append(ahead.next())
                yield held[-1]
        while ahead.waiting:
            held.append(ahead.next())
            yield held[-1]


def release(source: Fetched) -> None:
    """Close what was opened at an address."""
    inner = source.source if isinstance(source, Excerpt) else source
    if isinstance(inner, _Named):
        inner.close()


class _Named(BufferedReader):
    """A recording's bytes, with the address that messages call it by."""

    def __init__(self, stream: Any, name: str) -> None:
        super().__init__(stream)
        self._name = name

    @property
    def name(self) -> str:
        """The address."""
        return self._name


class _Ahead:
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
        later = self._threads.submit(self._fetch, item) if is_remote(item.path) else None
        self._items.append((item, later))

    def next(self) -> Fetched:
        item, later = self._items.popleft()
        source = item.path if later is None else later.result()
        if isinstance(source, PhonemoError) or (item.start is None and item.end is None):
            return source
        return Excerpt(source, item.start, item.end)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, item: BatchItem) -> BinaryIO | PhonemoError:
        try:
            system, path = file_system(item.path)
            size = system.size(path)
            if size is None or size > _MOST_BYTES:  # None: it does not say, and may have no end
                return _Named(system.open(path, "rb"), item.path)
            return _Named(BytesIO(system.cat_file(path)), item.path)
        except PhonemoError as error:
            return error
        except Exception as error:  # whatever a store's own package raises
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return AudioError(
                "missing_file",
                f"{safe_name(item.path)}: cannot be fetched ({reason}); the address of an audio "
                "file is wanted",
            )
