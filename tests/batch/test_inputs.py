"""Inputs and the recordings that they stand for."""

from __future__ import annotations

import io
import os
import sys

import pytest

from phonemo.batch.inputs import items_of
from phonemo.errors import ManifestError, UsageError
from phonemo.files import SkippedFiles


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def files(*names):
    return [item.file for item in items_of(map(str, names))]


def paths(*names):
    return [item.path for item in items_of(map(str, names))]


# Files and folders --------------------------------------------------------------------------------


def test_a_file_with_any_suffix_is_a_recording(here):
    touch(here, "a.wav", "b.bin", "noext")
    assert files("a.wav", "./b.bin", "noext") == ["a.wav", "./b.bin", "noext"]
    assert paths("a.wav", "./b.bin") == [str(here / "a.wav"), str(here / "b.bin")]


def test_a_folder_stands_for_its_recordings(here):
    touch(here, "in/b.WAV", "in/a.flac", "in/sub/c.mp3", "in/x.txt", "in/.hidden.wav")
    touch(here, "in/.cache/d.wav", "in/aa.ogg")
    assert files("in") == ["in/a.flac", "in/aa.ogg", "in/b.WAV", "in/sub/c.mp3"]
    assert files("in/") == files("in")
    assert paths("in")[0] == str(here / "in/a.flac")
    assert files(here / "in")[0] == str(here / "in/a.flac")


MEDIA = (
    *("opus", "oga", "m4a", "mp4", "aac", "webm", "caf", "wma", "amr", "3gp", "w64", "au", "snd"),
    *("sph", "aif", "mka", "mkv", "OPUS"),
)


@pytest.mark.parametrize("suffix", MEDIA)
def test_recordings_of_phones_and_browsers_are_found(here, suffix):
    touch(here, f"in/a.{suffix}")
    assert files("in") == files("in/*") == files("in/**") == [f"in/a.{suffix}"]


def test_other_files_are_counted_and_system_files_are_not(here):
    touch(here, "in/a.wav", "in/b.txt", "in/sub/c.TXT", "in/d.pdf", "in/Makefile", "in/.hidden")
    touch(here, "in/.DS_Store", "in/Thumbs.db", "in/desktop.ini", "in/e.this is a very long one")
    kinds = "(2 .txt, 1 .pdf, 1 of other kinds, 1 without a suffix)"
    for name in ("in", "in/*", "in/**"):
        skipped = SkippedFiles()
        assert len(list(items_of([name], skipped))) == 1
        assert skipped.notes() == [f"{name}: 5 files skipped {kinds}"]
    skipped = SkippedFiles()
    list(items_of(["in/a.wav", "in/*.wav", "in/*.pdf"], skipped))  # an explicit suffix
    assert skipped.notes() == []


def test_the_skipped_files_of_many_folders_are_one_line(here):
    for number in range(6):
        touch(here, f"{number}/a.wav", f"{number}/b.txt")
    skipped = SkippedFiles()
    list(items_of([str(number) for number in range(6)], skipped))
    assert skipped.notes() == ["6 folders: 6 files skipped (6 .txt)"]


def test_tables_and_lists_among_recordings_are_not_read(here):
    touch(here, "in/a.wav")
    for name in ("in/t.csv", "in/l.txt", "in/m.json"):
        (here / name).write_text("file\nmissing.wav\n")
    assert files("in") == files("in/*") == ["in/a.wav"]


def test_links_to_files_count_and_links_to_folders_do_not(here):
    touch(here, "in/a.wav", "other/b.wav")
    (here / "in/link.wav").symlink_to(here / "other/b.wav")
    (here / "in/folder").symlink_to(here / "other")
    (here / "in/nowhere.wav").symlink_to(here / "gone.wav")
    assert files("in") == ["in/a.wav", "in/link.wav", "in/nowhere.wav"]
    (here / "named").symlink_to(here / "in")
    assert len(files("named")) == 3


