"""A split keeps the copies of a recording in one part, or is refused; merging finds them too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from phonemo.config import ProtocolConfig
from phonemo.corpora.copies.groups import Copies, NearCopy
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.leakage import assert_no_leakage, measure_leakage
from phonemo.corpora.leakage_text import lines
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.merge import merge, merge_streams
from phonemo.corpora.splits import make_split
from phonemo.errors import LeakageError
from tests.corpora.recorded import manifest_of, recorded, row, write

EMOTIONS = ("anger", "sadness")


def corpus() -> list[Utterance]:
    """Six speakers in three sessions, each with the same four sentences."""
    return [
        row(
            f"{speaker}-{number}",
            speaker,
            session=f"session {int(speaker[1]) // 2}",
            transcript=f"sentence {number}",
            emotion=EMOTIONS[number % 2],
        )
        for speaker in ("s0", "s1", "s2", "s3", "s4", "s5")
        for number in range(4)
    ]


def copied(*pairs: tuple[str, str]) -> Copies:
    """All of the corpus are different recordings, except for these pairs."""
    digests = {one.id: one.id for one in corpus()}
    return Copies(digests | {second: first for first, second in pairs})


def parts_of(split: Split, name: str) -> Iterator[str]:
    for fold in split.folds:
        yield from (part for part, ids in fold.parts.items() if name in ids)


@pytest.mark.parametrize(
    ("protocol", "pair"),
    [
        ("speaker", ("s0-1", "s5-1")),
        ("session", ("s0-1", "s3-1")),
        ("sentence", ("s0-0", "s0-1")),
        ("speaker-sentence", ("s0-0", "s2-1")),
        ("random-leaky", ("s0-0", "s4-3")),
    ],
)
def test_copies_stay_in_one_part_of_every_fold(protocol, pair):
    rows, copies = corpus(), copied(pair)
    if protocol == "session":
        rows += [row(f"s9-{n}", "s9", session="session 9", transcript="more") for n in range(2)]
    split = make_split(rows, ProtocolConfig(name=protocol), copies)
    assert list(parts_of(split, pair[0])) == list(parts_of(split, pair[1]))
    assert_no_leakage(measure_leakage(rows, split, copies), split.protocol)
    if protocol != "random-leaky":
        assert any("share the same recordings, such as" in note for note in split.notes)


@pytest.mark.parametrize("protocol", ["speaker", "session", "sentence", "random-leaky"])
def test_a_split_without_copies_is_that_without_a_comparison(protocol):
    settings = ProtocolConfig(name=protocol)
    assert make_split(corpus(), settings, copied()) == make_split(corpus(), settings)


def test_too_few_speakers_without_common_recordings_are_refused_with_a_pair():
    pairs = [(f"s{n}-0", f"s{n + 1}-1") for n in range(5)]
    with pytest.raises(LeakageError, match=r"'s0', 's1', 's2' and 3 more .* s0-0 = s1-1") as error:
        make_split(corpus(), ProtocolConfig(), copied(*pairs))
    assert "remove the copies or correct their speakers" in str(error.value)


def given_folds(name: str) -> Split:
    ids = [one.id for one in corpus()]
    return Split(
        ProtocolConfig(name=name, folder="folds"),
        "speaker",
        (Fold("f", tuple(ids[:8]), tuple(ids[8:16]), tuple(ids[16:])),),
        (),
    )


@pytest.mark.parametrize("protocol", ["published", "speaker", "session", "given"])
@pytest.mark.parametrize(("first", "part"), [("s0-0", "train"), ("s2-0", "validation")])
def test_given_folds_with_copies_in_test_are_refused_with_the_pairs(protocol, first, part):
    copies = copied((first, "s5-0"))
    report = measure_leakage(corpus(), given_folds(protocol), copies)
    with pytest.raises(
        LeakageError, match=f"{part} and test share 1 recordings, such as '{first} = s5-0'"
    ):
        assert_no_leakage(report, ProtocolConfig(name=protocol, folder="folds"))


def test_a_leaky_protocol_says_that_recordings_are_shared():
    copies = copied(("s0-0", "s5-0"), ("s0-1", "s5-2"))
    report = measure_leakage(corpus(), given_folds("published-leaky"), copies)
    assert_no_leakage(report, ProtocolConfig(name="published-leaky", folder="folds"))
    text = "\n".join(lines(report))
    assert "train and test share up to 2 recordings in a fold: s0-0 = s5-0, s0-1 = s5-2" in text
    assert "2 recordings have copies: s0-0 = s5-0, s0-1 = s5-2" in text
    assert "1 of them with different emotions: s0-1 = s5-2" in text


def test_the_fold_that_shares_the_most_recordings_is_shown():
    ids = [one.id for one in corpus()]
    folds = (
        Fold("few", tuple(ids[:8]), tuple(ids[8:22]), tuple(ids[22:])),
        Fold("most", tuple(ids[:8]), tuple(ids[8:16]), tuple(ids[16:])),
    )
    split = Split(ProtocolConfig(name="published-leaky", folder="folds"), "speaker", folds, ())
    copies = copied(("s0-0", "s5-0"), ("s0-1", "s5-2"))
    assert "share up to 2 recordings in a fold: s0-0 = s5-0, s0-1 = s5-2" in "\n".join(
        lines(measure_leakage(corpus(), split, copies))
    )


def test_copies_of_recordings_that_were_left_out_do_not_contradict_each_other():
    copies = Copies(copied(("s0-0", "s5-0")).digests | {"gone": "gone", "gone too": "gone"})
    report = measure_leakage(corpus(), given_folds("published-leaky"), copies)
    assert report.copies.contradictory == ()


def test_near_copies_are_reported_with_their_parts_and_are_no_error():
    near = (
        *(NearCopy("s0-0", "s0-1", 0.11), NearCopy("s1-0", "s5-0", 0.042)),
        NearCopy("s0-0", "s0-2", 0.12),
    )
    copies = Copies(copied().digests, near=near)
    report = measure_leakage(corpus(), given_folds("speaker"), copies)
    assert report.copies.near == (
        "s1-0 = s5-0 (4.2 % of bits differ; train and test of f)",
        *("s0-0 = s0-1 (11 % of bits differ)", "s0-0 = s0-2 (12 % of bits differ)"),
    )
    assert "3 pairs of near-copies, 1 of them in test and another part" in "\n".join(lines(report))


def test_recordings_that_were_not_compared_are_unknown_and_no_error():
    report = measure_leakage(corpus(), given_folds("speaker"))
    assert_no_leakage(report, ProtocolConfig(name="published", folder="folds"))
    assert report.folds[0].recordings.train_test is None
    assert "the recordings were not compared" in "\n".join(lines(report))
    some = dict(list(copied().digests.items())[:20])
    text = "\n".join(lines(measure_leakage(corpus(), given_folds("speaker"), Copies(some))))
    assert "up to 4 recordings in a fold are silent or cannot be decoded" in text


@pytest.fixture
def two(tmp_path) -> list[Path]:
    """Manifests of two corpora that share one recording under other names and containers."""
    for seed in (1, 2, 3, 4):
        write(tmp_path / f"{seed}.wav", recorded(seed, 0.5))
    write(tmp_path / "same.flac", recorded(2, 0.5))
    mine = manifest_of(tmp_path, [row("1.wav", "a"), row("2.wav", "a")], "mine")
    yours = manifest_of(tmp_path, [row("3.wav", "b"), row("same.flac", "b")], "yours")
    return [path for manifest in (mine, yours) if (path := manifest.path)]


def test_merging_corpora_that_share_a_recording_is_refused(two, tmp_path):
    with pytest.raises(LeakageError, match=r"such as mine/2.wav = yours/same.flac; leave them out"):
        merge_streams(two, tmp_path / "both.jsonl")
    assert not (tmp_path / "both.jsonl").exists()


def test_copies_can_be_left_out_of_a_merged_manifest_and_are_counted(two, tmp_path):
    calls: list[tuple[int, int]] = []
    merge_streams(
        two, tmp_path / "both.jsonl", drop_copies=True, progress=lambda *done: calls.append(done)
    )
    merged = merge(two, tmp_path / "both.jsonl", drop_copies=True)
    assert [one.id for one in merged.utterances] == ["mine/1.wav", "mine/2.wav", "yours/3.wav"]
    assert merged.header.skipped == {"copies of recordings of an earlier corpus": 1}
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_merge_without_audio_says_that_copies_are_unknown(two, tmp_path, caplog):
    (tmp_path / "same.flac").unlink()
    write(tmp_path / "3.wav", np.zeros(9000, np.float32))
    assert len(merge(two, tmp_path / "both.jsonl").utterances) == 4
    assert "2 recordings are silent or cannot be decoded" in caplog.text
