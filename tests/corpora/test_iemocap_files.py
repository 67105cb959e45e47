"""IEMOCAP's file formats, with an example of each kind of line."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonemo.corpora.readers.iemocap_files import (
    EMOTION_CODES,
    clean_text,
    parse_name,
    read_alignment,
    read_evaluations,
    read_transcripts,
)
from phonemo.errors import CorpusError, PhonemeError
from phonemo.labels import EMOTIONS
from tests.tiny_iemocap import make_iemocap


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_iemocap(tmp_path_factory.mktemp("iemocap"))


def phseg(path: Path, *rows: str, footer: str = " Total score:   -12345") -> Path:
    header = "     SFrm     EFrm    SegAScr Phone"
    path.write_text("\n".join((header, *rows, footer)) + "\n", encoding="utf-8")
    return path


# ---- names


@pytest.mark.parametrize(
    ("utterance", "dialog", "speaker", "gender"),
    [
        ("Ses01F_impro01_M003", "Ses01F_impro01", "Ses01M", "m"),
        ("Ses01F_impro01_F003", "Ses01F_impro01", "Ses01F", "f"),
        ("Ses03M_impro05a_F011", "Ses03M_impro05a", "Ses03F", "f"),
        ("Ses03M_impro08b_M011", "Ses03M_impro08b", "Ses03M", "m"),
        ("Ses05M_script01_1b_F007", "Ses05M_script01_1b", "Ses05F", "f"),
        ("Ses05M_script01_1_M007", "Ses05M_script01_1", "Ses05M", "m"),
    ],
)
def test_names_are_split_from_the_right(
    utterance: str, dialog: str, speaker: str, gender: str
) -> None:
    name = parse_name(utterance)
    assert name is not None
    assert (name.dialog, name.speaker, name.gender) == (dialog, speaker, gender)
    assert name.session == utterance[4]


@pytest.mark.parametrize(
    "name",
    [
        "Ses01F_impro01_MXX0",
        "Ses01F_impro01_FXX12",
        "Ses06F_impro01_F000",
        "Ses01F_impro09_F000",
        "Ses01F_script01_4_F000",
        "Ses01F_impro01",
        "._Ses01F_impro01_F000",
        "Ses01F_impro01_F0000",
        "",
    ],
)
def test_other_names_are_not_utterances(name: str) -> None:
    assert parse_name(name) is None


# ---- evaluations


def test_codes_have_canonical_names_and_no_agreement_is_none() -> None:
    assert " ".join(EMOTION_CODES) == "neu ang sad hap exc fru sur fea dis oth xxx"
    assert {name for name in EMOTION_CODES.values() if name is not None} <= set(EMOTIONS)
    assert EMOTION_CODES["xxx"] is None
    assert (EMOTION_CODES["exc"], EMOTION_CODES["oth"]) == ("excited", "other")


def test_an_evaluation_has_its_attributes_and_ratings(release: Path) -> None:
    file = read_evaluations(release / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    first, second = file.evaluations[:2]
    assert (first.utterance, first.start, first.end) == ("Ses01F_impro01_F000", 6.29, 6.79)
    assert (first.valence, first.activation, first.dominance) == (3.0, 2.4, 2.8)
    assert [rating.rater for rating in first.ratings] == ["E3", "E4"]
    empty, complete = first.ratings[0], second.ratings[0]
    assert (empty.valence, empty.activation, empty.dominance) == (3.0, 2.0, None)
    assert (complete.valence, complete.activation, complete.dominance) == (3.0, 2.0, 2.0)
    remarked = first.ratings[1]
    assert remarked.dominance == 1.0
    assert file.strays == 0


@pytest.mark.parametrize("dominance", ["dom  ;", "dom;", "dom   ;\t", ""])
def test_an_empty_dominance_in_any_spacing_is_none(tmp_path: Path, dominance: str) -> None:
    path = tmp_path / "one.txt"
    block = "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]"
    path.write_text(f"{block}\nA-E3:\tval 3; act 2; {dominance}\t()\n", encoding="utf-8")
    (evaluation,) = read_evaluations(path).evaluations
    assert evaluation.ratings[0].dominance is None
    assert evaluation.ratings[0].activation == 2.0


def test_empty_means_and_times_are_none(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("[ - 8.2]\tSes01F_impro01_F000\txxx\t[2.5, , 3]\n", encoding="utf-8")
    (evaluation,) = read_evaluations(path).evaluations
    assert (evaluation.start, evaluation.end, evaluation.emotion) == (None, 8.2, None)
    assert (evaluation.valence, evaluation.activation, evaluation.dominance) == (2.5, None, 3.0)


def test_stray_lines_of_an_evaluation_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text(
        "% header\nA-E3:\tval 3; act 2; dom  2;\t()\nnonsense\n\n"
        "[1.0 - 2.0]\tSes01F_impro01_F000\tneu\n",
        encoding="utf-8",
    )
    assert (read_evaluations(path).evaluations, read_evaluations(path).strays) == ((), 3)


def test_an_unknown_code_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    block = "\n[1.0 - 2.0]\tSes01F_impro01_F000\tjoy\t[2.5000, 2.5000, 2.5000]\n"
    path.write_text(block, encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"one\.txt:2: expected an emotion code of neu ang .*, got 'joy'"
    ):
        read_evaluations(path)


# ---- transcripts


def test_a_transcript_gives_turns_with_and_without_audio(release: Path) -> None:
    file = read_transcripts(release / "Session1/dialog/transcriptions/Ses01F_impro01.txt")
    assert [name.split("_")[-1] for name, _ in file.turns] == [
        *("F000", "M000", "MXX0", "F001", "M001", "F002", "M002", "FXX1")
    ]
    assert dict(file.turns)["Ses01F_impro01_MXX0"] == "Mmhmm."
    assert file.strays == 1


def test_transcript_lines_with_colons_odd_bytes_and_no_times(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_bytes(
        b"Ses01F_impro01_F000 [006.2901-008.2357]: He said: [LAUGHTER] go.\r\n"
        b"Ses01F_impro01_F001: No\x85 times.\r\n"
        b"Ses01F_impro01_F002 [010.0000-011.0000]:\r\n"
        b"F: (pause)\r\n"
    )
    file = read_transcripts(path)
    assert file.turns == (
        ("Ses01F_impro01_F000", "He said: [LAUGHTER] go."),
        ("Ses01F_impro01_F001", "No\x85 times."),
        ("Ses01F_impro01_F002", ""),
    )
    assert file.strays == 1


@pytest.mark.parametrize(
    ("text", "clean", "tags"),
    [
        ("Excuse me.", "Excuse me.", 0),
        ("[LAUGHTER] I  know [BREATHING].", "I know .", 2),
        ("[LAUGHTER]", "", 1),
        ("[LAUGHTER I know.", "I know.", 1),
        ("[LAUGHTER AND BREATHING] I know.", "I know.", 1),
        ("", "", 0),
    ],
)
def test_clean_text_by_hand(text: str, clean: str, tags: int) -> None:
    result = clean_text(text)
    assert (result.text, result.tags) == (clean, tags)


# ---- alignments


def test_the_end_frame_belongs_to_the_phone_and_fillers_are_dropped(tmp_path: Path) -> None:
    path = phseg(
        tmp_path / "one.phseg",
        "        0        9     -31415 SIL",
        "       10       14     -31415 AX SIL K b",
        "       15       15     -31415 KD AX +LAUGHTER+ e",
        "       16       29     -31415 +LAUGHTER+",
        "       30       35     -31415 TS",
        "       36       40     -31415 SIL",
    )
    phonemes = read_alignment(path)
    assert phonemes is not None
    assert (phonemes.alphabet, phonemes.source) == ("arpabet", "phseg")
    assert phonemes.symbols == ("AH", "K", "T", "S")
    assert phonemes.times == ((0.1, 0.15), (0.15, 0.16), (0.3, 0.33), (0.33, 0.36))


@pytest.mark.parametrize(
    "row",
    ["  3   x  -1 AH", "  3  5", "  9  5  -1 AH", " -3  5  -1 AH"],
    ids=["letters", "columns", "backwards", "negative"],
)
def test_a_malformed_row_makes_the_alignment_useless(tmp_path: Path, row: str) -> None:
    good = "        0        2     -31415 AX SIL K b"
    assert read_alignment(phseg(tmp_path / "good.phseg", good)) is not None
    assert read_alignment(phseg(tmp_path / "bad.phseg", good, row)) is None


def test_an_alignment_without_its_footer_or_empty_is_useless(tmp_path: Path) -> None:
    good = "        0        2     -31415 AX SIL K b"
    assert read_alignment(phseg(tmp_path / "cut.phseg", good, footer="")) is None
    (tmp_path / "empty.phseg").touch()
    assert read_alignment(tmp_path / "empty.phseg") is None


def test_an_unknown_phone_is_an_error_with_its_file(tmp_path: Path) -> None:
    path = phseg(tmp_path / "odd.phseg", "        0        2     -31415 QQ SIL K b")
    with pytest.raises(PhonemeError, match=r"odd\.phseg: .*QQ"):
        read_alignment(path)