ODD = [
    "a b.wav",
    " lead.wav",
    "line\nbreak.wav",
    "\x1b[31m.wav",
    "ü-語.wav",
    os.fsdecode(b"\xe9.wav"),
]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_names_in_folders_are_kept(here, name):
    touch(here / "in", name)
    assert files("in") == [f"in/{name}"]
    assert paths(f"in/{name}") == [str(here / "in" / name)]


def test_a_folder_without_recordings_is_refused(here):
    touch(here, "in/readme.txt")
    with pytest.raises(UsageError, match=r"in: expected recordings \(.wav, .*\), got 1 other file"):
        files("in")
    (here / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty: expected recordings \(.wav, .*\), got none"):
        files("empty")


def test_a_missing_path_is_refused(here):
    with pytest.raises(UsageError, match="typo"):
        files("typo")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_refused(here):
    touch(here, "in/a.wav", "in/locked/b.wav")
    (here / "in/locked").chmod(0)
    try:
        with pytest.raises(UsageError, match="locked: cannot be read"):
            files("in")
    finally:
        (here / "in/locked").chmod(0o700)


def test_a_duplicate_comes_twice_with_one_key(here):
    touch(here, "in/a.wav")
    items = list(
        items_of(
            ["in", "in/a.wav", str(here / "in/../in/a.wav"), "file://" + str(here / "in/a.wav")]
        )
    )
    assert len(items) == 4
    assert len({item.key for item in items}) == 1


# Patterns -----------------------------------------------------------------------------------------


def test_patterns(here):
    touch(here, "in/a.wav", "in/b.bin", "in/.c.wav", "in/sub/d.wav", "in/sub/deep/e.flac")
    assert sorted(files("in/*.wav")) == ["in/a.wav"]
    assert sorted(files("in/*")) == ["in/a.wav", "in/sub/d.wav", "in/sub/deep/e.flac"]
    assert sorted(files("in/?.*")) == ["in/a.wav"]
    assert sorted(files("in/*.bin")) == ["in/b.bin"]  # an explicit suffix
    assert sorted(files("in/**/*.wav")) == ["in/a.wav", "in/sub/d.wav"]
    assert sorted(files("in/**")) == ["in/a.wav", "in/sub/d.wav", "in/sub/deep/e.flac"]
    assert sorted(files("in/[a-c].wav")) == ["in/a.wav"]


def test_a_folder_that_a_pattern_with_two_stars_matches_stands_for_all_in_it(here):
    touch(here, "in/x/calls/a.wav", "in/x/call.wav", "in/x/other.wav")
    assert sorted(files("in/**/call*")) == ["in/x/call.wav", "in/x/calls/a.wav"]


def test_a_pattern_does_not_follow_cyclic_links(here):
    touch(here, "in/sub/a.wav")
    (here / "in/sub/up").symlink_to("..")
    assert files("in/**/*.wav") == ["in/sub/a.wav"]


def test_a_pattern_that_matches_nothing_is_refused(here):
    touch(here, "in/a.txt")
    for pattern in ("in/*.wav", "nowhere/**/*.wav", "in/*"):
        with pytest.raises(UsageError, match="expected recordings"):
            files(pattern)


def test_an_existing_name_that_looks_like_a_pattern_is_a_name(here):
    touch(here, "a[1].wav", "calls [2024]/b.wav")
    assert files("a[1].wav", "calls [2024]") == ["a[1].wav", "calls [2024]/b.wav"]


# Lists and standard input -------------------------------------------------------------------------

LINES = b"a.wav\r\n\n  \nin/b c.wav\n" + b"caf\xe9.wav\n/abs.wav\nwith, comma.wav"
NAMES = ["a.wav", "in/b c.wav", os.fsdecode(b"caf\xe9.wav"), "/abs.wav", "with, comma.wav"]


@pytest.mark.parametrize("suffix", ["txt", "lst", "list", "TXT"])
def test_a_list_has_a_path_per_line_relative_to_the_current_folder(here, suffix):
    (here / "lists").mkdir()
    (here / f"lists/l.{suffix}").write_bytes(LINES)
    assert files(f"lists/l.{suffix}") == NAMES
    assert paths(f"lists/l.{suffix}")[:2] == [str(here / "a.wav"), str(here / "in/b c.wav")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_windows_is_read(here, encoding):
    (here / "l.txt").write_bytes("in\\ä.wav\r\nC:\\x\\b.wav\r\n\r\nin\\Ċ.wav".encode(encoding))
    assert files("l.txt") == ["in\\ä.wav", "C:\\x\\b.wav", "in\\Ċ.wav"]
    assert paths("l.txt") == [str(here / "in/ä.wav"), "C:/x/b.wav", str(here / "in/Ċ.wav")]


def test_standard_input_is_a_list(here, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES)))
    assert files("-") == NAMES


