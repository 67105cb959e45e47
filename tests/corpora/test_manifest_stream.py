"""Streaming manifests: constant memory, closed files, atomic writes."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phonemo.corpora import manifest as manifest_module
from phonemo.corpora.manifest import (
    Header,
    Phonemes,
    Utterance,
    read_manifest,
    stream_manifest,
    write_manifest,
)
from phonemo.corpora.merge import merge_streams
from phonemo.errors import ManifestError

HEADER = Header(corpus="long", root="audio", phonemo="test")
ROWS = 400
#: Long enough that all rows are much larger than any buffer of a reader.
LETTERS = 20_000
MOST_BYTES = 1_000_000

WRITER = """
import os, signal, sys
from pathlib import Path
from phonemo.corpora.manifest import Header, Utterance, write_manifest

def rows():
    for number in range(1000):
        if number == 900:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Utterance(id=str(number), file="a.wav")

write_manifest(Path(sys.argv[1]), Header(corpus="new", root=".", phonemo="test"), rows())
"""


def rows(count: int = ROWS) -> Iterator[Utterance]:
    for number in range(count):
        words = f"{number} ".ljust(LETTERS, "x")
        yield Utterance(id=f"u{number}", file=f"{number}.wav", speaker="s1", transcript=words)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.jsonl"
    write_manifest(path, HEADER, rows())
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The files opened after this point."""
    files, real = [], Path.open

    def spy(path: Path, *args: Any, **kwargs: Any) -> Any:
        files.append(real(path, *args, **kwargs))
        return files[-1]

    monkeypatch.setattr(Path, "open", spy)
    return files


