"""Queues in which clients take turns, whoever came first and however much each has queued."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items in the order in which they are taken: one of each client in turn.

    Within a client, the oldest item is first.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[Item]] = {}  # the next client first

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def __iter__(self) -> Iterator[Item]:
        for line in self._lines.values():
            yield from line

    def put(self, client: str, item: Item) -> None:
        """Add an item behind the others of its client."""
        self._lines.setdefault(client, deque()).append(item)

    def put_back(self, client: str, item: Item) -> None:
        """Add an item before the others of its client, whose turn is over."""
        self._lines.setdefault(client, deque()).appendleft(item)

    def peek(self) -> Item | None:
        """Return the next item; None without any."""
        return next(iter(self), None)

    def take(self) -> Item:
        """Remove the next item; its client then comes after all others.

        Raises:
            IndexError: the queue is empty.
        """
        if not self._lines:
            raise IndexError("the queue is empty")
        client = next(iter(self._lines))
        line = self._lines.pop(client)
        item = line.popleft()
        if line:
            self._lines[client] = line  # at the end
        return item

    def keep(self, stays: Callable[[Item], bool]) -> None:
        """Drop the items for which a function is false."""
        if all(map(stays, self)):
            return
        kept = {
            client: deque(item for item in line if stays(item))
            for client, line in self._lines.items()
        }
        self._lines = {client: line for client, line in kept.items() if line}
