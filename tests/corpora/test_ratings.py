"""Ratings in manifests: scales, tables, readers, votes and the audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonemo.corpora import CORPORA
from phonemo.corpora.manifest import Header, Utterance, read_manifest, write_manifest
from phonemo.corpora.ratings.rating_audit import rating_lines
from phonemo.corpora.ratings.scales import detect_scale, parse_scale, to_unit
from phonemo.corpora.ratings.votes import vote_shares
from phonemo.corpora.readers.formats.folders import read_folders
from phonemo.errors import CorpusError, ManifestError
from phonemo.labels import LabelSet
from tests import tiny

HEADER = Header(corpus="x", root=".", phonemo="1")


def table(tmp_path: Path, text: str):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    return CORPORA["csv"].read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "scale"),
    [("1-5", (1, 5)), ("[1, 7]", (1, 7)), ("-1..1", (-1, 1)), ("-1 to 1", (-1, 1))],
)
def test_declared_scales(text, scale):
    assert parse_scale(text) == scale


@pytest.mark.parametrize("text", ["five", "5-1", "1-", "1-5-9"])
def test_other_texts_are_no_scale(text):
    with pytest.raises(CorpusError, match="expected a scale such as 1-5"):
        parse_scale(text)


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0.1, 0.9], (0, 1)), ([-0.5, 0.9], (-1, 1)), ([1.5, 4], (1, 5)), ([2, 88], (0, 100))],
)
def test_detected_scales(values, scale):
    assert detect_scale(values) == scale


def test_ratings_survive_a_manifest_and_older_manifests_do_not_change(tmp_path):
    rated = Utterance(
        id="a", file="a.wav", arousal=to_unit(4, (1, 5)), scale=(1, 5), votes={"anger": 2}
    )
    bare = Utterance(id="b", file="b.wav", emotion="anger")
    write_manifest(tmp_path / "m.jsonl", HEADER, [rated, bare])
    assert read_manifest(tmp_path / "m.jsonl").utterances == (rated, bare)
    assert rated.dimensions == {"arousal": 0.75}
    lines = (tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()
    assert "arousal" not in lines[2]
    assert "votes" not in lines[2]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('"arousal": 3', "field 'arousal': Input should be less than or equal to 1"),
        ('"scale": [5, 1]', "expected scale (low, high), got (5.0, 1.0)"),
        ('"votes": {"anger": 0}', "expected votes of 0 or more, and one above 0"),
        ('"votes": {"anger": -1}', "expected votes of 0 or more, and one above 0"),
    ],
)
def test_a_wrong_rating_is_one_clear_line(tmp_path, field, message):
    write_manifest(tmp_path / "m.jsonl", HEADER, [])
    with (tmp_path / "m.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"id": "a", "file": "a.wav", ' + field + "}\n")
    with pytest.raises(ManifestError) as error:
        read_manifest(tmp_path / "m.jsonl")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'm.jsonl'}:2: ")


def test_a_table_of_dimensions_alone_with_its_scale(tmp_path):
    reading = table(
        tmp_path,
        "file,activation,Valence,dom,scale,votes,intensity\n"
        "a.wav,4,1,,1-5,Angry 3; neutral 1,strong\nb.wav,,,,,,\n",
    )
    first, second = reading.utterances
    assert first.dimensions == {"arousal": 0.75, "valence": 0.0}
    assert (first.scale, first.intensity) == ((1, 5), "strong")
    assert first.votes == {"anger": 3, "neutral": 1}
    assert (second.dimensions, second.scale, second.votes) == ({}, None, None)
    assert reading.warnings == ()


def test_a_row_without_a_scale_takes_that_of_the_other_rows(tmp_path):
    reading = table(tmp_path, "file,emotion,arousal,scale\na.wav,x,4,1-5\nb.wav,x,1,\n")
    assert [row.arousal for row in reading.utterances] == [0.75, 0.0]  # 1 of 0..1 would be 1
    (warning,) = reading.warnings
    assert "no scale is declared for 1 rows with ratings from 1 to 1: 1..5 is assumed" in warning


def test_a_scale_without_end_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="expected a scale such as"):
        table(tmp_path, f"file,emotion,arousal,scale\na.wav,x,4,1-{'9' * 400}\n")


def test_a_scale_that_is_not_declared_is_warned_about(tmp_path):
    reading = table(tmp_path, "file,emotion,arousal\na.wav,x,1\nb.wav,x,4.5\n")
    assert [row.arousal for row in reading.utterances] == [0.0, 0.875]
    (warning,) = reading.warnings
    assert "no scale is declared for 2 rows with ratings from 1 to 4.5: 1..5 is assumed" in warning


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("arousal,scale\na.wav,6,1-5\n", ":2: arousal: expected a value from 1 to 5, got 6"),
        ("arousal,scale\na.wav,6,big\n", ":2: expected a scale such as 1-5 or -1..1, got 'big'"),
        ("arousal\na.wav,high\n", ":2: expected a number or an empty cell in column 'arousal'"),
        ("arousal\na.wav,700\n", "expected values of a known scale, got 700 to 700"),
        ("arousal,votes\na.wav,1,many\n", ":2: expected votes such as anger 3; neutral 2"),
        ("arousal,intensity\na.wav,1,huge\n", ":2: expected intensity low, medium, high"),
    ],
)
def test_a_wrong_cell_is_one_clear_line(tmp_path, cells, message):
    with pytest.raises(CorpusError) as error:
        table(tmp_path, f"file,{cells}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_ravdess_has_the_intensity_of_its_names(tmp_path):
    rows = CORPORA["ravdess"].read(tiny.make_ravdess(tmp_path)).utterances
    assert [row.intensity for row in rows] == ["normal", "strong", "normal"]


def test_recordings_named_like_ravdess_and_cremad_have_the_intensity_too(tmp_path):
    tiny.write_sound(tmp_path / "all" / "03-01-05-02-02-01-01.wav")
    tiny.write_sound(tmp_path / "all" / "1001_IEO_HAP_HI.wav")
    rows = read_folders(tmp_path).utterances
    assert sorted(row.intensity for row in rows) == ["high", "strong"]


def test_cremad_has_the_votes_for_the_voice_alone(tmp_path):
    root = tiny.make_cremad(tmp_path)
    head = '"","A","D","F","H","N","S","fileName","numResponses","meanEmoResp"\n'
    rows = (
        '"100001",5,1,0,0,3,0,"1001_DFA_ANG_XX",9,62.5\n'
        '"100002",0,0,0,8,1,0,"1001_IEO_HAP_HI",9,70\n'
        '"200001",9,0,0,0,0,0,"1001_DFA_ANG_XX",9,90\n'
    )
    tiny.write_text(root / "processedResults" / "tabulatedVotes.csv", head + rows)
    reading = CORPORA["cremad"].read(root)
    by_id = {row.id: row for row in reading.utterances}
    assert by_id["1001_DFA_ANG_XX"].votes == {"anger": 5, "disgust": 1, "neutral": 3}
    assert by_id["1001_DFA_ANG_XX"].rated_intensity == 0.625
    assert by_id["1001_IEO_HAP_HI"].intensity == "high"
    assert by_id["1002_WSI_NEU_XX"].votes is None
    assert reading.skipped["clip without votes (kept)"] == 1


def test_a_broken_table_of_votes_is_one_clear_line(tmp_path):
    root = tiny.make_cremad(tmp_path)
    tiny.write_text(root / "processedResults" / "tabulatedVotes.csv", "a,b\n1,2\n")
    with pytest.raises(CorpusError, match=r"tabulatedVotes\.csv:2: expected columns"):
        CORPORA["cremad"].read(root)


def test_msp_podcast_has_ratings_votes_and_parts(tmp_path):
    reading = CORPORA["msp-podcast"].read(tiny.make_msp_podcast(tmp_path))
    first, second, third, fourth, fifth, sixth = reading.utterances
    assert first.dimensions == {"arousal": 0.733333, "valence": 0.2, "dominance": 0.5}
    assert first.scale == (1, 7)
    assert first.votes == {"anger": 2, "other": 1}
    assert first.transcript == "So this is 1."
    assert (first.emotion, third.emotion, fourth.emotion) == ("anger", None, "contempt")
    assert [row.split for row in reading.utterances] == [
        *("train", "train", "train", "validation", "test", None)
    ]
    assert second.speaker == "unknown of MSP-PODCAST_0001 Train"
    assert (sixth.emotion, sixth.dimensions, sixth.scale) == (None, {}, None)
    assert fifth.emotion == "neutral"
    assert reading.skipped["recording without a label"] == 1
    assert "1 recordings of unknown speakers" in reading.notes[0]


def test_without_labels_of_test1_development_is_the_test_part(tmp_path):
    root = tiny.make_msp_podcast(tmp_path)
    path = root / "Labels" / "labels_consensus.csv"
    kept = [line for line in path.read_text().splitlines() if "Test1" not in line]
    path.write_text("\n".join(kept) + "\n")
    reading = CORPORA["msp-podcast"].read(root)
    assert [row.split for row in reading.utterances] == ["train"] * 3 + ["test", None]
    assert "Test1 has no labels here: Development is the test part" in reading.notes


def test_later_releases_have_a_column_for_the_primary_emotion(tmp_path):
    root = tiny.make_msp_podcast(tmp_path)
    tiny.write_text(
        root / "Labels" / "labels_detailed.csv",
        "FileName,WorkerID,EmoClass_Major,EmoAct\nMSP-PODCAST_0001_0002.wav,1,Happy,5\n",
    )
    rows = CORPORA["msp-podcast"].read(root).utterances
    assert [row.votes for row in rows][:3] == [None, {"happiness": 1}, None]


def test_contradicting_partitions_are_an_error(tmp_path):
    root = tiny.make_msp_podcast(tmp_path)
    tiny.write_text(root / "Partitions.txt", "Test1; MSP-PODCAST_0001_0001.wav\n")
    with pytest.raises(CorpusError, match=r"got Split_Set Train and Test1 in Partitions\.txt"):
        CORPORA["msp-podcast"].read(root)


def test_votes_are_shares_of_the_merged_labels():
    labels = LabelSet(("anger", "happiness"), {"excited": "happiness"})
    row = Utterance(id="a", file="a", votes={"anger": 1, "excited": 2, "happiness": 1, "fear": 9})
    assert vote_shares(row, labels) == {"anger": 0.25, "happiness": 0.75}
    assert vote_shares(Utterance(id="a", file="a", votes={"fear": 2}), labels) is None


def test_the_audit_shows_range_missing_constant_and_correlation():
    rows = [
        Utterance(
            id=str(number),
            file="a",
            emotion="anger",
            arousal=number / 10,
            valence=1 - number / 10 if number else None,
            dominance=0.5,
            scale=(1, 5),
            votes={"anger": 2, "fear": 1} if number < 3 else None,
            intensity="strong" if number else None,
        )
        for number in range(5)
    ]
    text = "\n".join(rating_lines(rows))
    assert "scales of the release: 1..5 (5)" in text
    assert "arousal         5 rated, 0 missing, 0.000 to 0.400" in text
    assert "valence         4 rated, 1 missing" in text
    assert "dominance       5 rated" in text
    assert "WARNING: constant" in text
    assert "correlation of arousal and valence: -1.00 (4 utterances); WARNING: nearly" in text
    assert "votes: 3 utterances, 2 without; anger 6, fear 3" in text
    assert "the label has the most votes in 3 of 3 labeled utterances" in text
    assert "intensity: strong 4, unknown 1" in text
    assert list(rating_lines([Utterance(id="a", file="a")])) == []