def peak_bytes(work: Callable[[], object]) -> int:
    """Peak memory allocated by Python, above the start."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---- memory


def test_a_stream_holds_no_rows(long: Path) -> None:
    assert long.stat().st_size > 6 * MOST_BYTES
    assert peak_bytes(lambda: deque(stream_manifest(long), maxlen=0)) < MOST_BYTES
    assert peak_bytes(lambda: read_manifest(long)) > 6 * MOST_BYTES, "the measure sees what is held"


def test_a_writer_holds_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert peak_bytes(lambda: write_manifest(path, HEADER, rows())) < MOST_BYTES
    assert sum(1 for _ in stream_manifest(path)) == ROWS


def test_merging_holds_no_rows(long: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    write_manifest(other, HEADER.model_copy(update={"corpus": "other"}), rows(10))
    output = tmp_path / "both.jsonl"
    assert peak_bytes(lambda: merge_streams([long, other], output)) < MOST_BYTES
    assert len(read_manifest(output).utterances) == ROWS + 10


def test_rows_share_what_they_repeat(tmp_path: Path) -> None:
    symbols = Phonemes(alphabet="ipa", source="hand", symbols=("aɪ", "s"))
    two = [Utterance(id=name, file="a.wav", speaker="speaker", phonemes=symbols) for name in "ab"]
    write_manifest(tmp_path / "a.jsonl", HEADER, two)
    first, second = read_manifest(tmp_path / "a.jsonl").utterances
    assert first.phonemes is not None
    assert second.phonemes is not None
    assert first.speaker is second.speaker
    assert first.phonemes.source is second.phonemes.source
    assert all(map(lambda a, b: a is b, first.phonemes.symbols, second.phonemes.symbols))
    assert first.__pydantic_fields_set__ is second.__pydantic_fields_set__


def test_a_copy_tracks_its_given_fields_separately() -> None:
    first, second = Utterance(id="a", file="a.wav"), Utterance(id="b", file="b.wav")
    copied = first.model_copy(update={"speaker": "s"})
    assert copied.model_fields_set == {"id", "file", "speaker"}
    assert first.model_fields_set == second.model_fields_set == {"id", "file"}
    assert first.model_copy().__pydantic_fields_set__ is second.__pydantic_fields_set__


# ---- reading


def test_a_stream_can_be_iterated_repeatedly_with_the_same_rows(long: Path) -> None:
    stream, manifest = stream_manifest(long), read_manifest(long)
    for _ in range(2):
        assert tuple(stream) == manifest.utterances
    first = manifest.utterances[0]
    assert (stream.header, stream.path) == (manifest.header, long)
    assert (stream.root, stream.audio_path(first)) == (manifest.root, manifest.audio_path(first))


def test_two_loops_over_one_stream_are_independent(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.jsonl", HEADER, rows(3))
    stream = stream_manifest(tmp_path / "a.jsonl")
    pairs = [(first.id, second.id) for first in stream for second in stream]
    assert len(set(pairs)) == 9


def test_a_given_root_overrides_the_header(long: Path, tmp_path: Path) -> None:
    stream = stream_manifest(str(long), root=tmp_path / "moved")
    assert stream.audio_path(next(iter(stream))) == tmp_path / "moved" / "0.wav"


def test_rows_before_a_malformed_line_are_read_and_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    # U+2028 and U+0085 do not end a line; blank lines count
    good = '{"id": "a", "file": "a.wav", "transcript": "x\u2028y\u0085z"}'
    head = HEADER.model_dump_json()
    path.write_text(f'{head}\n{good}\n\n{{"id": 1, "file": "b.wav"}}\n', encoding="utf-8")
    rows = iter(stream_manifest(path))
    assert next(rows).transcript == "x\u2028y\u0085z"
    with pytest.raises(ManifestError) as caught:
        next(rows)
    assert str(caught.value) == f"{path}:4: field 'id': Input should be a valid string"


def test_invalid_utf_8_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(HEADER.model_dump_json().encode() + b'\n{"id": "\xff"}\n')
    stream = stream_manifest(path)
    with pytest.raises(ManifestError, match=r":2: expected UTF-8"):
        next(iter(stream))


def test_a_row_that_only_pythons_json_accepts_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(HEADER.model_dump_json() + '\n{"id": "\\ud800", "file": "a.wav"}\n')
    assert [utterance.id for utterance in stream_manifest(path)] == ["\ud800"]


def test_a_file_that_is_not_a_manifest_is_rejected_before_the_first_row(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such manifest"):
        stream_manifest(tmp_path / "no.jsonl")
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "file": "a.wav"}\n')
    with pytest.raises(ManifestError, match="expected a manifest header in line 1"):
        stream_manifest(tmp_path / "rows.jsonl")


# ---- files are closed


def test_the_file_is_closed_at_the_end_at_a_break_and_at_an_error(
    long: Path, tmp_path: Path, opened: list[Any]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(HEADER.model_dump_json() + "\n[]\n")
    opened.clear()
    stream, bad = stream_manifest(long), stream_manifest(broken)
    assert [stream.closed for stream in opened] == [True, True]
    for _ in stream:
        assert not opened[-1].closed
        break
    gc.collect()
    deque(stream, maxlen=0)
    with pytest.raises(ManifestError):
        next(iter(bad))
    gc.collect()
    assert len(opened) == 5
    assert all(stream.closed for stream in opened)


# ---- writing


def test_a_manifest_can_be_written_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_manifest(path, HEADER, rows(5))
    stream = stream_manifest(path)
    write_manifest(path, HEADER, (row for row in stream if row.id != "u2"))
    assert [row.id for row in stream] == ["u0", "u1", "u3", "u4"]


def test_different_ids_with_equal_hashes_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_module, "hash", lambda text: 7, raising=False)
    write_manifest(tmp_path / "a.jsonl", HEADER, rows(5))
    assert len(read_manifest(tmp_path / "a.jsonl").utterances) == 5
    with pytest.raises(ManifestError, match="id 'u0' is repeated"):
        write_manifest(tmp_path / "b.jsonl", HEADER, (*rows(3), *rows(1)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process with a signal")
def test_a_writer_that_is_killed_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_manifest(path, HEADER, rows(2))
    content = path.read_bytes()
    result = subprocess.run([sys.executable, "-c", WRITER, str(path)], env={**os.environ})
    assert result.returncode == -signal.SIGKILL
    assert path.read_bytes() == content
    write_manifest(path, HEADER, rows(3))
    assert len(read_manifest(path).utterances) == 3
    assert list(tmp_path.iterdir()) == [path], "what was left of the dead one is gone too"


def test_a_merge_that_fails_leaves_the_old_manifest(tmp_path: Path) -> None:
    good, bad, output = (tmp_path / name for name in ("good.jsonl", "bad.jsonl", "both.jsonl"))
    write_manifest(good, HEADER, rows(2))
    bad.write_text(HEADER.model_copy(update={"corpus": "bad"}).model_dump_json() + "\n[]\n")
    output.write_text("old")
    with pytest.raises(ManifestError, match=r"bad\.jsonl:2: expected a JSON object"):
        merge_streams([good, bad], output)
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.jsonl",
        "both.jsonl",
        "good.jsonl",
    ]
