"""Clients of a server: one request, a form, raw bytes, a stream; the standard library's, mostly."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.tiny_bundle import RATE, make_clip

PATH = "/v1/audio/emotions"
BOUNDARY = "----phonemo-test"
KIND = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
PATIENCE_SECONDS = 240.0
FINISH = json.dumps({"type": "finish"})


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def data(self) -> Any:
        """The body as JSON without NaN."""
        return json.loads(self.body, parse_constant=_no_nan)

    @property
    def code(self) -> str:
        """Of the error."""
        return str(self.data["error"]["code"])

    @property
    def told(self) -> tuple[int, str]:
        """Status and code of an error."""
        return self.status, self.code


def ask(
    port: int,
    path: str,
    method: str = "GET",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request on a new connection; an iterable body is sent chunked."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(client):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.request(method, path, body, dict(headers or {}))
        response = client.getresponse()
        return Answer(response.status, response.headers, response.read())


def post(
    port: int,
    file: bytes | None,
    name: str = "clip.wav",
    headers: Mapping[str, str] | None = None,
    **fields: object,
) -> Answer:
    """Post a recording."""
    parts = [] if file is None else [part("file", file, name)]
    parts += [part(key, str(value).encode()) for key, value in fields.items()]
    return ask(port, PATH, "POST", form(*parts), {**KIND, **(headers or {})})


def part(name: str, value: bytes, file: str | None = None) -> bytes:
    """One part of a form."""
    kind = "" if file is None else f'; filename="{file}"'
    head = f'Content-Disposition: form-data; name="{name}"{kind}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    """The body that parts make."""
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + one for one in parts) + mark + b"--\r\n"


def head(port: int, length: int | None = None, more: str = "") -> bytes:
    """The head of a POST; chunked where it has no length."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}", size]
    lines += [f"Content-Type: {KIND['Content-Type']}", *([more] if more else [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A bare connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
        yield client


def rest(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(2**16):
            found += data
    return found


def raw(port: int, sent: bytes) -> bytes:
    """Return everything that the server sends in reply to these bytes until it closes."""
    with connected(port) as client:
        client.sendall(sent)
        return rest(client)


def stream(port: int, query: str = "", **options: Any) -> ClientConnection:
    """An open live stream."""
    address = f"ws://127.0.0.1:{port}/v1/audio/stream{query}"
    return connect(address, proxy=None, compression=None, open_timeout=PATIENCE_SECONDS, **options)


def events(client: ClientConnection) -> list[dict[str, Any]]:
    """Return the events of a stream until it is closed."""
    found = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(json.loads(client.recv(timeout=PATIENCE_SECONDS)))
    return found


def clip(samples: int = RATE, hertz: float = 300.0) -> np.ndarray:
    """A buzz as 16-bit PCM."""
    return np.round(make_clip(samples, hertz) * 2**15).astype("<i2")


def encoded(samples: np.ndarray, kind: str = "WAV", rate: int = RATE, **options: Any) -> bytes:
    """Samples as the bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **options)
    return file.getvalue()


def wav(seconds: float = 1.0, hertz: float = 300.0) -> bytes:
    """A buzz as a file."""
    return encoded(clip(round(seconds * RATE), hertz))


def _no_nan(found: str) -> None:
    raise AssertionError(f"{found} in JSON")
