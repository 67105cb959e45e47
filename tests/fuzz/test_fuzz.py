"""Every seed, and every input that once failed, through its target; planted faults are found."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from phonemo.errors import PhonemoError, UsageError
from tests.fuzz import run, text_targets
from tests.fuzz.findings import Findings, TooLongError, bounded
from tests.fuzz.judging import CUT, LONGEST_MESSAGE, check_message
from tests.fuzz.make_corpus import seeds
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import CRASHES, SEEDS, seeds_of

SECONDS, MEMORY = 5.0, 2**30
MOST_SEED_BYTES = 400_000
LARGEST_SEED = 9000
#: Targets whose executions take longer than a fraction of a millisecond get fewer of them.
MUTATIONS = 200
SLOW = {
    "audio": 60,
    "audio_excerpt": 20,
    "audio_channels": 30,
    "media": 30,
    "media_pipe": 10,
    "bundle": 60,
    "network": 20,
    "config": 60,
    "request": 40,
    "request_profile": 60,
    "mcp_lines": 40,
    "mcp_call": 40,
    "archive_arrays": 60,
    "profile": 60,
    "folder_names": 60,
    "run_fields": 60,
}
#: Written by libsndfile, zlib, pyarrow or SQLite, whose versions differ, or of measured results.
COMPRESSED = {
    *("audio", "audio_excerpt", "audio_channels", "media", "media_pipe"),
    *("archive", "parquet", "digest_cache", "run_folder", "request"),
}

#: "target/file" -> why it still fails.
XFAIL: dict[str, str] = {}

_CELL = b"a" * 140_000  # past the limit of csv's own reader
#: What once failed and is too large to be a file.
LARGE: dict[str, tuple[str, bytes]] = {
    "csv_table cell": ("csv_table", b"file,emotion\na," + _CELL + b"\n"),
    "turn_table cell": ("turn_table", b"cstart,end\n1," + _CELL + b"\n"),
    "batch_manifest header": ("batch_manifest", b'cfile,"' + _CELL + b'"\na,b\n'),
    "nemo cell": (
        "corpus_tables",
        b"nemo" + CUT + b"file_id\temotion\traw_text\tspeaker_id\tgender\n"
        b"a\tfear\t" + _CELL + b"\tx\tmale\n",
    ),
    "cremad cell": ("corpus_tables", b"cremad" + CUT + b"ActorID,Sex\n1001," + _CELL + b"\n"),
    "reduced cell": (
        "corpus_tables",
        b"reduced" + CUT + b"file,speaker,gender,transcript\na,1,f," + _CELL + b"\n" + CUT,
    ),
    "decoder_frame size": ("decoder_frame", struct.pack("<QQ", 2**64 - 1, 2**64 - 1)),
}


def files() -> Iterator[object]:
    """Target and file; those that still fail are marked."""
    for name in TARGETS:
        for path in seeds_of(name):
            key = f"{name}/{path.name}"
            why = XFAIL.get(key)
            marks = [pytest.mark.xfail(reason=why, strict=True)] if why else []
            yield pytest.param(name, path, id=key, marks=marks)


def execute(name: str, data: bytes) -> None:
    """One execution in bounded time and memory; skipped where its target needs more packages."""
    if missing := TARGETS[name].missing:
        pytest.skip(f"needs {', '.join(missing)}")
    target = TARGETS[name].load()
    with bounded(SECONDS, MEMORY):
        target(data)


@pytest.mark.parametrize(("name", "path"), list(files()))
def test_an_input_is_answered_or_refused(name: str, path: Path) -> None:
    execute(name, path.read_bytes())


@pytest.mark.parametrize("case", LARGE)
def test_a_large_input_is_answered_or_refused(case: str) -> None:
    execute(*LARGE[case])


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds_are_answered_or_refused(name: str) -> None:
    known = [path.read_bytes() for path in sorted((SEEDS / name).iterdir())]
    random = Random(0)
    for seed in known:
        for _ in range(SLOW.get(name, MUTATIONS)):
            data = mutated(seed, known, TARGETS[name].words, random)[: TARGETS[name].max_len]
            try:
                execute(name, data)
            except Exception as error:
                raise AssertionError(f"{name} of {data[:400]!r}") from error


# The seeds ----------------------------------------------------------------------------------------


def test_every_target_has_small_seeds_and_no_folder_is_a_strangers() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)
    assert {path.name for path in CRASHES.iterdir()} <= set(TARGETS)
    sizes = {path: path.stat().st_size for path in SEEDS.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= LARGEST_SEED
    assert sum(sizes.values()) < MOST_SEED_BYTES


def test_every_known_fault_is_a_file() -> None:
    assert XFAIL.keys() <= {f"{name}/{path.name}" for name in TARGETS for path in seeds_of(name)}


def test_the_seeds_are_what_their_maker_writes() -> None:
    made = seeds()
    for name in TARGETS:
        written = {path.name: path.read_bytes() for path in (SEEDS / name).iterdir()}
        assert written.keys() == made[name].keys()
        assert name in COMPRESSED or written == made[name], name


# Faults that are planted are found ----------------------------------------------------------------


def test_a_targets_word_is_taken_for_what_a_parser_may_not_raise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*arguments: object) -> None:
        raise ValueError("planted")

    monkeypatch.setattr(text_targets, "read_turns", broken)
    with pytest.raises(ValueError, match="planted"):
        execute("rttm", b"")


@pytest.mark.parametrize(
    "message", ["", "two\nlines", "two\x85lines", "long " * LONGEST_MESSAGE, "\ud800"]
)
def test_a_message_that_is_no_line_is_a_fault(message: str) -> None:
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        check_message(message)


def test_the_message_of_a_refusal_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*arguments: object) -> None:
        raise UsageError("")

    monkeypatch.setattr(text_targets, "read_turns", refuses)
    with pytest.raises(AssertionError):
        execute("rttm", b"")


def test_an_answer_that_cannot_be_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = text_targets.Turn(2.0, 1.0, None)
    monkeypatch.setattr(text_targets, "read_turns", lambda *arguments: (backwards,))
    with pytest.raises(AssertionError):
        execute("textgrid", b"")


def test_what_hangs_or_takes_all_memory_is_stopped() -> None:
    with pytest.raises(TooLongError), bounded(0.05, MEMORY):
        all(True for _ in itertools.count())
    with pytest.raises(MemoryError), bounded(SECONDS, 2**26):
        bytes(2**28)


def test_a_fault_is_noted_once_and_small(tmp_path: Path) -> None:
    findings = Findings(planted, tmp_path)
    for data in (b"nothing", b"a " * 50 + b"?", b"b?", b"??", b""):
        findings(data)
    (note,) = tmp_path.glob("*.txt")
    assert "ValueError in planted" in note.read_text("utf-8")
    assert note.with_suffix("").read_bytes() == b"?"


def test_the_command_finds_a_fault_and_says_how_to_test_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--engine", "hypothesis", "--minutes", "0.01", "--folder", str(tmp_path)]
    names = [f"{__name__}:planted", f"{__name__}:harmless"]
    assert run.main([*words, "--target", names[0], "--target", names[1]]) == 1
    said = capsys.readouterr().out
    assert said.count("ValueError in planted") == 1
    assert "tests/fuzz/crashes/" in said
    assert int(said.split("together")[1].split()[0]) > 10
    findings = said.split("all runs")[0].split("together")[1]
    assert "planted" in findings
    assert "harmless" not in findings


def planted(data: bytes) -> None:
    """A target with a fault that few inputs find, since a busy machine tries few."""
    if b"?" in data or b"\0" in data:
        raise ValueError("planted")


def harmless(data: bytes) -> None:
    """A target without one, which refuses everything."""
    assert str(PhonemoError("refused"))
