"""Corpora in third-party formats: audformat, Lhotse, TextGrids; also hostile files."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest

from phonemo.corpora import CORPORA
from phonemo.corpora.manifest import read_manifest
from phonemo.corpora.prepare import prepare
from phonemo.errors import CorpusError
from tests import tiny


def rows(name: str, root: Path):
    return CORPORA[name].read(root).utterances


class TestAudformat:
    @pytest.fixture
    def root(self, tmp_path) -> Path:
        return tiny.make_audformat(tmp_path)

    def test_segments_speakers_and_the_language(self, root):
        first, second, third = rows("audformat", root)
        assert (first.file, first.start, first.end) == ("audio/a.wav", None, 0.25)
        assert (second.start, second.end) == (0.25, None)
        assert (first.speaker, first.gender, first.language) == ("s1", "f", "de")
        assert (third.emotion, third.gender) == ("anger", "m")

    def test_it_becomes_a_manifest(self, root, tmp_path):
        prepared = prepare("audformat", root, tmp_path / "m.jsonl", g2p=False)
        assert prepared.emotions == {"anger": 2, "happiness": 1}

    def test_the_hostile_cache_is_never_opened(self, root):
        """The cache is replaced by a pipe, which would block a reader; the table may be newer."""
        os.remove(root / "db.moods.pkl")
        os.mkfifo(root / "db.moods.pkl")
        assert len(rows("audformat", root)) == 3

    def test_several_tables_with_emotions_are_an_error(self, root):
        header = (root / "db.yaml").read_text()
        table = "  other:\n    type: filewise\n    columns:\n      emotion: {scheme_id: emotion}\n"
        (root / "db.yaml").write_text(header + table)
        with pytest.raises(
            CorpusError,
            match=r"expected one table with emotions, got 2 \(moods, other\).*db\.moods",
        ):
            rows("audformat", root)
        assert len(rows("audformat", root / "db.moods.csv")) == 3

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected a database header"),
            ("[1]", "expected a database header"),
            ("a: [", "expected readable YAML"),
            ("tables: 3", "expected a mapping"),
            ("tables: {x: 3}", "no table has a column"),
            ("!!python/object/apply:os.system ['false']", "expected readable YAML"),
        ],
    )
    def test_an_invalid_header_is_one_line(self, root, text, message):
        (root / "db.yaml").write_text(text)
        with pytest.raises(CorpusError, match=message) as caught:
            rows("audformat", root)
        assert "\n" not in str(caught.value)

    def test_an_invalid_time_is_an_error_with_its_line(self, root):
        table = (
            (root / "db.moods.csv").read_text().replace("0 days 00:00:00.250000,anger", "x,anger")
        )
        (root / "db.moods.csv").write_text(table)
        with pytest.raises(
            CorpusError, match=r"db\.moods\.csv:2: expected a time such as .*, got 'x'"
        ):
            rows("audformat", root)

    @pytest.mark.parametrize("storage", ["csv", "parquet"])
    def test_databases_written_by_audformat_are_read(self, tmp_path, storage):
        audformat = pytest.importorskip("audformat")
        tiny.write_sound(tmp_path / "a.wav", seconds=2.0)
        database = audformat.Database("mine", languages=["eng"])
        database.schemes["emotion"] = audformat.Scheme(labels=["angry", "neutral"])
        database.schemes["speaker"] = audformat.Scheme(labels={"s": {"gender": "female"}})
        index = audformat.segmented_index(["a.wav", "a.wav"], ["0s", "0.75s"], ["0.75s", "NaT"])
        table = database["emotion"] = audformat.Table(index)
        for name, values in {"emotion": ["angry", "neutral"], "speaker": ["s", "s"]}.items():
            table[name] = audformat.Column(scheme_id=name)
            table[name].set(values)
        database.save(str(tmp_path), storage_format=storage)
        first, second = rows("audformat", tmp_path)
        assert (first.emotion, first.start, first.end) == ("anger", None, 0.75)
        assert (second.emotion, second.start, second.end) == ("neutral", 0.75, None)
        assert (first.speaker, first.gender, first.language) == ("s", "f", "en")


class TestLhotse:
    @pytest.fixture
    def root(self, tmp_path) -> Path:
        return tiny.make_lhotse(tmp_path)

    def test_each_supervision_is_an_utterance(self, root):
        first, second, third = rows("lhotse", root)
        assert (first.file, first.start, first.end) == ("talk.wav", 0.0, 0.25)
        assert (second.start, second.end, second.emotion) == (0.25, 0.45, "calm")
        assert (first.speaker, first.gender, first.transcript) == ("ann", "f", "Yes.")
        assert third.emotion is None

    @pytest.mark.parametrize(
        ("channels", "channel", "expected"),
        [([0, 1], 0, 1), ([0, 1], 1, 2), ([0], 0, None), ([0, 1], [1], 2), ([0, 1], [0, 1], None)],
    )
    def test_channels_are_numbered_from_1(self, root, channels, channel, expected):
        cut = json.loads((root / "cuts.jsonl").read_text().splitlines()[0])
        cut["recording"]["sources"][0]["channels"] = channels
        cut["channel"] = channel
        (root / "cuts.jsonl").write_text(json.dumps(cut))
        assert {row.channel for row in rows("lhotse", root)} == {expected}

    def test_renamed_emotions_are_noted(self, root):
        path = root / "cuts.jsonl"
        path.write_text(path.read_text().replace('"anger"', '"Angry"'))
        reading = CORPORA["lhotse"].read(root)
        assert reading.utterances[0].emotion == "anger"
        assert reading.notes == ("mapped: Angry -> anger (1)",)

    def test_packed_files_are_read(self, root):
        data = (root / "cuts.jsonl").read_bytes()
        (root / "cuts.jsonl").unlink()
        (root / "cuts.jsonl.gz").write_bytes(gzip.compress(data))
        assert len(rows("lhotse", root)) == 3
        (root / "cuts.jsonl.gz").write_bytes(gzip.compress(data)[:-20])
        with pytest.raises(CorpusError, match="export the cuts again"):
            rows("lhotse", root)

    @pytest.mark.parametrize("kind", ["command", "url", "memory", ["file"]])
    def test_audio_that_is_not_a_file_is_rejected(self, root, kind):
        cut = json.loads((root / "cuts.jsonl").read_text().splitlines()[0])
        cut["recording"]["sources"][0] |= {"type": kind, "source": "touch owned |"}
        (root / "cuts.jsonl").write_text(json.dumps(cut))
        with pytest.raises(CorpusError, match="expected one source of type file"):
            rows("lhotse", root)
        assert not Path("owned").exists()

    def test_mixed_cuts_are_counted(self, root):
        mixed = json.dumps({"id": "x", "type": "MixedCut", "tracks": []})
        path = root / "cuts.jsonl"
        path.write_text(path.read_text() + mixed + "\n")
        assert CORPORA["lhotse"].read(root).skipped == {"MixedCut: only MonoCut is read": 1}

    @pytest.mark.parametrize(
        "line", ["{", "[]", '{"id": 1, "supervisions": [{}]}', '{"supervisions": 3}', "NaN"]
    )
    def test_a_line_that_is_not_a_cut_is_an_error(self, root, line):
        (root / "cuts.jsonl").write_text(line + "\n")
        with pytest.raises(CorpusError, match=r"cuts\.jsonl:1") as caught:
            rows("lhotse", root)
        assert "\n" not in str(caught.value)

    @pytest.mark.filterwarnings("ignore")
    def test_cuts_written_by_lhotse_are_read(self, tmp_path):
        lhotse = pytest.importorskip("lhotse")
        tiny.write_sound(tmp_path / "a.wav", seconds=2.0)
        recording = lhotse.Recording.from_file(tmp_path / "a.wav")
        supervision = lhotse.SupervisionSegment(
            "s1", "a", 0.5, 1.0, speaker="ann", language="en", custom={"emotion": "Happy"}
        )
        cut = lhotse.MonoCut("c", 0.25, 1.75, 0, supervisions=[supervision], recording=recording)
        lhotse.CutSet.from_cuts([cut]).to_file(tmp_path / "cuts.jsonl.gz")
        (utterance,) = rows("lhotse", tmp_path)
        assert (utterance.file, utterance.start, utterance.end) == ("a.wav", 0.75, 1.75)
        assert (utterance.emotion, utterance.speaker, utterance.language) == (
            "happiness",
            "ann",
            "en",
        )


class TestTextGrid:
    @pytest.fixture
    def root(self, tmp_path) -> Path:
        return tiny.make_textgrid(tmp_path)

    def test_intervals_are_utterances_with_their_phonemes(self, root):
        first, second, third = rows("textgrid", root)
        assert (first.file, first.emotion, first.speaker) == ("a.wav", "anger", "ann")
        assert first.phonemes.symbols == ("d", "a")
        assert first.phonemes.times == ((0.05, 0.1), (0.1, 0.2))
        assert (second.emotion, second.speaker, second.phonemes) == ("calm", "bob", None)
        assert (third.id, third.file, third.emotion) == ("more/b.wav", "more/b.wav", "neutral")

    def test_a_recording_without_a_textgrid_is_counted(self, root):
        (root / "a.TextGrid").unlink()
        assert CORPORA["textgrid"].read(root).skipped == {"no TextGrid beside it": 1}

    def test_utf_16_is_read(self, root):
        path = root / "a.TextGrid"
        path.write_bytes(path.read_text().encode("utf-16"))
        assert len(rows("textgrid", root)) == 3

    def test_unknown_phonemes_are_left_out_and_counted(self, root):
        path = root / "a.TextGrid"
        path.write_text(path.read_text().replace('"d"', '"Q?"'))
        reading = CORPORA["textgrid"].read(root)
        assert reading.utterances[0].phonemes is None
        assert sum(reading.skipped.values()) == 1

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected a text in quotes"),
            ("\xff\xfe\0", "expected a text"),
            (
                '"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" "words" 0 1 1 0 1 "x"',
                "expected a tier",
            ),
            (
                '"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" "emotion" 0 1 1 1 0 "x"',
                "line 1",
            ),
            ('"ooTextFile" "TextGrid" 0 1 <exists> 9999999999', "end of the file"),
        ],
    )
    def test_a_malformed_textgrid_is_one_line(self, root, text, message):
        (root / "a.TextGrid").write_text(text, encoding="utf-8")
        with pytest.raises(CorpusError, match=message) as caught:
            rows("textgrid", root)
        assert "\n" not in str(caught.value)

    def test_predictions_written_by_phonemo_are_read_back(self, tmp_path):
        """A prediction saved for Praat and read as a corpus has the same phonemes and times."""
        import phonemo
        from phonemo.annotations.writers import textgrid
        from tests.voices import spoken

        path = spoken(tmp_path / "voice.wav")
        prediction = phonemo.predict(path)
        (tmp_path / "voice.TextGrid").write_text(
            textgrid("voice.wav", prediction), encoding="utf-8"
        )
        prepare("textgrid", tmp_path, tmp_path / "m.jsonl", g2p=False)
        (utterance,) = read_manifest(tmp_path / "m.jsonl").utterances
        assert utterance.emotion == prediction.label
        assert utterance.phonemes.symbols == prediction.phonemes
        for (start, end), span in zip(utterance.phonemes.times, prediction.spans, strict=True):
            assert start == pytest.approx(span.start, abs=1e-5)
            assert end == pytest.approx(span.end, abs=1e-5)


@pytest.mark.parametrize("name", ["audformat", "lhotse", "textgrid"])
def test_the_command_prepares_them(name, tmp_path, monkeypatch, capsys):
    from phonemo.cli.main import main

    root = tiny.FAKES[name](tmp_path / name)
    words = [
        "phonemo",
        "prepare",
        name,
        str(root),
        "-o",
        str(tmp_path / "m.jsonl"),
        "--no-g2p",
        "-q",
    ]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert "3 utterances" in capsys.readouterr().out
    shutil.rmtree(root)
