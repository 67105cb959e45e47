"""Custom tables as people have them: other names, delimiters, paths, channels and splits."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.audio import load_waveform
from phonemo.corpora import CORPORA
from phonemo.corpora.manifest import Utterance, read_manifest, write_manifest
from phonemo.corpora.prepare import prepare
from phonemo.corpora.readers.base import CorpusReading
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import AudioError, CorpusError
from tests import tiny


def read(root: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> CorpusReading:
    (root / name).write_bytes(text.encode(encoding))
    return CORPORA["csv"].read(root / name)


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        ("file,emotion,speaker\nwav/a.wav,Angry,x\n", "t.csv", "utf-8"),
        ("path;label;speaker_id\r\nwav\\a.wav;ANGER;x\r\n", "t.csv", "utf-8-sig"),
        ("filename\temotion\tspk\nwav/a.wav\twütend\tx\n", "t.tsv", "utf-16"),
        (",Path,Emotion,Speaker\n0,wav/a.wav,ang,x\n", "t.csv", "utf-8"),
        ("audio|emotion|speaker\nwav/a.wav|生气|x\n", "t.csv", "utf-8"),
        ('{"audio_path": "wav/a.wav", "label": "angry", "speaker": "x"}\n', "t.json", "utf-8"),
        ('[{"file_name": "wav/a.wav", "emotion": "Wut", "speaker": "x"}]', "t.json", "utf-8"),
    ],
)
def test_one_row_in_many_spellings(tmp_path: Path, text: str, name: str, encoding: str) -> None:
    (row,) = read(tmp_path, text, name, encoding).utterances
    assert row == Utterance(id="wav/a", file="wav/a.wav", emotion="anger", speaker="x")


def test_what_was_renamed_and_not_used_is_noted(tmp_path: Path) -> None:
    table = (
        "file,emotion,age,height,speakr\n"
        "a.wav,Angry,3,0.1,x\nb.wav,ANGER,3,0.1,x\nc.wav,Angry,3,0.1,x\nd.wav,Schadenfreude,,,\n"
    )
    reading = read(tmp_path, table)
    assert reading.notes == (
        "mapped: ANGER -> anger (1), Angry -> anger (2)",
        "no name of phonemo's, kept: schadenfreude (1)",
        "columns not used: age, height, speakr (or 'speaker'?)",
    )


def test_times_of_several_programs(tmp_path: Path) -> None:
    lines = ("0 days 00:00:01.5,0 days 00:00:02,", "2,,0.5", ",,9.5", "nan,1,")
    table = "file,emotion,start,end,duration\n" + "".join(f"a.wav,x,{line}\n" for line in lines)
    rows = read(tmp_path, table).utterances
    assert [(row.id, row.start, row.end) for row in rows] == [
        ("a#1.5-2", 1.5, 2.0),
        ("a#2-2.5", 2.0, 2.5),
        ("a", None, None),
        ("a#-1", None, 1.0),
    ]


def test_unknown_cells(tmp_path: Path) -> None:
    table = "file,emotion,speaker,gender,transcript,language\na.wav,nan,NaN,unknown,none,en-US\n"
    (row,) = read(tmp_path, table).utterances
    assert row == Utterance(id="a", file="a.wav", transcript="none", language="en")


class TestPaths:
    """Paths of other computers."""

    @pytest.mark.parametrize(
        "path",
        [r"C:\data\wav\a.wav", "/home/me/data/wav/a.wav", "wav/a", r"wav\a.wav", "D:/wav/a.wav"],
    )
    def test_recordings_are_found_by_the_end_of_their_path(self, tmp_path: Path, path: str) -> None:
        tiny.write_sound(tmp_path / "wav" / "a.wav")
        reading = read(tmp_path, f"file,emotion\n{path},anger\n")
        assert reading.utterances[0].file == "wav/a.wav"
        moved = [note for note in reading.notes if note.startswith("recordings found by the end")]
        assert len(moved) == (path != r"wav\a.wav")

    def test_other_paths_are_kept(self, tmp_path: Path) -> None:
        tiny.write_sound(tmp_path / "a.wav")
        paths = ("sub/a.wav", "/elsewhere/b.wav", "/elsewhere", "b")
        rows = read(
            tmp_path, "file,emotion\n" + "".join(f"{path},x\n" for path in paths)
        ).utterances
        assert tuple(row.file for row in rows) == paths


class TestSplits:
    """The column split, also named subset or partition."""

    @pytest.mark.parametrize("column", ["split", "Subset", "partition"])
    def test_parts_are_kept(self, tmp_path: Path, column: str) -> None:
        names = ("Train", "dev", "TEST", "evaluation", "")
        lines = "".join(f"{number}.wav,anger,{name}\n" for number, name in enumerate(names))
        reading = read(tmp_path, f"file,emotion,{column}\n{lines}")
        assert [row.split for row in reading.utterances] == [
            *("train", "validation", "test", "validation", None)
        ]
        assert not any("columns not used" in note for note in reading.notes)

    def test_other_values_are_noted(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "file,emotion,split\na.wav,anger,fold7b\nb.wav,anger,test\n")
        assert reading.notes == ("splits other than train, validation and test, not used: fold7b",)


class TestChannels:
    """The column channel, in the manifest and when the audio is read."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        tiny.write_sound(tmp_path / "call.wav", seconds=0.5, channels=2)
        tiny.write_text(
            tmp_path / "t.csv",
            "file,emotion,channel,speaker\ncall.wav,anger,left,a\ncall.wav,calm,2.0,b\n"
            "call.wav,calm,,c\n",
        )
        return tmp_path

    def test_each_channel_is_an_utterance(self, root: Path) -> None:
        rows = CORPORA["csv"].read(root).utterances
        assert [(row.id, row.channel) for row in rows] == [
            ("call@1", 1),
            ("call@2", 2),
            ("call", None),
        ]

    def test_the_channel_is_decoded(self, root: Path) -> None:
        prepare("csv", root, root / "m.jsonl")
        manifest = read_manifest(root / "m.jsonl")
        samples, _ = soundfile.read(root / "call.wav", dtype="float32")
        for row, expected in zip(
            manifest.utterances, (samples[:, 0], samples[:, 1], samples.mean(axis=1)), strict=True
        ):
            loaded = load_utterance(manifest, row).samples
            np.testing.assert_allclose(loaded, expected, atol=1e-6)
            part = load_utterance(manifest, row, most_seconds=0.25).samples
            np.testing.assert_allclose(part, expected[:4000], atol=1e-6)

    def test_a_channel_beyond_the_file_is_skipped_and_counted(self, root: Path) -> None:
        table = root / "t.csv"
        table.write_text(table.read_text() + "call.wav,calm,3,d\n")
        made = prepare("csv", root, root / "m.jsonl", allow_partial=True)
        assert made.skipped == {"channel: beyond the channels of its audio": 1}
        manifest = read_manifest(root / "m.jsonl")
        missing = manifest.utterances[0].model_copy(update={"channel": 3})
        with pytest.raises(AudioError, match="channel"):
            load_utterance(manifest, missing)

    def test_manifests_without_channels_and_splits_do_not_change(self, root: Path) -> None:
        prepare("csv", root, root / "m.jsonl")
        lines = (root / "m.jsonl").read_text().splitlines()
        assert '"channel": 1' in lines[1]
        assert "channel" not in lines[3]
        assert "split" not in lines[3]
        manifest = read_manifest(root / "m.jsonl")
        write_manifest(root / "again.jsonl", manifest.header, manifest.utterances)
        assert (root / "again.jsonl").read_bytes() == (root / "m.jsonl").read_bytes()


