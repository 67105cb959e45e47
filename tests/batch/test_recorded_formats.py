"""A batch of what recorders, phones and browsers write."""

from __future__ import annotations

import pytest

from tests.audio.media_files import media_file
from tests.audio.test_pieces import with_length, write
from tests.batch.batches import batch, rows

pytestmark = pytest.mark.usefixtures("at_once")


def test_each_format_is_a_row_beside_a_broken_one(here):
    pytest.importorskip("av")
    files = {name: media_file(name) for name in ("voice.m4a", "chrome.webm", "windows.wma")}
    files["broken.webm"] = files["chrome.webm"][:200]
    files["killed.wav"] = with_length(write("wav"), b"data", 0xFFFF_FFFF)
    for name, data in files.items():
        (here / name).write_bytes(data)
    (here / "list.txt").write_text("\n".join(files))
    assert batch("list.txt", "-o", "out").code == 1
    found = {row["file"]: row for row in rows(here / "out")}
    assert found.keys() == files.keys()
    assert "ends before the sound begins" in found["broken.webm"]["error"]
    assert all(found[name]["label"] for name in files if name != "broken.webm")
    assert all("truncated" not in found[name]["warnings"] for name in files if name[0] != "b")
