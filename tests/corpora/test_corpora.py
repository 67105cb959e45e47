"""The contract of all corpora in CORPORA, then each reader on its fake."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from phonemo.corpora import CORPORA
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.corpora.readers.base import CorpusReading
from phonemo.errors import CorpusError
from phonemo.labels import EMOTIONS
from tests import tiny

NAMES = sorted(CORPORA)
#: Corpora whose files are listed in a table, or whose reader ignores hidden files.
LISTED = ("audformat", "csv", "lhotse", "textgrid")


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tiny.FAKES[name](tmp_path_factory.mktemp(name)) for name in NAMES}


@pytest.fixture(scope="module")
def readings(roots: dict[str, Path]) -> dict[str, CorpusReading]:
    return {name: CORPORA[name].read(root) for name, root in roots.items()}


def by_id(reading: CorpusReading) -> dict[str, Utterance]:
    return {utterance.id: utterance for utterance in reading.utterances}


class TestContract:
    """Properties of every corpus."""

    def test_every_corpus_has_a_fake(self) -> None:
        assert sorted(tiny.FAKES) == NAMES

    @pytest.mark.parametrize("name", NAMES)
    def test_card(self, name: str) -> None:
        card = CORPORA[name].card
        assert card.name == name
        assert card.title
        assert card.licence
        assert card.note
        assert set(card.emotions or ()) <= set(EMOTIONS)
        if card.emotions is not None and card.utterances is not None:
            assert sum(card.emotions.values()) <= card.utterances

    @pytest.mark.parametrize("name", NAMES)
    def test_ids_are_unique(self, name: str, readings: dict[str, CorpusReading]) -> None:
        ids = [utterance.id for utterance in readings[name].utterances]
        assert ids
        assert len(set(ids)) == len(ids)

    @pytest.mark.parametrize("name", NAMES)
    def test_files_exist_below_the_root(
        self, name: str, roots: dict[str, Path], readings: dict[str, CorpusReading]
    ) -> None:
        for utterance in readings[name].utterances:
            assert (roots[name] / utterance.file).is_file()
            assert "\\" not in utterance.file
            assert not Path(utterance.file).is_absolute()
            assert not Path(utterance.file).name.startswith("._")

    @pytest.mark.parametrize("name", NAMES)
    def test_fields_are_canonical(self, name: str, readings: dict[str, CorpusReading]) -> None:
        card = CORPORA[name].card
        for utterance in readings[name].utterances:
            assert utterance.emotion is None or utterance.emotion in (*EMOTIONS, "contempt")
            assert utterance.gender in ("f", "m", None)
            # A transcript may be "": a turn of laughter has no words.
            assert "" not in (
                utterance.speaker,
                utterance.session,
                utterance.dialog,
                utterance.language,
            )
            if card.language is not None:
                assert utterance.language == card.language
                assert utterance.speaker is not None

    @pytest.mark.parametrize("name", NAMES)
    def test_phonemes_are_in_their_alphabet(
        self, name: str, readings: dict[str, CorpusReading]
    ) -> None:
        for utterance in readings[name].utterances:
            if utterance.phonemes is None:
                continue
            inventory = make_inventory("phonemes", utterance.phonemes.alphabet, ())
            assert set(utterance.phonemes.symbols) <= set(inventory.symbols[1:])
            assert utterance.phonemes.symbols
            for start, end in utterance.phonemes.times or ():
                assert 0 <= start < end
            if utterance.phonemes.times is not None:
                assert len(utterance.phonemes.times) == len(utterance.phonemes.symbols)

    @pytest.mark.parametrize("name", NAMES)
    def test_the_order_is_the_same_each_time(
        self, name: str, roots: dict[str, Path], readings: dict[str, CorpusReading]
    ) -> None:
        assert CORPORA[name].read(roots[name]) == readings[name]

    @pytest.mark.parametrize("name", [name for name in NAMES if name not in LISTED])
    def test_shadows_are_counted(self, name: str, readings: dict[str, CorpusReading]) -> None:
        assert readings[name].skipped["macOS ._ file"] >= 1

    @pytest.mark.parametrize("name", NAMES)
    def test_an_empty_folder_is_one_line(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CorpusError) as error:
            CORPORA[name].read(tmp_path)
        assert "\n" not in str(error.value)
        assert str(tmp_path) in str(error.value)

    @pytest.mark.parametrize("name", NAMES)
    def test_no_folder_is_one_line(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="no such f"):
            CORPORA[name].read(tmp_path / "nowhere")


class TestEmodb:
    """Names, sentences and manual labels."""

    def test_fields(self, readings: dict[str, CorpusReading]) -> None:
        utterances = by_id(readings["emodb"])
        assert list(utterances) == ["03a01Fa", "03a02Nc", "08b10Wb", "16a05La"]
        assert [utterance.emotion for utterance in utterances.values()] == [
            "happiness",
            "neutral",
            "anger",
            "boredom",
        ]
        assert [utterance.gender for utterance in utterances.values()] == ["m", "m", "f", "f"]
        assert utterances["08b10Wb"].transcript == (
            "Die wird auf dem Platz sein, wo wir sie immer hinlegen."
        )
        assert utterances["16a05La"].file == "wav/16a05La.WAV"

    def test_labels(self, readings: dict[str, CorpusReading]) -> None:
        phonemes = by_id(readings["emodb"])["03a01Fa"].phonemes
        assert phonemes is not None
        assert phonemes.source == "lablaut"
        assert phonemes.symbols == ("d", "a", "s", "ɪ", "s", "t")
        assert phonemes.times == (
            (0.01, 0.02),
            (0.02, 0.03),
            (0.03, 0.045),
            (0.05, 0.06),
            (0.06, 0.07),
            (0.07, 0.085),
        )

    def test_skipped(self, readings: dict[str, CorpusReading]) -> None:
        assert readings["emodb"].skipped == {
            "macOS ._ file": 2,
            "not a recording": 1,
            "file name not like 03a01Fa": 1,
            "lablaut: labels without audio": 1,
            "lablaut: no phone is labelled": 1,
        }

    def test_the_wav_folder_itself_is_refused(self, roots: dict[str, Path]) -> None:
        with pytest.raises(CorpusError, match="pass the folder that contains wav/"):
            CORPORA["emodb"].read(roots["emodb"] / "wav")

    def test_broken_labels_leave_the_utterance(self, tmp_path: Path) -> None:
        root = tiny.make_emodb(tmp_path)
        rows = {"03a01Fa": "    x -1 a\n", "03a02Nc": "    0.1 -1 Q\n", "08b10Wb": None}
        for name, text in rows.items():
            header = tiny.LABLAUT_HEADER if text else ""
            tiny.write_text(root / "lablaut" / f"{name}xx.lablaut", header + (text or ""))
        reading = CORPORA["emodb"].read(root)
        assert len(reading.utterances) == 4
        assert all(utterance.phonemes is None for utterance in reading.utterances)
        assert reading.skipped["lablaut: broken label file"] == 2
        assert reading.skipped["lablaut: unknown label"] == 1

    def test_without_labels(self, tmp_path: Path) -> None:
        root = tiny.make_emodb(tmp_path)
        shutil.rmtree(root / "lablaut")
        assert len(CORPORA["emodb"].read(root).utterances) == 4

    def test_two_formats_of_one_recording_are_one(self, tmp_path: Path) -> None:
        root = tiny.make_emodb(tmp_path)
        tiny.write_sound(root / "wav" / "03a02Nc.wav")
        reading = CORPORA["emodb"].read(root)
        assert by_id(reading)["03a02Nc"].file == "wav/03a02Nc.wav"
        assert reading.skipped["same name with another extension"] == 1


def test_ravdess(readings: dict[str, CorpusReading]) -> None:
    utterances = readings["ravdess"].utterances
    assert [
        (utterance.speaker, utterance.gender, utterance.emotion) for utterance in utterances
    ] == [
        ("01", "m", "neutral"),
        ("01", "m", "anger"),
        ("02", "f", "surprise"),
    ]
    assert utterances[1].transcript == "Dogs are sitting by the door."
    assert readings["ravdess"].skipped == {
        "macOS ._ file": 1,
        "song, not speech (channel 02)": 1,
        "not audio alone (modality 01 or 02)": 1,
        "actor in the file name is not the folder's": 1,
        "file name not like 03-01-05-02-01-01-01": 1,
    }


class TestNemo:
    """A table with surrounding blanks and unpaired quotation marks."""

    def test_fields(self, readings: dict[str, CorpusReading]) -> None:
        utterances = by_id(readings["nemo"])
        assert list(utterances) == ["WR0_surprised_64", "EB0_neutral_13", "SK1_fear_2"]
        assert utterances["WR0_surprised_64"].emotion == "surprise"
        assert [utterance.speaker for utterance in utterances.values()] == ["WR0", "EB0", "SK1"]
        assert [utterance.gender for utterance in utterances.values()] == ["m", "f", "m"]
        assert utterances["EB0_neutral_13"].transcript == '"Dom", rzekła.'
        assert utterances["EB0_neutral_13"].file == "samples/EB0_neutral_13.ogg"

    def test_skipped(self, readings: dict[str, CorpusReading]) -> None:
        assert readings["nemo"].skipped == {
            "macOS ._ file": 1,
            "row of data.tsv without audio": 1,
            "audio without a row of data.tsv": 1,
        }

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("\tfear\t", "\tjoy\t", "data.tsv:4: unknown emotion 'joy'"),
            ("\tfemale\t", "\tF\t", "data.tsv:3: expected gender female or male, got 'F'"),
            ("\tfemale\t", "\t", "data.tsv:3: expected 7 cells, got 6"),
            ("speaker_id", "speaker", "expected a column 'speaker_id'"),
        ],
    )
    def test_a_malformed_table_is_an_error_with_its_line(
        self, tmp_path: Path, old: str, new: str, message: str
    ) -> None:
        table = tiny.make_nemo(tmp_path) / "data.tsv"
        table.write_text(table.read_text("utf-8").replace(old, new), "utf-8")
        with pytest.raises(CorpusError) as error:
            CORPORA["nemo"].read(tmp_path)
        assert message in str(error.value)


class TestSpeechocean762:
    """Both layouts."""

    def test_release(self, readings: dict[str, CorpusReading]) -> None:
        first, second, third = readings["speechocean762"].utterances
        assert (first.id, first.speaker, first.gender) == ("000010011", "0001", "m")
        assert (third.id, third.speaker, third.gender) == ("000030012", "0003", "f")
        assert first.transcript == "WE CALL IT"
        assert (first.split, second.split, third.split) == ("train", "train", "test")
        assert first.emotion is None
        assert first.phonemes is not None
        assert first.phonemes.symbols == ("W", "IY", "K", "AO", "L", "IH", "T")
        assert first.phonemes.source == "speechocean762 canonical"
        assert second.phonemes is not None
        assert second.phonemes.symbols == ("Z", "IH", "R", "OW")
        assert third.phonemes is not None
        assert third.phonemes.symbols == ("M", "AA", "R", "K", "AH")
        assert readings["speechocean762"].skipped == {
            "macOS ._ file": 1,
            "audio without a row of a table": 1,
        }

    def test_reduced_form(self, tmp_path: Path) -> None:
        root = tiny.make_reduced_speechocean762(tmp_path)
        (root / "WAVE" / "SPEAKER0003" / "000030012.ogg").unlink()
        reading = CORPORA["speechocean762"].read(root)
        (utterance,) = reading.utterances
        assert utterance.phonemes is not None
        assert utterance.phonemes.symbols == ("W", "IY", "K", "AO", "L", "IH", "T")
        assert (utterance.speaker, utterance.gender, utterance.transcript) == (
            "0001",
            "m",
            "WE CALL IT",
        )
        assert reading.skipped == {"row of a table without audio": 1}

    def test_the_published_part_of_the_reduced_form(self, tmp_path: Path) -> None:
        root = tiny.make_reduced_speechocean762(tmp_path)
        utterances = by_id(CORPORA["speechocean762"].read(root))
        assert (utterances["000010011"].split, utterances["000030012"].split) == ("train", None)
        table = (root / "phones.csv").read_text()
        (root / "phones.csv").write_text(table.replace("train", "tain"))
        with pytest.raises(CorpusError, match="expected split train or test, got 'tain'"):
            CORPORA["speechocean762"].read(root)

    def test_an_utterance_without_phones_has_none(self, tmp_path: Path) -> None:
        root = tiny.make_reduced_speechocean762(tmp_path)
        utterances = by_id(CORPORA["speechocean762"].read(root))
        assert utterances["000030012"].phonemes is None

    @pytest.mark.parametrize(
        ("table", "old", "new", "message"),
        [
            ("train/utt2spk", "000010011", "000010012", "expected a row for 000010011"),
            ("test/spk2gender", "f", "x", "expected gender f or m of speaker 0003, got 'x'"),
            (
                "resource/text-phone",
                "AO0",
                "AU0",
                "expected one of the 39 ARPAbet phones of the CMU set, got 'AU0'",
            ),
        ],
    )
    def test_a_malformed_table_is_an_error(
        self, tmp_path: Path, table: str, old: str, new: str, message: str
    ) -> None:
        path = tiny.make_speechocean762(tmp_path) / table
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
        with pytest.raises(CorpusError) as error:
            CORPORA["speechocean762"].read(tmp_path)
        assert message in str(error.value)


class TestCremad:
    """Intended emotions and the table of actors."""

    def test_fields(self, readings: dict[str, CorpusReading]) -> None:
        utterances = by_id(readings["cremad"])
        assert [
            (utterance.speaker, utterance.gender, utterance.emotion)
            for utterance in utterances.values()
        ] == [
            ("1001", "m", "anger"),
            ("1001", "m", "happiness"),
            ("1002", "f", "neutral"),
        ]
        assert utterances["1001_IEO_HAP_HI"].transcript == "It's eleven o'clock."
        assert readings["cremad"].skipped == {
            "macOS ._ file": 1,
            "file name not like 1001_DFA_ANG_XX": 1,
        }

    def test_an_actor_outside_the_table_is_an_error(self, tmp_path: Path) -> None:
        root = tiny.make_cremad(tmp_path)
        tiny.write_sound(root / "AudioWAV" / "1091_WSI_NEU_XX.wav")
        with pytest.raises(CorpusError, match="actor 1091 is not in VideoDemographics"):
            CORPORA["cremad"].read(root)


class TestCsv:
    """A custom table, and its errors."""

    def test_fields(self, readings: dict[str, CorpusReading]) -> None:
        first, second, third = readings["csv"].utterances
        assert (first.id, first.start, first.end) == ("talk#0-0.25", 0.0, 0.25)
        assert (second.id, second.start, second.end) == ("talk#0.25-", 0.25, None)
        assert (first.gender, second.gender, third.gender) == ("f", "m", None)
        assert first.transcript == "Well, no."
        assert third == Utterance(id="more/b", file="more/b.flac", emotion="surprise")

    @pytest.mark.parametrize(("suffix", "mark"), [("tsv", "\t"), ("csv", ";"), ("csv", ",")])
    def test_delimiters_and_byte_order_mark(self, tmp_path: Path, suffix: str, mark: str) -> None:
        table = tmp_path / f"t.{suffix}"
        table.write_text(f"FILE{mark} Emotion \r\na.wav{mark} my joy \r\n\r\n", "utf-8-sig")
        (utterance,) = CORPORA["csv"].read(table).utterances
        assert utterance == Utterance(id="a", file="a.wav", emotion="my joy")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "file,emotoin\na.wav,anger\n",
                "'transcript', whose cells may be empty, got file, emotoin",
            ),
            ("file,emotoin\na.wav,anger\n", "emotoin (or 'emotion'?)"),
            ("emotion\nanger\n", ":1: expected a column 'file' (or 'path'"),
            (
                "file,speaker\na.wav,x\n",
                ":1: expected a column 'emotion', 'arousal' (or another dimension) or 'transcript'",
            ),
            ("file,emotion,file\na,b,c\n", ":1: columns 'file' and 'file' both mean 'file'"),
            ("file,emotion\na.wav\n", ":2: expected 2 cells as in the first line, got 1"),
            ("file,emotion\na.wav,x\n,anger\n", ":3: column 'file' is empty"),
            ("file,emotion\na.wav,x\na.wav,y\n", ":3: id 'a' is already in line 2"),
            ("file,emotion,start\na.wav,x,soon\n", ":2: start: expected seconds >= 0, got 'soon'"),
            (
                "file,emotion,start\na.wav,x,-1\n",
                ":2: start: expected seconds >= 0, got '-1'",
            ),
            ("file,emotion,end\na.wav,x,inf\n", ":2: end: expected seconds >= 0, got 'inf'"),
            ("file,emotion,channel\na.wav,x,0\n", ":2: expected a channel from 1 (left) on"),
            ('{"manifest": 1}\n{"file": "a"}\n', "expected a table, got a manifest"),
            ("file,emotion,start,end\na.wav,x,2,1\n", ":2: expected end > start, got 2 to 1 s"),
            (
                "file,emotion,gender\na.wav,x,q\n",
                ":2: expected gender f, m or an empty cell, got 'q'",
            ),
            (
                "file,emotion,language\na.wav,x,German\n",
                ":2: expected an ISO 639-1 language such as en, got 'german'",
            ),
            ("file,emotion,style\na.wav,x,\nb.wav,x,read\n", "or an empty cell, got 'read'"),
            (
                'file,emotion\n"a.wav,x\n',
                ":2: not a table (unexpected end of data); check the quotes",
            ),
            ("file,emotion\n", "expected rows below the header, got none"),
            ("", ": expected a table, got an empty file"),
        ],
    )
    def test_a_wrong_table_is_an_error_with_its_line(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        table = tmp_path / "t.csv"
        table.write_text(text, "utf-8")
        with pytest.raises(CorpusError) as error:
            CORPORA["csv"].read(tmp_path)
        assert str(error.value).startswith(str(table))
        assert message in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_style_is_one_of_four_in_any_case_or_unknown(self, tmp_path: Path) -> None:
        rows = "a.wav,scripted\nb.wav, Improvised \nc.wav,\nd.wav,plain-to-emotional\n"
        tiny.write_text(tmp_path / "t.csv", "file,style,emotion\n" + rows.replace("\n", ",x\n"))
        utterances = CORPORA["csv"].read(tmp_path).utterances
        assert [utterance.style for utterance in utterances] == [
            "scripted",
            "improvised",
            None,
            "plain-to-emotional",
        ]

    def test_a_table_may_have_unlabeled_recordings(self, tmp_path: Path) -> None:
        header = "file,speaker,gender,emotion,transcript,language,duration_s,sample_rate\n"
        rows = "a.wav,,,,,en,6.800,16000\nb.wav,,,,,en,8.400,16000\n"
        tiny.write_text(tmp_path / "metadata.csv", header + rows)
        assert CORPORA["csv"].read(tmp_path).utterances == (
            Utterance(id="a", file="a.wav", language="en"),
            Utterance(id="b", file="b.wav", language="en"),
        )

    def test_two_tables_in_a_folder_are_rejected_by_name(self, tmp_path: Path) -> None:
        tiny.make_csv(tmp_path)
        tiny.write_text(tmp_path / "other.tsv", "file\temotion\n")
        with pytest.raises(
            CorpusError, match=r"expected one table, got 2 \(other.tsv, table.csv\)"
        ):
            CORPORA["csv"].read(tmp_path)
        assert len(CORPORA["csv"].read(tmp_path / "table.csv").utterances) == 3

    def test_emotion_names_are_free(self, tmp_path: Path) -> None:
        tiny.write_text(tmp_path / "t.csv", "file,emotion\na.wav,Vorfreude\nb.wav,\n")
        utterances = CORPORA["csv"].read(tmp_path).utterances
        assert Counter(utterance.emotion for utterance in utterances) == {"vorfreude": 1, None: 1}
