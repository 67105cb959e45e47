"""Who may ask: API keys, names of the host, origins."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from phonemo.server.api_errors import ApiError
from phonemo.server.settings import ServeAccess

#: The WebSocket subprotocol; a page, which cannot set headers there, offers its key as another.
SUBPROTOCOL = "phonemo"
_KEY_PREFIX = "phonemo.key."
_KEY_BYTES = 32
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def new_key() -> tuple[str, str]:
    """A fresh API key, and its digest for the config."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    return key, digest_of(key)


def digest_of(key: str) -> str:
    """SHA-256 in hexadecimal; a key is random and long, so that no slower hash is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class AccessPolicy:
    """The rules of a config.

    Args:
        rules: of the config.
        host: the address that is listened on.
    """

    def __init__(self, rules: ServeAccess, host: str) -> None:
        self._rules = rules
        self.wants_key = bool(rules.keys)
        names = rules.hosts
        if names is None and is_loopback(host):
            names = (*_LOOPBACK_NAMES, f"[{host}]" if ":" in host else host)
        self._hosts = None if names is None else {one.lower() for one in names}

    def check_host(self, headers: Headers) -> None:
        """Refusal (421) for a Host that is not ours: a page reaches a loopback address by any."""
        if self._hosts is None:
            return
        name = _without_port(headers.get("host", ""))
        if name.lower() not in self._hosts:
            message = "the Host header names another machine; list it in access.hosts"
            raise ApiError(421, "wrong_host", message)

    def check_key(self, headers: Headers) -> None:
        """Refusal (401) without one of the keys, where there are any."""
        if not self.wants_key or self._is_known(_keys_in(headers)):
            return
        given = _keys_in(headers)
        told = "this API key is not known" if given else "an API key is wanted"
        message = f"{told}: Authorization: Bearer KEY"
        challenge = {"WWW-Authenticate": 'Bearer realm="phonemo"'}
        raise ApiError(401, "invalid_api_key", message, headers=challenge)

    def check_origin(self, headers: Headers) -> None:
        """Refusal (403) for a page of another origin.

        CORS would let it ask, and fill the queue, and only keep the answer from it; of streams
        it knows nothing.
        """
        origin = headers.get("origin")
        if origin is None or {"*", origin} & set(self._rules.cors_origins):
            return
        if _place_of(origin) != headers.get("host", "").lower():
            message = "pages of this origin may not ask; list it in access.cors_origins"
            raise ApiError(403, "wrong_origin", message)

    def _is_known(self, keys: Iterable[str]) -> bool:
        # all are compared, so that the time tells nothing
        found = [
            hmac.compare_digest(digest_of(key), known) for key in keys for known in self._rules.keys
        ]
        return any(found)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _place_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _keys_in(headers: Headers) -> list[str]:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    keys = [key.strip()] if scheme.lower() == "bearer" else []
    for one in offered(headers):
        if one.startswith(_KEY_PREFIX):
            keys.append(one.removeprefix(_KEY_PREFIX))
    return keys


def offered(headers: Headers) -> list[str]:
    """The subprotocols that a WebSocket's client can speak."""
    return [one.strip() for one in headers.get("sec-websocket-protocol", "").split(",")]


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