def test_standard_input_that_is_closed_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="standard input is closed"):
        files("-")


def test_a_byte_order_mark_is_no_part_of_a_lists_first_name(here):
    (here / "l.txt").write_bytes(b"\xef\xbb\xbfa.wav\r\nb.wav\r\n")
    assert files("l.txt") == ["a.wav", "b.wav"]


def test_a_missing_list_is_an_error(here):
    with pytest.raises((UsageError, ManifestError), match=r"gone\.txt.*(no|No) such file"):
        files("gone.txt")


# Addresses ----------------------------------------------------------------------------------------


@pytest.fixture
def memory():
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_remote_folders_patterns_lists_and_manifests(memory):
    for name in ("in/a.wav", "in/sub/b.FLAC", "in/readme.md"):
        memory.pipe_file(f"/{name}", b"x")
    memory.pipe_file("/in/m.jsonl", b'{"file": "a.wav"}\n{"file": "sub/b.FLAC"}\n')
    memory.pipe_file("/in/l.txt", b"memory://in/a.wav\n")
    skipped = SkippedFiles()
    assert len(list(items_of(["memory://in"], skipped))) == 2
    assert skipped.notes() == ["memory://in: 3 files skipped (1 .jsonl, 1 .md, 1 .txt)"]
    both = ["memory:///in/a.wav", "memory:///in/sub/b.FLAC"]
    assert sorted(paths("memory://in")) == both
    assert sorted(paths("memory://in/**")) == both
    assert paths("memory://in/*.wav") == both[:1]
    assert paths("memory://in/m.jsonl") == ["memory://in/a.wav", "memory://in/sub/b.FLAC"]
    assert paths("memory://in/l.txt") == ["memory://in/a.wav"]
    assert paths("memory://in/a.wav") == ["memory://in/a.wav"]
    with pytest.raises(UsageError, match="expected recordings"):
        paths("memory://nothing")


def test_a_listing_with_full_addresses_is_kept(memory, monkeypatch):
    """As that of http, whose paths are addresses."""
    monkeypatch.setattr(type(memory), "find", lambda self, root: ["memory://in/a.wav"])
    assert paths("memory://in") == ["memory://in/a.wav"]


def test_an_unknown_protocol_is_one_line():
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match=r"foo://x.*: Protocol not known: foo"):
        paths("foo://x/*.wav")


def test_an_error_class_of_a_store_is_a_one_line_error(memory, monkeypatch):
    from phonemo.errors import PhonemoError

    def refuse(*arguments, **keywords):
        raise RuntimeError("no\ncredentials")  # as botocore's, which are no OSError

    monkeypatch.setattr(type(memory), "find", refuse)
    with pytest.raises(PhonemoError, match="no credentials"):
        paths("memory://in")


def test_paths_of_fsspecs_local_files_can_be_opened(here):
    pytest.importorskip("fsspec")
    touch(here, "in/a.wav")
    assert paths(f"local://{here}/in") in ([str(here / "in/a.wav")], [f"local://{here}/in/a.wav"])
