"""The manifest: round trips, and one clear error for every malformed line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from phonemo.corpora.manifest import (
    Header,
    Manifest,
    Phonemes,
    Utterance,
    read_manifest,
    write_manifest,
)
from phonemo.errors import ManifestError

HEADER = Header(
    corpus="tiny", root="audio", partial=True, skipped={"stray line": 2}, phonemo="0.1.0"
)

WHOLE = Utterance(
    id="a/1",
    file="folder/łódź é.wav",
    start=0.0,
    end=1.25,
    speaker="s1",
    gender="f",
    session="1",
    dialog="d1",
    language="pl",
    transcript="Zażółć gęślą\u2028jaźń\u0085\x0b\n\ttak",
    emotion="anger",
    phonemes=Phonemes(
        alphabet="ipa", source="hand", symbols=("a", "ɡ"), times=((0.0, 0.1), (0.1, 0.25))
    ),
)
BARE = Utterance(id="b", file="b.wav")
SCRIPTED = Utterance(id="c", file="c.wav", style="scripted", emotion="anger")

#: The row of the issue: these keys, null if unknown.
KEYS = [
    "id",
    "file",
    "start",
    "end",
    "speaker",
    "gender",
    "session",
    "dialog",
    "language",
    "transcript",
    "emotion",
    "phonemes",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "tiny.jsonl"
    write_manifest(path, HEADER, [WHOLE, BARE])
    return path


def lines(path: Path, *rows: Any) -> Path:
    """A manifest of a valid header and these rows; strings are written verbatim."""
    texts = [row if isinstance(row, str) else json.dumps(row) for row in (good_header(), *rows)]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def good_header() -> dict[str, Any]:
    return {"manifest": 1, "corpus": "tiny", "root": "audio", "phonemo": "0.1.0"}


def fault(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.removeprefix(str(path))


# ---- round trips


def test_written_data_reads_back_unchanged(path: Path) -> None:
    manifest = read_manifest(path)
    assert manifest == Manifest(header=HEADER, utterances=(WHOLE, BARE), path=path)


def test_a_row_is_json_with_all_keys_and_null_where_unknown(path: Path) -> None:
    _, full, bare, end = path.read_text(encoding="utf-8").split("\n")
    assert list(json.loads(full)) == KEYS
    assert json.loads(bare) == {**dict.fromkeys(KEYS), "id": "b", "file": "b.wav"}
    assert "łódź" in full
    assert end == ""


def test_a_manifest_without_styles_keeps_its_bytes(tmp_path: Path) -> None:
    old = (
        '{"manifest": 1, "corpus": "tiny", "root": "audio", "partial": true, '
        '"skipped": {"stray line": 2}, "phonemo": "0.1.0"}\n'
        '{"id": "b", "file": "b.wav", "start": null, "end": null, "speaker": null, '
        '"gender": null, "session": null, "dialog": null, "language": null, '
        '"transcript": null, "emotion": null, "phonemes": null}\n'
    )
    (tmp_path / "old.jsonl").write_bytes(old.encode())
    manifest = read_manifest(tmp_path / "old.jsonl")
    assert manifest.utterances == (BARE,)
    write_manifest(tmp_path / "new.jsonl", manifest.header, manifest.utterances)
    assert (tmp_path / "new.jsonl").read_bytes() == old.encode()


def test_a_known_style_is_written_and_read_back(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.jsonl", HEADER, [SCRIPTED, BARE])
    _, scripted, bare, _ = (tmp_path / "a.jsonl").read_text(encoding="utf-8").split("\n")
    assert list(json.loads(scripted)) == [*KEYS[:10], "style", *KEYS[10:]]
    assert json.loads(scripted)["style"] == "scripted"
    assert list(json.loads(bare)) == KEYS
    assert read_manifest(tmp_path / "a.jsonl").utterances == (SCRIPTED, BARE)


def test_a_style_that_is_null_is_none(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"id": "b", "file": "b.wav", "style": None})
    assert read_manifest(path).utterances == (BARE,)


def test_the_first_line_is_the_header(path: Path) -> None:
    header = json.loads(path.read_text(encoding="utf-8").split("\n")[0])
    assert header == {
        "manifest": 1,
        "corpus": "tiny",
        "root": "audio",
        "partial": True,
        "skipped": {"stray line": 2},
        "phonemo": "0.1.0",
    }


def test_an_empty_manifest_is_a_header_alone(tmp_path: Path) -> None:
    write_manifest(tmp_path / "none.jsonl", HEADER, iter(()))
    assert read_manifest(str(tmp_path / "none.jsonl")).utterances == ()


def test_blank_lines_and_carriage_returns_do_no_harm(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", "\r", {"id": "a", "file": "a.wav"}, "  \r")
    assert [utterance.id for utterance in read_manifest(path).utterances] == ["a"]


# ---- audio paths


def test_a_relative_root_is_relative_to_the_manifest(path: Path) -> None:
    manifest = read_manifest(path)
    assert manifest.root == path.parent / "audio"
    assert manifest.audio_path(BARE) == path.parent / "audio" / "b.wav"


def test_an_absolute_root_stays(tmp_path: Path) -> None:
    header = HEADER.model_copy(update={"root": str(tmp_path / "elsewhere")})
    write_manifest(tmp_path / "a.jsonl", header, [BARE])
    assert read_manifest(tmp_path / "a.jsonl").root == tmp_path / "elsewhere"


def test_a_given_root_overrides_the_header_and_is_relative_to_the_working_directory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest(path, root="moved")
    assert manifest.audio_path(BARE) == tmp_path / "moved" / "b.wav"
    assert read_manifest(path).header.root == "audio"


# ---- atomic writes


def test_a_failed_write_leaves_the_old_manifest(path: Path) -> None:
    def broken() -> Any:
        yield WHOLE
        raise RuntimeError("the reader fell over")

    content = path.read_bytes()
    with pytest.raises(RuntimeError):
        write_manifest(path, HEADER, broken())
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_repeated_ids_are_rejected_in_reading_and_writing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="id 'b' is repeated; ids must be unique"):
        write_manifest(tmp_path / "a.jsonl", HEADER, [BARE, WHOLE, BARE])
    assert not (tmp_path / "a.jsonl").exists()
    row = {"id": "a", "file": "a.wav"}
    assert (
        fault(lines(tmp_path / "b.jsonl", row, row)) == ": id 'a' is repeated; ids must be unique"
    )


# ---- malformed files


def test_a_missing_manifest_names_the_next_step(tmp_path: Path) -> None:
    assert "no such manifest; create one with: phonemo prepare" in fault(tmp_path / "no.jsonl")
    assert "got a folder; create one with: phonemo init-corpus" in fault(tmp_path)
    (tmp_path / "manifest.jsonl").touch()
    assert f"got a folder; pass {tmp_path / 'manifest.jsonl'}" in fault(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": expected a manifest header in line 1"),
        (b'{"id": "a", "file": "a.wav"}\n', ": expected a manifest header in line 1"),
        (b"id,file\na,a.wav\n", ":1: expected JSON"),
        (b"[1, 2]\n", ":1: expected a JSON object in every line"),
        (b"RIFF\xff\xfe\x00WAVE", ":1: expected UTF-8"),
        (b"[" * 100_000, ":1: expected JSON"),
        (b'{"manifest": ' + b"9" * 5000 + b"}", ":1: expected JSON"),
        (b'{"manifest": 2, "corpus": "a", "root": "b", "phonemo": "1"}', ":1: field 'manifest'"),
        (b'{"manifest": 1, "corpus": "a", "root": "b"}', ":1: field 'phonemo': Field required"),
    ],
)
def test_a_file_that_is_not_a_manifest_is_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    assert fault(path).startswith(message)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a"}, "field 'file': Field required"),
        ({"id": "a", "file": "a.wav", "colour": 1}, "field 'colour': Extra inputs"),
        ({"id": 1, "file": "a.wav"}, "field 'id': Input should be a valid string"),
        ({"id": "a", "file": "a.wav", "gender": "x"}, "field 'gender': Input should be 'f' or 'm'"),
        (
            {"id": "a", "file": "a.wav", "style": "Scripted"},
            "field 'style': Input should be 'scripted', 'improvised', 'plain-to-",
        ),
        ({"id": "a", "file": "a.wav", "start": -1}, "field 'start'"),
        ({"id": "a", "file": "a.wav", "end": 0}, "field 'end'"),
        ('{"id": "a", "file": "a.wav", "start": NaN}', "field 'start'"),
        ('{"id": "a", "file": "a.wav", "end": Infinity}', "field 'end'"),
        ('{"id": "a", "file": ', "expected JSON"),
        ("[]", "expected a JSON object"),
        (
            {
                "id": "a",
                "file": "a.wav",
                "phonemes": {"alphabet": "sampa", "source": "x", "symbols": []},
            },
            "field 'phonemes.alphabet'",
        ),
        (
            {
                "id": "a",
                "file": "a.wav",
                "phonemes": {"alphabet": "ipa", "source": "x", "symbols": ["a"], "times": []},
            },
            "field 'phonemes': Value error, expected 1 times, got 0",
        ),
    ],
)
def test_a_malformed_line_is_an_error_with_its_number(
    tmp_path: Path, row: Any, message: str
) -> None:
    good = {"id": "good", "file": "good.wav"}
    path = lines(tmp_path / "a.jsonl", good, "", row)
    assert fault(path).startswith(f":4: {message}")


# ---- rows are immutable


@pytest.mark.parametrize("row", [HEADER, WHOLE, BARE, SCRIPTED, WHOLE.phonemes])
def test_rows_are_frozen_and_take_no_unknown_field(row: Any) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(row, next(iter(type(row).model_fields)), "x")
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(row)(**row.model_dump(), colour="red")
