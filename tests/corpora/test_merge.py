"""Several manifests as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonemo.corpora.manifest import Header, Utterance, read_manifest, write_manifest
from phonemo.corpora.merge import merge, named_apart
from phonemo.errors import ManifestError


def corpus(folder: Path, name: str, partial: bool = False) -> Path:
    rows = [
        Utterance(id="one", file="a/one.wav", speaker="1", session="s", emotion="anger"),
        Utterance(id="two", file="two.wav", transcript="two"),
    ]
    path = folder / name / "manifest.jsonl"
    header = Header(corpus=name, root=".", partial=partial, skipped={"broken": 2}, phonemo="test")
    write_manifest(path, header, rows)
    return path


def test_equal_names_stay_apart(tmp_path: Path) -> None:
    merged = merge([corpus(tmp_path, "x"), corpus(tmp_path, "y")], tmp_path / "out" / "both.jsonl")
    assert [one.id for one in merged.utterances] == ["x/one", "x/two", "y/one", "y/two"]
    assert [one.speaker for one in merged.utterances] == ["x/1", None, "y/1", None]
    assert merged.utterances[2].session == "y/s"
    assert merged.utterances[0].emotion == "anger"


def test_the_recordings_are_found_and_the_paths_can_move(tmp_path: Path) -> None:
    output = tmp_path / "out" / "both.jsonl"
    merged = merge([corpus(tmp_path, "x"), corpus(tmp_path, "y")], output)
    assert merged.utterances[0].file == "../x/a/one.wav"
    found = merged.audio_path(merged.utterances[0]).resolve()
    assert found == (tmp_path / "x" / "a" / "one.wav").resolve()
    assert read_manifest(output) == merged


def test_the_header_keeps_what_was_said(tmp_path: Path) -> None:
    merged = merge([corpus(tmp_path, "x"), corpus(tmp_path, "y", partial=True)], tmp_path / "b")
    assert merged.header.corpus == "x+y"
    assert merged.header.partial
    assert merged.header.skipped == {"x: broken": 2, "y: broken": 2}


def test_one_manifest_or_one_corpus_twice_is_refused(tmp_path: Path) -> None:
    path = corpus(tmp_path, "x")
    with pytest.raises(ManifestError, match="expected at least two manifests to merge, got 1"):
        merge([path], tmp_path / "b")
    with pytest.raises(ManifestError, match="two manifests are of the corpus 'x'"):
        merge([path, path], tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_named_apart_leaves_unknown_names_unknown(tmp_path: Path) -> None:
    manifest = read_manifest(corpus(tmp_path, "x"))
    one = named_apart(manifest, manifest.utterances[1])
    assert (one.speaker, one.session, one.dialog) == (None, None, None)
    assert Path(one.file).is_absolute()
