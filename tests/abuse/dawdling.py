"""Clients that dawdle: a byte at a time, or deaf; and what the system says of their connections."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from tests.abuse.processes import open_files
from tests.server.asking import connected

#: The head of a request, but for its end.
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"


@contextlib.contextmanager
def many(port, count):
    """So many bare connections."""
    with contextlib.ExitStack() as all:
        yield [all.enter_context(connected(port)) for _ in range(count)]


def dripped(clients, data, seconds=0.1, most=400):
    """Send a byte to each, again and again, until the server has closed them all; what it said."""
    said = dict.fromkeys(clients, b"")
    left = set(clients)
    for place in range(most):
        for one in list(left):
            with contextlib.suppress(ConnectionError):
                one.send(data[place % len(data) :][:1])
            if over(one, said):
                left.discard(one)
        if not left:
            return [said[one] for one in clients]
        time.sleep(seconds)
    raise AssertionError(f"{len(left)} connections are still open")


def over(client, said):
    """Whether the server has closed; what it says is noted."""
    client.setblocking(False)
    try:
        while data := client.recv(2**16):
            said[client] += data
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


@contextlib.contextmanager
def deaf(port):
    """A connection that takes in as little as possible."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        yield client


def row_of(client):
    """What the system says of the server's end of a connection; empty where there is none."""
    try:
        wanted = f":{client.getpeername()[1]:04X}", f":{client.getsockname()[1]:04X}"
    except OSError:  # it was reset
        return []
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if (fields[1][-5:], fields[2][-5:]) == wanted:
            return fields
    return []


def is_kept(found, client):
    """Whether the server has its end of a connection open."""
    row = row_of(client)
    return bool(row) and f"socket:[{row[9]}]" in open_files(found.process.pid)


def unsent(client):
    """Bytes that the system keeps for a client, which does not take them in."""
    row = row_of(client)
    return int(row[4].split(":")[0], 16) if row else 0


def settled(client, seconds):
    """The same, once it changes no more."""
    before, kept = -1, 0
    while kept != before:
        time.sleep(seconds)
        before, kept = kept, unsent(client)
    return kept


def fill_to_the_brim(client):
    """Ask for little at a time, until the system keeps no more, and the server has the rest."""
    most = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text(encoding="ascii").split()[2])
    client.sendall((GET + b"\r\n") * (most // 1000))  # about half of what will be kept
    kept, full = settled(client, 0.2), 0
    for _ in range(500):
        client.sendall((GET + b"\r\n") * 60)
        before, kept = kept, settled(client, 0.03)
        if kept - before < full // 2:
            return
        full = max(full, kept - before)
    raise AssertionError("it never filled")


def upgrade(port):
    """The head that opens a stream."""
    lines = ["GET /v1/audio/stream HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    return "\r\n".join(lines).encode()
