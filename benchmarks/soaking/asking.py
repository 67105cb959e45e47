"""A client of the server: requests, raw bytes, live streams; and a comparison of responses."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PATH = "/v1/audio/emotions"
PROFILES = "/v1/audio/profiles"
BOUNDARY = "phonemo-soak"
KIND = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
#: Longer than the deadline of a recording of eight minutes.
PATIENCE_SECONDS = 330.0
FINISH = json.dumps({"type": "finish"})
#: Tolerances of scores, and of numbers in texts.
NEAR, NEAR_IN_TEXT = 1e-3, 2e-3
_NUMBER = re.compile(r"\d+\.\d+")
# streams are cut off on purpose
logging.getLogger("websockets.client").setLevel(logging.CRITICAL)


class Answers:
    """The first response to each request, and the deviation of later ones."""

    def __init__(self) -> None:
        self.compared, self.worst = 0, 0.0
        self.others: list[str] = []
        """Responses that differ from the first."""
        self._first: dict[str, Any] = {}
        self._lock = threading.Lock()

    def scores(self, question: str, found: Mapping[str, float]) -> None:
        """Compare a clip's scores, all or the highest."""
        with self._lock:
            first = self._first.setdefault(question, dict(found))
            apart = max(abs(first[name] - found[name]) for name in first.keys() & found.keys())
            self._note(apart, apart <= NEAR, f"{question}: {dict(found)}, first {first}")

    def text(self, question: str, found: str) -> None:
        """Compare a text with numbers."""
        with self._lock:
            first = self._first.setdefault(question, found)
            mine, theirs = (list(map(float, _NUMBER.findall(body))) for body in (found, first))
            same = _NUMBER.sub("", found) == _NUMBER.sub("", first) and len(mine) == len(theirs)
            apart = max(map(abs, map(float.__sub__, mine, theirs)), default=0.0) if same else 1.0
            self._note(apart, same and apart <= NEAR_IN_TEXT, f"{question}: {found[:300]!r}")

    def _note(self, apart: float, alike: bool, message: str) -> None:
        self.compared += 1
        self.worst = max(self.worst, apart)
        if not alike:
            self.others.append(message)


def ask(
    port: int, path: str, method: str = "GET", body: Any = None, headers: Any = None
) -> tuple[int, bytes]:
    """Send one request on a new connection."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(client):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.request(method, path, body, dict(headers or {}))
        response = client.getresponse()
        return response.status, response.read()


def post(
    port: int, audio: bytes | None, name: str = "a.wav", headers: Any = None, **fields: object
) -> tuple[int, bytes]:
    """Send a recording."""
    return ask(port, PATH, "POST", form(audio, name, **fields), {**KIND, **(headers or {})})


def form(audio: bytes | None, name: str = "a.wav", **fields: object) -> bytes:
    """Build a form body."""
    parts = [] if audio is None else [_part(f'"file"; filename="{name}"', audio)]
    parts += [_part(f'"{key}"', str(value).encode()) for key, value in fields.items()]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def files_form(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Build a form body with several recordings: names and contents."""
    parts = [_part(f'"file"; filename="{name}"', data) for name, data in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(name: str, value: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={name}\r\n\r\n"
    return head.encode() + value + b"\r\n"


def head(length: int) -> bytes:
    """Build the head of a POST request."""
    lines = (f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}")
    return "\r\n".join([*lines, f"Content-Type: {KIND['Content-Type']}", "", ""]).encode()


def connected(port: int) -> socket.socket:
    """Open a bare connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def status_in(client: socket.socket) -> str:
    """Read the status of a response on a bare connection, or "closed"."""
    with contextlib.suppress(ConnectionResetError):
        line = client.recv(2**16).split(b"\r\n", 1)[0].split()
        return line[1].decode() if len(line) > 1 else "closed"
    return "closed"


def reset(client: socket.socket) -> None:
    """Close with a TCP reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def stream(port: int, query: str = "", **options: Any) -> ClientConnection:
    """Open a live stream."""
    address = f"ws://127.0.0.1:{port}/v1/audio/stream{query}"
    return connect(address, proxy=None, compression=None, open_timeout=PATIENCE_SECONDS, **options)


def last_event(client: ClientConnection) -> tuple[str, dict[str, Any]]:
    """Read how a stream ended, as "final 1000", and the last event."""
    event: dict[str, Any] = {"type": "nothing"}
    try:
        while True:
            event = json.loads(client.recv(timeout=PATIENCE_SECONDS))
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        return f"{event['type']} {code}", event
