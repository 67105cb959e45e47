"""Open connections, shared by the addresses that they come from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from phonemo.server.api_errors import ApiError, service_unavailable
from phonemo.server.fairness.clients import network_of
from phonemo.server.fairness.shares import FairShares, HeldPlace


class ConnectionPlaces:
    """A limited number of connections; one that waits for a request yields first.

    Args:
        limit: the number of connections.
    """

    def __init__(self, limit: int) -> None:
        self._shares = FairShares(limit, _connections_full)
        self._held: dict[asyncio.BaseTransport, AbstractContextManager[HeldPlace]] = {}

    def open(self, transport: asyncio.Transport, is_idle: Callable[[], bool]) -> None:
        """Count a connection, or abort it when there is no place for it."""
        peer = transport.get_extra_info("peername")
        client = network_of(str(peer[0])) if peer else ""
        place = self._shares.slot(client, transport.abort, lambda: 0.0 if is_idle() else 1.0)
        try:
            place.__enter__()
        except ApiError:
            transport.abort()
            return
        self._held[transport] = place

    def close(self, transport: asyncio.BaseTransport) -> None:
        """Count a connection that is closed."""
        place = self._held.pop(transport, None)
        if place is not None:
            place.__exit__(None, None, None)


def _connections_full(connections: FairShares) -> ApiError:
    return service_unavailable("busy", f"{connections.in_use} connections are open already")
