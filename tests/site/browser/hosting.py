"""A plain static host, as any is: files of a folder below a path, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

#: The site lies below a path, as on a host with many projects.
BELOW = "/people/speech/"


@dataclass
class Host:
    """The host.

    Attributes:
        address: of the site.
        is_stopped: whether it accepts no connection any more.
        broken: ends of the addresses that are answered with status 404.
        requests: the requested paths.
    """

    server: _Server
    address: str
    is_stopped: bool = False
    broken: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)

    def stop(self) -> None:
        """Accept no connection any more: the network is cut for everything in the browser."""
        if self.is_stopped:
            return
        self.is_stopped = True
        self.server.shutdown()
        self.server.server_close()


class _Files(SimpleHTTPRequestHandler):
    """The files of a folder below a path; no other address exists."""

    server: _Server

    def translate_path(self, path: str) -> str:
        """The file of an address."""
        host = self.server.host
        host.requests.append(path)
        name = path.partition("?")[0]
        if not name.startswith(BELOW) or name.endswith(tuple(host.broken)):
            return str(Path(self.directory) / "no such file")
        return super().translate_path(name.removeprefix(BELOW.rstrip("/")))

    def log_message(self, *_: object) -> None:
        """No log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    host: Host


@contextmanager
def hosting(folder: Path) -> Iterator[Host]:
    """A host on this machine, on a free port."""
    server = _Server(("127.0.0.1", 0), partial(_Files, directory=str(folder)))
    server.host = Host(server, f"http://127.0.0.1:{server.server_port}{BELOW}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.host
    finally:
        server.host.stop()
        thread.join()
