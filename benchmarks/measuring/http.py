"""A small HTTP client for load tests: one connection, prepared requests, minimal parsing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

BOUNDARY = b"phonemo-load"


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    retry_after: float
    body: bytes


class Connection:
    """A connection, kept open as long as the server keeps it open.

    Args:
        port: the server's, on 127.0.0.1.
        source: the address that the server sees; the system's choice without one.
    """

    def __init__(self, port: int, source: str | None = None) -> None:
        self._port, self._source = port, source
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> Reply:
        """Send a request and read its response."""
        if self._writer is None or self._reader is None or self._reader.at_eof():
            source = None if self._source is None else (self._source, 0)
            opened = await asyncio.open_connection("127.0.0.1", self._port, local_addr=source)
            self._reader, self._writer = opened
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await self._reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            self.close()
        return Reply(status, float(fields.get("retry-after", 0)), body)

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post_file(path: str, data: bytes) -> bytes:
    """A POST request with one file in a form."""
    part = b'Content-Disposition: form-data; name="file"; filename="clip.flac"'
    body = b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (BOUNDARY, part, data, BOUNDARY)
    kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
