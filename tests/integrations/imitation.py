"""A hub on this machine: enough of its protocol for huggingface_hub to push to it and fetch."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class Hub:
    """What it holds, and who asked for what."""

    address: str = ""
    commits: dict[str, dict[str, Files]] = field(default_factory=dict)
    """Repository -> commit -> files."""
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    """Repository -> name -> commit."""
    asked: list[str] = field(default_factory=list)
    """Methods and paths, in order."""
    private: set[str] = field(default_factory=set)
    refuses: int | None = None
    """The status of every answer, where something is wrong with it."""

    def commit(self, repository: str, files: Files, branch: str = "main") -> str:
        """Add files to a branch; its commit."""
        before = self.files(repository, branch) or {}
        after = before | files
        text = "".join(f"{name}{_sha(content)}" for name, content in sorted(after.items()))
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits.setdefault(repository, {})[commit] = after
        self.branches.setdefault(repository, {})[branch] = commit
        return commit

    def files(self, repository: str, revision: str) -> Files | None:
        """The files of a revision; None where there is no such revision."""
        commit = self.branches.get(repository, {}).get(revision, revision)
        return self.commits.get(repository, {}).get(commit)


@contextmanager
def running() -> Iterator[Hub]:
    """A hub that ends with the context."""
    hub = Hub()

    class Handler(_Handler):
        held = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    held: Hub

    def log_message(self, *_: Any) -> None:
        """It does not speak."""

    def do_GET(self) -> None:
        self._asked()
        path = unquote(urlsplit(self.path).path).strip("/")
        if self.held.refuses:
            return self._answer(self.held.refuses, {"error": "refused"})
        if path.startswith("api/models/"):
            return self._of_models(path.removeprefix("api/models/").split("/"))
        return self._resolve(path.split("/"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._asked()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path).strip("/")
        if self.held.refuses:
            return self._answer(self.held.refuses, {"error": "refused"})
        if path == "api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            if asked.get("private") or asked.get("visibility") == "private":
                self.held.private.add(name)
            if name not in self.held.branches:
                self.held.commit(name, {".gitattributes": b""})
            return self._answer(200, {"url": f"{self.held.address}/{name}", "name": name})
        if path == "api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in path:
            files = [path["path"] for path in json.loads(body)["files"]]
            kinds = [
                {"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files
            ]
            return self._answer(200, {"files": kinds})
        if "/commit/" in path:
            return self._commit(path.removeprefix("api/models/").split("/"), body)
        return self._answer(404, {"error": "Not Found"})

    def _commit(self, parts: list[str], body: bytes) -> None:
        repository, branch = "/".join(parts[:2]), "/".join(parts[3:])
        lines = [json.loads(line) for line in body.decode().splitlines()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        commit = self.held.commit(repository, files, branch)
        address = f"{self.held.address}/{repository}/commit/{commit}"
        self._answer(200, {"success": True, "commitOid": commit, "commitUrl": address})

    def _of_models(self, parts: list[str]) -> None:
        repository = "/".join(parts[:2])
        kind, revision = (parts[2], "/".join(parts[3:])) if len(parts) > 2 else ("", "main")
        files = self.held.files(repository, revision)
        if files is None:
            return self._missing(repository)
        if kind == "tree":
            return self._answer(200, [_entry(name, data) for name, data in files.items()])
        commit = self.held.branches[repository].get(revision, revision)
        siblings = [{"rfilename": name} for name in files]
        known = {"id": repository, "modelId": repository, "private": False, "tags": []}
        return self._answer(200, known | {"sha": commit, "siblings": siblings})

    def _resolve(self, parts: list[str]) -> None:
        repository, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        files = self.held.files(repository, revision)
        if files is None or name not in files:
            return self._missing(repository)
        content = files[name]
        commit = self.held.branches[repository].get(revision, revision)
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_sha(content)}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _missing(self, repository: str) -> None:
        known = repository in self.held.branches
        code = "RevisionNotFound" if known else "RepoNotFound"
        self._answer(404, {"error": "Not Found"}, {"X-Error-Code": code})

    def _answer(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _asked(self) -> None:
        self.held.asked.append(f"{self.command} {unquote(urlsplit(self.path).path)}")


def _entry(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": _sha(content)[:40]}
