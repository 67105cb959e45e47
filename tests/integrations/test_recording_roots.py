"""Which files the tools of ``phonemo mcp`` may read."""

from __future__ import annotations

import os

import pytest

from phonemo.errors import AudioError, UsageError
from phonemo.integrations.mcp_tools.recording_roots import (
    RecordingRoots,
    RootedFile,
    open_regular,
)

MOST = 1000


@pytest.fixture
def folders(tmp_path):
    """A root with a recording, and a file beside the root."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.wav").write_bytes(b"sound")
    (tmp_path / "secret.wav").write_bytes(b"secret")
    return root


def test_files_are_found_by_relative_and_absolute_paths(folders):
    roots = RecordingRoots([folders])
    for path in ("sub/a.wav", str(folders / "sub" / "a.wav"), "sub/../sub/./a.wav"):
        file = roots.find(path, MOST)
        assert file.name == os.path.join("sub", "a.wav")
        with open_regular(file) as stream:
            assert stream.read() == b"sound"


def test_the_first_root_that_has_the_file_is_used(folders, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    assert RecordingRoots([other, folders]).find("sub/a.wav", MOST).path.is_relative_to(folders)


def test_nothing_outside_is_found_and_the_error_is_that_of_a_missing_file(folders, tmp_path):
    (folders / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folders / "loop.wav").symlink_to(folders / "loop.wav")
    (folders / "parent").symlink_to(tmp_path)
    os.mkfifo(folders / "pipe.wav")
    outside = ["../secret.wav", str(tmp_path / "secret.wav"), "link.wav", "parent/secret.wav"]
    strange = ["", ".", "sub", "pipe.wav", "loop.wav", "missing.wav", "a\0b", "a" * 5000, "~"]
    roots, texts = RecordingRoots([folders]), set()
    for path in [*outside, *strange]:
        with pytest.raises(AudioError, match="no such recording in the folders") as why:
            roots.find(path, MOST)
        assert why.value.code == "missing_file"
        assert "\n" not in str(why.value)
        texts.add(str(why.value).partition(": ")[2])
    assert len(texts) == 1


def test_a_link_inside_of_the_root_is_followed(folders):
    (folders / "link.wav").symlink_to(folders / "sub" / "a.wav")
    file = RecordingRoots([folders]).find("link.wav", MOST)
    assert file.path == (folders / "sub" / "a.wav").resolve()


def test_a_file_that_became_a_link_is_not_opened(folders, tmp_path):
    file = RecordingRoots([folders]).find("sub/a.wav", MOST)
    file.path.unlink()
    file.path.symlink_to(tmp_path / "secret.wav")
    with pytest.raises(AudioError, match="cannot be opened"):
        open_regular(file)
    os.mkfifo(folders / "pipe")
    with pytest.raises(AudioError, match="expected a regular file"):
        open_regular(RootedFile(folders / "pipe", "pipe"))


def test_large_files_are_refused(folders):
    with pytest.raises(AudioError, match=r"a.wav: expected at most 4e-06 MB, got .*--max-mb"):
        RecordingRoots([folders]).find("sub/a.wav", 4)


def test_a_root_must_be_a_folder(folders):
    with pytest.raises(UsageError, match="got no such folder"):
        RecordingRoots([folders / "none"])
    with pytest.raises(UsageError, match="got a file"):
        RecordingRoots([folders / "sub" / "a.wav"])
    with pytest.raises(UsageError, match="pass --root"):
        RecordingRoots([])
