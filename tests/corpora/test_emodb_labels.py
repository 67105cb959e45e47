"""EmoDB's label files: which rows form a phone, and its start and end."""

from __future__ import annotations

import pytest

from phonemo.corpora.readers.emodb_labels import (
    LabelledSegment,
    join_phones,
    lablaut_phonemes,
    parse_lablaut,
)
from phonemo.errors import CorpusError, PhonemeError
from tests.tiny import LABLAUT_HEADER


def file(*labels: str) -> str:
    """A label file with a row every 10 ms from 0 on, and the final pause of real files."""
    rows = [f"    {n / 100:.6f}   -1 {label}" for n, label in enumerate((*labels, "."))]
    return LABLAUT_HEADER + "\n".join(rows) + "\n"


def heard(*labels: str) -> list[tuple[str, float, float]]:
    """Symbols with their times."""
    phonemes = lablaut_phonemes(file(*labels))
    if phonemes is None:
        return []
    assert phonemes.times is not None
    return [(symbol, *time) for symbol, time in zip(phonemes.symbols, phonemes.times, strict=True)]


def test_rows_become_segments() -> None:
    text = LABLAUT_HEADER + (
        "    0.080109   -1 _t\n"
        "    0.119160  125 !t\t+asp\n"
        "    0.2   -1 \t+hoe\n"
        "\n"
        "    0.3   -1 125 l\n"
        "    0.4   -1 163  125 E\t\t2\n"
        "    0.5   -1 I+nas\n"
        "    0.6   -1 6\r\n"
        "    0.7   -1 [+eng\n"
        "    0.8   -1\n"
    )
    segments = parse_lablaut(text)
    assert segments[:2] == (
        LabelledSegment(0.080109, 0.11916, "_t"),
        LabelledSegment(0.11916, 0.2, "!t"),
    )
    assert segments[-2:] == (LabelledSegment(0.7, 0.8, ""), LabelledSegment(0.8, 0.8, ""))
    labels = [segment.label for segment in segments]
    assert labels == ["_t", "!t", "", "l", "E", "I", "6", "", ""]


def test_a_row_lasts_until_the_next_one_starts() -> None:
    """03a01Fa from "_t" to "a", and a pause; before the first row is silence."""
    rows = "0.08 -1 _t\n0.12 -1 !t\t+asp\n0.144 -1 E6\n0.244 -1 l\n0.348 -1 .\n"
    phonemes = lablaut_phonemes(LABLAUT_HEADER + rows)
    assert phonemes is not None
    assert phonemes.symbols == ("t", "ɛ", "ɐ", "l")
    assert phonemes.times == ((0.12, 0.144), (0.144, 0.194), (0.194, 0.244), (0.244, 0.348))


@pytest.mark.parametrize("rows", ["0.1 -1 a\n", "0.1 -1 .\n0.2 -1 a\n0.3 -1 \t+hoe\n"])
def test_a_last_phone_without_an_end_is_an_error(rows: str) -> None:
    with pytest.raises(CorpusError, match=r"'a' from 0\.[12] s, has no end"):
        lablaut_phonemes(LABLAUT_HEADER + rows)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("a", "t", "!t", "tasp", "a"), [("t", 0.01, 0.04)]),
        (("a", "t", "", "!t", "!t", "a"), [("t", 0.01, 0.05)]),
        (("a", "t", "a"), [("t", 0.01, 0.02)]),
        (("a", "!t", "a"), [("t", 0.01, 0.02)]),
        (("a", "tasp", "a"), [("t", 0.01, 0.02)]),
        (("a", "t", "!", "tasp", "a"), [("t", 0.01, 0.04)]),
        (("a", "d", "!d", "dsap", "a"), [("d", 0.01, 0.04)]),
        (("a", "d", "!t", "a"), [("d", 0.01, 0.03)]),
        (("a", "k", "!p", "a"), [("k", 0.01, 0.02), ("p", 0.02, 0.03)]),
        (("a", "t", "k", "!k", "a"), [("t", 0.01, 0.02), ("k", 0.02, 0.04)]),
        (("a", "l", "-sth", "+tie", "a"), [("l", 0.01, 0.04)]),
        (("a", "l", "hoe", "a"), [("l", 0.01, 0.03)]),
    ],
)
def test_the_parts_of_a_phone_are_joined(
    labels: tuple[str, ...], expected: list[tuple[str, float, float]]
) -> None:
    assert heard(*labels)[1:-1] == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("_t", "!t", "a"), [("t", 0.01, 0.02)]),
        (("_t", "", "!t", "tasp", "a"), [("t", 0.02, 0.04)]),
        (("_t", "a"), [("t", 0.0, 0.01)]),
        (("_t", "!t", "!t", "a"), [("t", 0.01, 0.03)]),
    ],
)
def test_a_closure_after_silence_begins_at_its_burst(
    labels: tuple[str, ...], expected: list[tuple[str, float, float]]
) -> None:
    assert heard(*labels)[:-1] == expected


def test_pauses_end_phones_and_keep_their_modifiers() -> None:
    assert heard("", "a", ".", "+hoe", "(gef", "", "?", "a", "(") == [
        ("a", 0.01, 0.02),
        ("a", 0.07, 0.08),
    ]


def test_affricates_join_but_not_over_a_pause() -> None:
    assert heard("t", "!t", "s", "t", ".", "s") == [
        ("t͡s", 0.0, 0.03),
        ("t", 0.03, 0.04),
        ("s", 0.05, 0.06),
    ]


def test_a_label_of_two_symbols_shares_its_time() -> None:
    assert heard("v", "i6") == [("v", 0.0, 0.01), ("i", 0.01, 0.015), ("ɐ", 0.015, 0.02)]


def test_a_file_without_phones_has_none() -> None:
    assert lablaut_phonemes(LABLAUT_HEADER) is None
    assert lablaut_phonemes(file(".", "+sth")) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a line '#'"),
        ("signal x\n0.1 -1 a\n", "expected a line '#'"),
        (
            LABLAUT_HEADER + "0.1 -1 a\na -1 0.2\n",
            "line 9 of a label file: expected 'start colour label'",
        ),
        (LABLAUT_HEADER + "0.1 -1 a\n0.05 -1 b\n", "line 9 of a label file starts before"),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        parse_lablaut(text)


def test_an_unknown_label_is_an_error() -> None:
    with pytest.raises(PhonemeError, match="'Q'"):
        join_phones(parse_lablaut(file("a", "Q")))
