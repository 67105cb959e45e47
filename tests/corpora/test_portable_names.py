"""File names of utterances: readable, and apart on every file system."""

from __future__ import annotations

import re
from unicodedata import normalize

import pytest

from phonemo.errors import UsageError
from phonemo.tables.portable_names import file_stems


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("03a01Wa", "03a01Wa"),
        ("PLACE/a b.c", "PLACE_a_b.c"),
        ("ł-ż.1", "ł-ż.1"),
        ("", "_"),
        ("..", "__"),
        (".hidden", "_.hidden"),
        ("ends.", "ends_"),
        ("con", "_con"),
        ("LPT1.x", "_LPT1.x"),
        ("console", "console"),
        ("x" * 300, "x" * 120),
        ("语" * 100, "语" * 40),
        ("\udc80", "_"),
    ],
)
def test_a_name_alone(name: str, stem: str) -> None:
    assert file_stems([name]) == {name: stem}


@pytest.mark.parametrize(
    "names",
    [
        ("A", "a"),
        ("a b", "a_b", "a/b"),
        ("straße", "strasse"),
        ("😀", "😁"),
        (normalize("NFC", "한"), normalize("NFD", "한")),
        ("x" * 200 + "1", "x" * 200 + "2"),
    ],
)
def test_names_that_a_file_system_confuses_get_digits(names: tuple[str, ...]) -> None:
    stems = file_stems([*names, "other"])
    assert stems["other"] == "other"
    assert len({normalize("NFC", stems[name]).casefold() for name in names}) == len(names)
    assert all(re.search("-[0-9a-f]{8}$", stems[name]) for name in names)
    assert stems == file_stems(["other", *reversed(names)]), "of any order"


def test_a_repeated_id_is_refused() -> None:
    with pytest.raises(UsageError, match="expected unique ids, got 'a' twice"):
        file_stems(["a", "b", "a"])
