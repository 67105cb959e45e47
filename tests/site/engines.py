"""A package in the shape of onnxruntime-web, and the real one where `npm ci` in js/ has put it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from phonemo.errors import CheckpointError
from phonemo.site import onnxruntime_web
from phonemo.site.onnxruntime_web import MODULE, WASM, Engine, obtain_engine
from tests.laws import REPOSITORY

FILES = {MODULE: b"export const env = { wasm: {} };\n", WASM: b"\0asm" * 100}


def real_engine() -> Engine:
    """The pinned package; the test is skipped where it is not installed."""
    try:
        return obtain_engine(REPOSITORY / "js")
    except CheckpointError:
        pytest.skip("needs onnxruntime-web of the pinned version: make js")


def fake_archive(files: dict[str, bytes] = FILES) -> bytes:
    """What npm pack writes, with more than is needed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in {**files, "README.md": b"read me"}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def pin(patch: pytest.MonkeyPatch, folder: Path, archive: bytes) -> None:
    """Expect the fake package instead of the real one."""
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in FILES.items()
    }
    card = {"name": "onnxruntime-web", "version": "0.0.1", "licence": "MIT"}
    path = folder / "pin.json"
    path.write_text(json.dumps({**card, "integrity": f"sha512-{digest}", "files": files}))
    patch.setattr(onnxruntime_web, "_CARD", path)
