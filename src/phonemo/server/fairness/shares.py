"""A limited number of places that clients share: who holds many yields to who holds few."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import Gauge

from phonemo.server.api_errors import ApiError

_FIRST_MEAN_SECONDS = 0.1
_MEAN_WEIGHT = 0.1


@dataclass(eq=False)
class HeldPlace:
    """A place that a client holds."""

    client: str
    give_up: Callable[[], object] | None
    """Ends what holds the place, soon; None: it never yields."""
    worth: Callable[[], float]
    """Of a client's places, the one that is worth least yields first."""
    yielded: bool = False


class FairShares:
    """A limited number of places, each held for the length of a ``with`` block.

    A client may hold all of them while nobody else needs one. When all are in use, and another
    client would still hold fewer with one more, the client that holds most yields one.

    Args:
        limit: the number of places.
        refusal: builds the error that is raised when no place is to be had.
        gauge: a metric that follows the number in use.
        yielded: called when a place yields.
    """

    def __init__(
        self,
        limit: int,
        refusal: Callable[[FairShares], ApiError],
        gauge: Gauge | None = None,
        yielded: Callable[[], object] = lambda: None,
    ) -> None:
        self.mean_seconds = _FIRST_MEAN_SECONDS
        """Running mean of how long a place is held."""
        self.total = 0
        """Places that were ever held."""
        self._limit, self._refusal, self._gauge, self._yielded = limit, refusal, gauge, yielded
        self._places: dict[HeldPlace, None] = {}  # oldest first
        self._counts: Counter[str] = Counter()

    @property
    def in_use(self) -> int:
        """The number of places that are held."""
        return len(self._places)

    @property
    def clients(self) -> int:
        """The number of clients that hold one."""
        return len(self._counts)

    def check_free(self, client: str = "") -> None:
        """Raise the refusal when this client cannot have a place."""
        if self.in_use >= self._limit and self._yielding(client) is None:
            raise self._refusal(self)

    @contextmanager
    def slot(
        self,
        client: str = "",
        give_up: Callable[[], object] | None = None,
        worth: Callable[[], float] | None = None,
    ) -> Iterator[HeldPlace]:
        """Hold a place.

        Args:
            client: who holds it.
            give_up: ends what holds it, soon; it is called when another client gets the place.
            worth: of a client's places, that with the lowest yields first; by default the newest.

        Raises:
            ApiError: the refusal.
        """
        self._make_room(client)
        began = perf_counter()
        place = HeldPlace(client, give_up, worth or (lambda: -began))
        self._add(place)
        try:
            yield place
        finally:
            self._remove(place)
            self.mean_seconds += _MEAN_WEIGHT * (perf_counter() - began - self.mean_seconds)

    @contextmanager
    def task_slot(self, client: str, worth: Callable[[], float] | None = None) -> Iterator[None]:
        """Hold a place for the current task, which gets the refusal when the place yields."""
        task = asyncio.current_task()
        assert task is not None
        with self.slot(client, task.cancel, worth) as place:
            try:
                yield
            except asyncio.CancelledError:
                if place.yielded and task.uncancel() == 0:
                    raise self._refusal(self) from None
                raise

    def _make_room(self, client: str) -> None:
        if self.in_use < self._limit:
            return
        place = self._yielding(client)
        if place is None or place.give_up is None:
            raise self._refusal(self)
        place.yielded = True
        self._remove(place)
        self._yielded()
        place.give_up()

    def _yielding(self, client: str) -> HeldPlace | None:
        """The place that would yield for a client; None when it must wait instead."""
        if not self._counts:
            return None
        greedy, most = self._counts.most_common(1)[0]
        if self._counts[client] + 1 >= most:
            return None
        own = [
            one for one in self._places if one.client == greedy and one.give_up and not one.yielded
        ]
        return min(own, key=lambda place: place.worth(), default=None)

    def _add(self, place: HeldPlace) -> None:
        self.total += 1
        self._places[place] = None
        self._counts[place.client] += 1
        self._count(1)

    def _remove(self, place: HeldPlace) -> None:
        if place not in self._places:  # it has yielded
            return
        del self._places[place]
        self._counts[place.client] -= 1
        if not self._counts[place.client]:
            del self._counts[place.client]
        self._count(-1)

    def _count(self, change: int) -> None:
        if self._gauge is not None:
            self._gauge.inc(change)
