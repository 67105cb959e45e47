"""Merging manifests."""

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


def test_equal_names_of_two_corpora_stay_distinct(tmp_path: Path) -> None:
    merged = merge([corpus(tmp_path, "x"), corpus(tmp_path, "y")], tmp_path / "out" / "both.jsonl")
    assert [utterance.id for utterance in merged.utterances] == ["x/one", "x/two", "y/one", "y/two"]
    assert [utterance.speaker for utterance in merged.utterances] == ["x/1", None, "y/1", None]
    assert merged.utterances[2].session == "y/s"
    assert merged.utterances[0].emotion == "anger"


def test_merged_audio_paths_are_relative_and_movable(tmp_path: Path) -> None:
    output = tmp_path / "out" / "both.jsonl"
    merged = merge([corpus(tmp_path, "x"), corpus(tmp_path, "y")], output)
    assert merged.utterances[0].file == "../x/a/one.wav"
    path = merged.audio_path(merged.utterances[0]).resolve()
    assert path == (tmp_path / "x" / "a" / "one.wav").resolve()
    assert read_manifest(output) == merged


def test_the_merged_header_keeps_partial_and_skipped(tmp_path: Path) -> None:
    merged = merge([corpus(tmp_path, "x"), corpus(tmp_path, "y", partial=True)], tmp_path / "b")
    assert merged.header.corpus == "x+y"
    assert merged.header.partial
    assert merged.header.skipped == {"x: broken": 2, "y: broken": 2}


def test_one_manifest_or_a_repeated_corpus_is_rejected(tmp_path: Path) -> None:
    path = corpus(tmp_path, "x")
    with pytest.raises(ManifestError, match="expected at least two manifests to merge, got 1"):
        merge([path], tmp_path / "b")
    with pytest.raises(ManifestError, match="two manifests are of the corpus 'x'"):
        merge([path, path], tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_named_apart_leaves_unknown_names_unknown(tmp_path: Path) -> None:
    manifest = read_manifest(corpus(tmp_path, "x"))
    utterance = named_apart(manifest, manifest.utterances[1])
    assert (utterance.speaker, utterance.session, utterance.dialog) == (None, None, None)
    assert Path(utterance.file).is_absolute()
