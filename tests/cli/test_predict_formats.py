"""`phonemo predict` on what recorders, phones and browsers write."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.audio.media_files import media_file
from tests.audio.test_audio import RATE, encode, tone
from tests.audio.test_pieces import with_length, write
from tests.cli.test_predict_command import predict

KILLED = with_length(write("wav"), b"data", 0)


def test_a_killed_recorder_and_joined_files_are_recognized_whole(tmp_path: Path) -> None:
    (tmp_path / "killed.wav").write_bytes(KILLED)
    (tmp_path / "joined.wav").write_bytes(encode(tone(RATE, 1.0), RATE, "flac") + KILLED)
    (tmp_path / "junk.wav").write_bytes(write("wav") + b"\x17" * 500)
    (tmp_path / "lfs.wav").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    names = ("killed", "joined", "junk", "lfs")
    answer = predict(*(tmp_path / f"{name}.wav" for name in names))
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert [row.get("seconds") for row in rows] == [1.0, 2.0, 1.0, None]
    known = [[name for name in row["warnings"] if "_bytes" in name] for row in rows[:3]]
    assert known == [[], [], ["unused_bytes=500"]]
    assert "git lfs pull" in rows[3]["error"]
    assert answer.code == 1


def test_phones_and_browsers_are_recognized_beside_a_broken_file(tmp_path: Path) -> None:
    pytest.importorskip("av")
    files = {name: media_file(name) for name in ("voice.m4a", "chrome.webm", "flac.oga")}
    files["broken.m4a"] = files["voice.m4a"][:5000]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    answer = predict(*(tmp_path / name for name in files))
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert [row.get("seconds") for row in rows] == [1.0, 1.0, 1.0, None]
    assert "no index (moov)" in rows[3]["error"]


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    (tmp_path / "voice.m4a").write_bytes(media_file("voice.m4a"))
    monkeypatch.setitem(sys.modules, "av", None)
    answer = predict(tmp_path / "voice.m4a")
    assert "pip install 'phonemo[media]'" in answer.out
    assert answer.code == 1
