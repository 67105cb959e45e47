"""What must stay untouched: a listener that counts its callers, files that tell who opens them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.server.asking import wav
from tests.server.serving import until

_EVENT = struct.Struct("iIII")
_OPENED, _CREATED = 0x20, 0x100  # of inotify
_REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\n\r\n"


class Trap:
    """An address and a recording that nobody has a reason to look at."""

    def __init__(self, bait: _Bait, secret: Path, descriptor: int) -> None:
        self.port = bait.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}/secret.wav"
        self.secret = secret
        """A recording that could be heard."""
        self._bait, self._descriptor = bait, descriptor

    def callers(self) -> int:
        """How many connections came; whoever came before this call is counted."""
        with socket.create_connection(("127.0.0.1", self.port)) as own:
            until(lambda: own.getsockname() in self._bait.seen)
            self._bait.seen.remove(own.getsockname())
        return len(self._bait.seen)

    def touched(self) -> set[str]:
        """Names in the secret's folder that were opened or made since the last call."""
        return _names(self._descriptor)


@contextlib.contextmanager
def trap(folder: Path) -> Iterator[Trap]:
    """A trap whose recording lies in this folder."""
    secret = folder / "secret.wav"
    secret.write_bytes(wav())
    with _Bait(("127.0.0.1", 0), _Redirected) as bait, _watched(folder) as descriptor:
        thread = threading.Thread(target=bait.serve_forever, args=[0.05])
        thread.start()
        try:
            yield Trap(bait, secret, descriptor)
        finally:
            bait.shutdown()
            thread.join()


class _Bait(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[Any] = []

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """In the order of their coming."""
        self.seen.append(client_address)
        return True


class _Redirected(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Whoever asks is sent to an address that is private."""
        with contextlib.suppress(OSError):
            self.request.settimeout(5)
            self.request.recv(1000)
            self.request.sendall(_REDIRECT)


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[int]:
    system = ctypes.CDLL(None, use_errno=True)
    descriptor = system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert descriptor >= 0, os.strerror(ctypes.get_errno())
    try:
        added = system.inotify_add_watch(descriptor, os.fsencode(folder), _OPENED | _CREATED)
        assert added >= 0, os.strerror(ctypes.get_errno())
        yield descriptor
    finally:
        os.close(descriptor)


def _names(descriptor: int) -> set[str]:
    found = set()
    with contextlib.suppress(BlockingIOError):
        while events := os.read(descriptor, 2**16):
            while events:
                *_, size = _EVENT.unpack_from(events)
                name = events[_EVENT.size : _EVENT.size + size].rstrip(b"\0")
                found.add(os.fsdecode(name))
                events = events[_EVENT.size + size :]
    return found - {""}  # the folder itself, which anybody may list
