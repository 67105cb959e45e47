"""A plain static host, as any is: files of a folder below a path, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

#: The site lies below a path, as on a host with many projects.
BELOW = "/people/voices/"


class _Files(SimpleHTTPRequestHandler):
    """The files of a folder below a path; no other address exists."""

    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        """The file of an address."""
        if not path.startswith(BELOW):
            return str(Path(self.directory) / "no such file")
        return super().translate_path(path.removeprefix(BELOW.rstrip("/")))

    def log_message(self, *_: object) -> None:
        """No log."""


class _Host(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    """The address of a host on this machine, on a free port."""
    with _Host(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{BELOW}"
        finally:
            server.shutdown()
            thread.join()
