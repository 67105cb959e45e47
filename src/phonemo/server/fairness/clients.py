"""Which client a request belongs to: its API key or its address."""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from functools import lru_cache

from starlette.requests import HTTPConnection

from phonemo.server.auth import AccessPolicy

#: The client of the current request or stream, for the queues that it waits in.
CLIENT: ContextVar[str] = ContextVar("client", default="")
#: An IPv6 client usually has a whole network of this size, and so any number of addresses.
_V6_PREFIX = 64
_MOST_FORWARDED = 16
_MOST_NAMES = 1024


def client_of(connection: HTTPConnection, access: AccessPolicy) -> str:
    """Name the client: by its API key where keys are set, or else by its address.

    An IPv6 address counts as its /64 network. A proxy of ``access.proxies`` names its client in
    X-Forwarded-For.
    """
    if (digest := access.key_digest(connection.headers)) is not None:
        return f"key {digest}"
    peer = "" if connection.client is None else connection.client.host
    peer = peer.removeprefix("::ffff:")  # an IPv4 peer of a socket for both
    forwarded = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    for address in reversed(forwarded[-_MOST_FORWARDED:]):
        if peer not in access.proxies or not address.strip():
            break
        peer = address.strip()
    return network_of(peer)


@lru_cache(_MOST_NAMES)
def network_of(address: str) -> str:
    """Return an IPv4 address, the /64 network of an IPv6 one, or "other" for anything else."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "other"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _V6_PREFIX), strict=False))
