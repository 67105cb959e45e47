"""Times and paths in cells."""

from __future__ import annotations

import pytest

from phonemo.errors import ManifestError
from phonemo.tables import parse_seconds, portable_path

SECONDS = {
    "1.5": 1.5,
    " 2 ": 2.0,
    "1e-3": 0.001,
    "0,5": 0.5,
    "1.5s": 1.5,
    "1.5 sec": 1.5,
    "500 ms": 0.5,
    "0 days 00:00:01.5": 1.5,
    "1 days, 0:00:02": 86402.0,
    "0 days": 0.0,
    "00:01:02.5": 62.5,
    "1:02": 62.0,
    "00:00:01,500": 1.5,
    "P0DT0H1M2.5S": 62.5,
    "٣": 3.0,
    "": None,
    "NaT": None,
    "nan": None,
    "<NA>": None,
    "None": None,
}


@pytest.mark.parametrize(("text", "seconds"), SECONDS.items())
def test_the_spellings_of_a_time(text, seconds):
    assert parse_seconds(text, "start", "t.csv:2") == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "1e400", "1,500", "days", "PT", "1;2"])
def test_what_is_no_time_is_an_error_with_its_location(text):
    with pytest.raises(ManifestError, match=r"t\.csv:2: start: expected seconds >= 0, got '"):
        parse_seconds(text, "start", "t.csv:2")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("wav/a.wav", "wav/a.wav"),
        ("wav\\a.wav", "wav/a.wav"),
        (" a.wav ", "a.wav"),
        (" ", " "),
        ("C:\\x\\a.wav", "C:/x/a.wav"),
        ("file:///x/a%20b.wav", "/x/a b.wav"),
        ("file://localhost/x/a.wav", "/x/a.wav"),
        ("file:///C:/x/a.wav", "C:/x/a.wav"),
        ("s3://bucket/a\\b.wav", "s3://bucket/a\\b.wav"),
        ("a\0\\b", "a\0/b"),
    ],
)
def test_paths_of_other_systems(tmp_path, written, path):
    assert portable_path(written, str(tmp_path)) == path


@pytest.mark.parametrize("name", ["wav\\a.wav", " a.wav", "file:%20a.wav"])
def test_a_file_with_the_very_name_keeps_it(tmp_path, name):
    (tmp_path / name).touch()
    assert portable_path(name, str(tmp_path)) == name


def test_a_quoted_name_is_unquoted_if_only_the_unquoted_one_exists(tmp_path):
    for name in ("a b.wav", "x%20y.wav", "ü.wav"):
        (tmp_path / name).touch()
    folder = str(tmp_path)
    assert portable_path("a%20b.wav", folder) == "a b.wav"
    assert portable_path("%C3%BC.wav", folder) == "ü.wav"
    assert portable_path("x%20y.wav", folder) == "x%20y.wav"
    assert portable_path("none%20.wav", folder) == "none%20.wav"
    assert portable_path("https://host/a%20b.wav", folder) == "https://host/a%20b.wav"
