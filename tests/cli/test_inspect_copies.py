"""``inspect`` and ``merge`` compare the recordings themselves, not only their names."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.corpora.manifest import Utterance
from tests.corpora.recorded import manifest_of, recorded, row, write
from tests.corpora.tiny_manifests import write_folds

EMOTIONS = ("anger", "sadness")


class Result(NamedTuple):
    """Exit code, and output with the error."""

    exit_code: int
    output: str


def phonemo(*words: object) -> Result:
    answer = CliRunner().invoke(app, [str(word) for word in words])
    error = "" if answer.exception is None else str(answer.exception)
    return Result(answer.exit_code, answer.output + error)


@pytest.fixture
def rows(tmp_path: Path) -> list[Utterance]:
    """Four speakers with two recordings each."""
    rows = [
        row(f"{speaker}{n}.wav", speaker, emotion=EMOTIONS[n]) for speaker in "abcd" for n in (0, 1)
    ]
    for seed, utterance in enumerate(rows):
        write(tmp_path / utterance.file, recorded(seed, 0.6))
    return rows


def inspected(folder: Path, rows: Sequence[Utterance], *options: object) -> Result:
    return phonemo("inspect", manifest_of(folder, rows).path, "--quiet", *options)


def test_inspect_joins_speakers_with_the_same_recording_and_says_so(tmp_path, rows):
    shutil.copy(tmp_path / "a0.wav", tmp_path / "d2.wav")
    answer = inspected(tmp_path, [*rows, row("d2.wav", "d")])
    assert answer.exit_code == 0, answer.output
    assert (
        "note: speakers 'a', 'd' share the same recordings, such as a0.wav = d2.wav"
        in answer.output
    )
    assert "warning: 1 recordings have copies: a0.wav = d2.wav" in answer.output
    assert answer.output.startswith("protocol speaker: 3 folds")


def test_inspect_refuses_speakers_who_all_share_recordings(tmp_path, rows):
    for one, other in ("ab", "bc", "cd"):
        shutil.copy(tmp_path / f"{one}0.wav", tmp_path / f"{other}1.wav")
    answer = inspected(tmp_path, rows)
    assert answer.exit_code == 1
    assert "share the same recordings, such as a0.wav = b1.wav" in answer.output
    unchecked = inspected(tmp_path, rows, "--no-copies")
    assert unchecked.exit_code == 0
    assert "the recordings were not compared" in unchecked.output


def test_inspect_refuses_published_folds_with_a_copy_in_train_and_test(tmp_path, rows):
    shutil.copy(tmp_path / "a0.wav", tmp_path / "d0.wav")
    ids = [one.id for one in rows]
    write_folds(tmp_path / "folds", [(ids[:6], ids[6:])])
    words = ("--protocol", "published", "--folder", tmp_path / "folds")
    answer = inspected(tmp_path, rows, *words)
    assert answer.exit_code == 1
    assert "validation and test share 1 recordings, such as 'a0.wav = d0.wav'" in answer.output


def test_inspect_reports_near_copies_and_their_parts(tmp_path, rows):
    write(tmp_path / "a0.wav", recorded(0, 0.6) / 8)
    write(tmp_path / "d0.flac", recorded(0, 0.6))
    answer = inspected(tmp_path, [*rows, row("d0.flac", "d")])
    assert answer.exit_code == 0
    assert "1 pairs of near-copies, 1 of them in test and another part" in answer.output
    assert "a0.wav = d0.flac (" in answer.output


def test_inspect_works_without_audio(tmp_path, rows):
    for utterance in rows:
        (tmp_path / utterance.file).unlink()
    answer = inspected(tmp_path, rows)
    assert answer.exit_code == 0
    assert "the recordings were not compared" in answer.output


def test_merge_refuses_or_drops_shared_recordings(tmp_path, rows):
    mine = manifest_of(tmp_path, rows[:4], "mine").path
    shutil.copy(tmp_path / "a0.wav", tmp_path / "e.wav")
    yours = manifest_of(tmp_path, [*rows[4:], row("e.wav", "e")], "yours").path
    words = ("merge", mine, yours, "-q", "-o", tmp_path / "both.jsonl")
    refused = phonemo(*words)
    assert refused.exit_code == 1
    assert "mine/a0.wav = yours/e.wav; leave them out with --drop-copies" in refused.output
    assert (
        phonemo(*words, "--drop-copies")
        .output.splitlines()[-1]
        .endswith("8 utterances, 4 speakers of mine+yours")
    )