def test_audio_without_samples_in_its_header_is_decoded(tmp_path: Path) -> None:
    tiny.write_sound(tmp_path / "a.wav", seconds=0.5)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = b"\0\0\0\0"
    (tmp_path / "a.wav").write_bytes(data)
    try:
        seconds = load_waveform(tmp_path / "a.wav").seconds
    except AudioError:
        pytest.skip("this build does not read past such a header")
    read(tmp_path, "file,emotion\na.wav,anger\n")
    made = prepare("csv", tmp_path, tmp_path / "m.jsonl")
    assert made.hours == pytest.approx(seconds / 3600)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_a_reading_or_one_line(tmp_path_factory, text: str) -> None:
    check(tmp_path_factory.getbasetemp(), f"file,emotion,channel,split\n{text}")


def check(root: Path, text: str) -> None:
    try:
        reading = read(root, text)
    except CorpusError:
        return
    assert all("\n" not in note for note in reading.notes)
    for row in reading.utterances:
        assert row.channel is None or row.channel >= 1
        assert row.emotion is None or row.emotion == row.emotion.lower()


def test_random_tables_are_a_reading_or_one_line(tmp_path: Path) -> None:
    for seed in range(200):
        check(tmp_path, random_table(random.Random(seed)))


def random_table(random: random.Random) -> str:
    """A table of plausible and odd cells."""
    columns = ["path", "label", "speaker", "start", "end", "duration", "channel", "split", "subset"]
    columns += ["gender", "language", "style", "id", "", "Unnamed: 0", "text", "age"]
    cells = ["", "", "nan", "Angry", "生气", "1", "2.5", "-1", "left", "train", "eval", "x\x00"]
    cells += ["'", "\\", "C:\\a.wav", "0 days 00:00:01", "f", "en-US", "99999999999", "1e400", '"']
    mark = random.choice(",;\t|")
    header = ["file", "emotion", *random.sample(columns, random.randint(0, 4))]
    lines = [
        [
            random.choice("abcd") + ".wav",
            *random.choices(cells[: random.randint(4, 21)], k=len(header) - 1),
        ]
        for _ in range(random.randint(1, 4))
    ]
    random.shuffle(header) if random.random() < 0.2 else None
    return "\n".join(mark.join(line) for line in [header, *lines])


def test_a_quoted_name_and_a_url_are_not_noted_as_moved(tmp_path: Path) -> None:
    tiny.write_sound(tmp_path / "a b.wav")
    url = (tmp_path / "a b.wav").as_uri()
    reading = read(tmp_path, f"file,emotion,id\na%20b.wav,sad,1\n{url},sad,2\n")
    assert [Path(row.file).name for row in reading.utterances] == ["a b.wav"] * 2
    assert not any("found by the end" in note for note in reading.notes)
