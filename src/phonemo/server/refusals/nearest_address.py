"""The message of a 404 and of a 405: which address was probably meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

_EMOTIONS = "this server recognizes emotions: POST /v1/audio/emotions"
_LIVE = "live streams are WebSockets: ws://HOST/v1/audio/stream?rate=16000"
#: What a path contains -> what its client probably looks for.
_MEANT = (
    (r"^/v1/audio/stream\b|/(live|realtime|ws|websocket)\b", _LIVE),
    (
        r"transcri|translation|speech|completion|response|predict|recogni|emotion|classif|analy"
        r"|infer|upload|invocation",
        _EMOTIONS,
    ),
    (r"profil", "POST /v1/audio/profiles creates a profile, GET /v1/profiles lists them"),
    (r"model", "GET /v1/models lists the models"),
    (r"health|ready|live|ping|status", "GET /health/live and GET /health/ready are the probes"),
    (r"metric|prometheus", "GET /metrics is for Prometheus"),
    (r"swagger|redoc|openapi|schema|api-doc", "GET /openapi.json describes the API"),
    (r"^/v1/?$|^/api\b", _EMOTIONS),
)
#: Longer paths are not compared, since that takes time.
_MOST_CHARACTERS = 200


def unknown_address(path: str, addresses: Sequence[str], page: bool) -> str:
    """Return the message of a 404.

    Args:
        path: the path of the request.
        addresses: the valid paths.
        page: whether /docs is served.
    """
    where = "GET /docs describes" if page else "GET /openapi.json describes"
    if meant := _meant(path[:_MOST_CHARACTERS].lower(), addresses):
        return f"no such address; {meant} {where} all others"
    return f"no such address; {where} the valid ones"


def wrong_method(method: str, allowed: str) -> str:
    """Return the message of a 405.

    Args:
        method: the method of the request.
        allowed: the content of the header Allow.
    """
    expected = f"expected {allowed}, got " if allowed else ""
    return f"{expected}{method}, which is not supported at this address"


def _meant(path: str, addresses: Sequence[str]) -> str | None:
    if near := get_close_matches(path, addresses, 1, cutoff=0.85):
        return f"did you mean {near[0]}?"
    return next((f"{meant};" for pattern, meant in _MEANT if re.search(pattern, path)), None)
