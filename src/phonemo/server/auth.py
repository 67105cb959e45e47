"""Access control: API keys, Host header, Origin header."""

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

#: The WebSocket subprotocol; pages cannot set headers, so they send the key as another subprotocol.
SUBPROTOCOL = "phonemo"
_KEY_PREFIX = "phonemo.key."
_KEY_BYTES = 32
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def new_key() -> tuple[str, str]:
    """Create an API key; return it with its digest for the config."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    return key, digest_of(key)


def digest_of(key: str) -> str:
    """Return the SHA-256 in hexadecimal; keys are long and random, so no slow hash is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class AccessPolicy:
    """The access rules of a server.

    Args:
        rules: access section of the config.
        host: the address that the server binds to.
    """

    def __init__(self, rules: ServeAccess, host: str) -> None:
        self._rules = rules
        self.wants_key = bool(rules.keys)
        self.about_needs_key = self.wants_key and rules.about == "key"
        self.proxies = frozenset(rules.proxies)
        """Addresses of the proxies that are trusted to name their clients."""
        names = rules.hosts
        if names is None and is_loopback(host):
            names = (*_LOOPBACK_NAMES, f"[{host}]" if ":" in host else host)
        self._hosts = None if names is None else {name.lower() for name in names}

    def check_host(self, headers: Headers) -> None:
        """Raise ApiError (421) for a foreign Host header, as in DNS rebinding."""
        if self._hosts is None:
            return
        name = _without_port(headers.get("host", ""))
        if name.lower() not in self._hosts:
            message = "the Host header names another host; the operator can add it to access.hosts"
            raise ApiError(421, "wrong_host", message)

    def check_key(self, headers: Headers) -> None:
        """Raise ApiError (401) without a valid key, if the config has keys."""
        keys = _keys_in(headers)
        if not self.wants_key or self._is_known(keys):
            return
        problem = "this API key is not valid" if keys else "an API key is required"
        message = f"{problem}; send Authorization: Bearer KEY"
        challenge = {"WWW-Authenticate": 'Bearer realm="phonemo"'}
        raise ApiError(401, "invalid_api_key", message, headers=challenge)

    def check_about(self, headers: Headers) -> None:
        """Raise ApiError (401) like ``check_key`` where descriptions of the server need a key."""
        if self.about_needs_key:
            self.check_key(headers)

    def key_digest(self, headers: Headers) -> str | None:
        """Return the digest of the valid key of a request; None without one, or without keys."""
        digests = [digest_of(key) for key in _keys_in(headers)] if self.wants_key else []
        return next((one for one in digests if one in self._rules.keys), None)

    def check_origin(self, headers: Headers) -> None:
        """Raise ApiError (403) for a page of another origin.

        CORS alone would let it send requests and fill the queue, and only hide the responses; it
        does not cover WebSockets.
        """
        origin = headers.get("origin")
        if origin is None or {"*", origin} & set(self._rules.cors_origins):
            return
        if _host_of(origin) != headers.get("host", "").lower():
            message = "this origin is not allowed; the operator can add it to access.cors_origins"
            raise ApiError(403, "wrong_origin", message)

    def _is_known(self, keys: Iterable[str]) -> bool:
        # all are compared, so that the time reveals nothing
        matches = [
            hmac.compare_digest(digest_of(key), known) for key in keys for known in self._rules.keys
        ]
        return any(matches)


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _keys_in(headers: Headers) -> list[str]:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    keys = [key.strip()] if scheme.lower() == "bearer" else []
    for protocol in offered(headers):
        if protocol.startswith(_KEY_PREFIX):
            keys.append(protocol.removeprefix(_KEY_PREFIX))
    return keys


def offered(headers: Headers) -> list[str]:
    """Return the subprotocols that a WebSocket client offers."""
    return [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
