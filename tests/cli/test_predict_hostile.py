"""Hostile input to `phonemo predict`: one line for each problem, never a traceback.

Names that lie, files that lie, turns that lie, streams that close and signals that come early.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.answers import Answer
from tests.cli import test_predict_command
from tests.tiny_bundle import BUNDLE, RATE, make_clip

COMMAND = [sys.executable, "-m", "phonemo", "predict", "--model", str(BUNDLE)]
_PATIENCE_SECONDS = 240.0
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals and descriptors of POSIX")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "good.wav"
    soundfile.write(path, make_clip(RATE, 200.0), RATE, subtype="PCM_16")
    return path.read_bytes()


@pytest.fixture
def here(clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one good recording."""
    monkeypatch.chdir(tmp_path)
    Path("good.wav").write_bytes(clip)
    return tmp_path


def predict(*words: object, stdin: bytes = b"") -> Answer:
    """One recording at a time, which opens the model once."""
    return test_predict_command.predict("--jobs", 1, *words, stdin=stdin)


def named(name: str, data: bytes) -> str:
    """A file of this name; the test is skipped where the file system does not take it."""
    try:
        Path(name).write_bytes(data)
    except (OSError, UnicodeError):
        pytest.skip("this file system does not take the name")
    return name


def assert_one_line(answer: Answer, code: int, *fragments: str) -> None:
    assert (answer.code, answer.out) == (code, ""), answer
    assert answer.err.startswith("phonemo: ")
    assert answer.err.count("\n") == 1, answer.err
    assert all(fragment in answer.err for fragment in fragments), answer.err


def the_bad_row(*words: object, file: str, note: str = "") -> dict:
    """The row of the one bad file; a good neighbour is answered, and the status is 1."""
    answer = predict(*words)
    assert answer.code == 1
    assert answer.err == f"{note}phonemo: 1 of 2 failed; details in their lines\n"
    assert answer.out.count("\n") == 2
    rows = {row["file"]: row for row in answer.rows}
    assert rows["good.wav"]["label"]
    return rows[file]


# Recordings that lie ------------------------------------------------------------------------------


def no_samples() -> None:
    soundfile.write("bad.wav", np.zeros(0, dtype=np.float32), RATE)


def not_a_number() -> None:
    broken = make_clip(RATE, 200.0)
    broken[-1] = np.nan
    soundfile.write("bad.wav", broken, RATE, subtype="FLOAT")


def endless_numbers() -> None:
    broken = make_clip(RATE, 200.0)
    broken[100] = np.inf
    soundfile.write("bad.wav", broken, RATE, subtype="FLOAT")


def text() -> None:
    Path("bad.wav").write_text("this is text\n" * 1000, encoding="utf-8")


def playlist() -> None:
    lines = "#EXTM3U\n#EXTINF:10,\nhttp://localhost/a.ts\n/etc/passwd\n"
    Path("bad.wav").write_text(lines, encoding="utf-8")


def zeros() -> None:
    Path("bad.wav").write_bytes(bytes(100_000))


def header_alone() -> None:
    Path("bad.wav").write_bytes(Path("good.wav").read_bytes()[:30])


def cut_header() -> None:
    Path("bad.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVE")


def script() -> None:
    Path("bad.wav").write_text("<html><script>alert(1)</script></html>", encoding="utf-8")


BAD = {
    no_samples: "empty_audio",
    not_a_number: "invalid_audio",
    endless_numbers: "invalid_audio",
    text: "unsupported_audio",
    playlist: "unsupported_audio",
    zeros: "unsupported_audio",
    header_alone: None,
    cut_header: None,
    script: "unsupported_audio",
}


@pytest.mark.parametrize(("make", "code"), BAD.items(), ids=[case.__name__ for case in BAD])
def test_a_bad_recording_is_one_row_and_the_next_one_succeeds(here, make, code):
    make()
    row = the_bad_row("bad.wav", "good.wav", file="bad.wav")
    assert "bad.wav: " in row["error"]
    assert "\n" not in row["error"]
    assert code is None or row["code"] == code


@pytest.mark.parametrize("turns", [(), ("--turns", "turns.csv")])
def test_a_header_claiming_4_gb_is_read_as_far_as_the_data_goes(here, clip, turns):
    Path("turns.csv").write_text("start,end,speaker\n0.25,90000,A\n", encoding="utf-8")
    lie = bytearray(clip)
    lie[4:8], lie[40:44] = struct.pack("<I", 0xFFFFFFFF), struct.pack("<I", 0xFFFFFFF0)
    Path("lie.wav").write_bytes(lie)
    answer = predict("lie.wav", *turns)
    assert (answer.code, answer.err) == (0, "")
    (row,) = answer.rows
    assert row["seconds"] == 1
    assert row["segments"][-1]["end"] == 1
    cut = predict("-", *turns, stdin=bytes(lie))
    assert {**cut.rows[0], "file": "lie.wav"} == row


def test_an_address_is_never_opened(here):
    names = ["http://localhost/a.wav", "https://localhost/a.wav", "file:///etc/passwd", "s3://a/b"]
    answer = predict(*names, "good.wav")
    assert answer.code == 1
    *bad, good = answer.rows
    assert good["label"]
    assert [row["file"] for row in bad] == names
    assert all(row["code"] == "unsupported_audio" for row in bad)
    assert all("download it" in row["error"] for row in bad)


@POSIX
@pytest.mark.parametrize("name", ["/dev/zero", "pipe.wav"])
def test_a_device_or_a_pipe_by_name_is_not_opened(here, name):
    os.mkfifo("pipe.wav")
    row = the_bad_row(name, "good.wav", file=name)
    assert row["code"] == "unsupported_audio"


# Names --------------------------------------------------------------------------------------------

NAMES = {
    "newline": "a\nb.wav",
    "right-to-left": "r\u202elt\u200f.wav",
    "escape": "\x1b[31mred\x07.wav",
    "bytes": os.fsdecode(b"caf\xe9.wav"),
    "dash": "-rf.wav",
    "option": "--help.wav",
    "quotes": "a'\",b.wav",
    "spaces": " .wav",
}


#: What UTF-8 can encode; "bytes" it cannot.
TEXTS = [name for title, name in NAMES.items() if title != "bytes"]


@pytest.mark.parametrize("format", ["jsonl", "json", "csv", "table"])
def test_unusual_names_are_kept(here, clip, format):
    names = [named(name, clip) for name in NAMES.values()]
    answer = predict("--format", format, "--", *names)
    assert (answer.code, answer.err) == (0, "")
    if format == "table":
        assert all(line.isprintable() for line in answer.out.split("\n"))
        assert answer.out.count("  (1.0 s)\n") == len(names)
    elif format == "csv":
        message = {row["file"] for row in answer.table}
        plain = {f"./{name}" if name.startswith("-") else name for name in names}
        assert message >= plain - {NAMES["escape"], NAMES["bytes"]}
        assert len(message) == len(names)
    else:
        rows = answer.rows if format == "jsonl" else json.loads(answer.out)
        assert [row["file"] for row in rows] == names


def test_a_table_keeps_the_name(here, clip):
    answer = predict("--format", "csv", named(NAMES["escape"], clip))
    assert [row["file"] for row in answer.table] == [NAMES["escape"]]


@pytest.mark.parametrize("title", ["newline", "bytes", "spaces", "escape"])
def test_an_unusual_name_is_one_field_of_rttm(here, clip, title):
    answer = predict("--format", "rttm", "--", named(NAMES[title], clip))
    assert (answer.code, answer.err) == (0, "")
    assert [len(line.split()) for line in answer.out.splitlines()] == [10]


def test_each_bad_file_with_an_unusual_name_is_one_printable_line(here):
    names = [named(name, b"this is text") for name in NAMES.values()]
    answer = predict("--format", "srt", "--output-dir", "out", "-q", "--", *names)
    assert (answer.code, answer.out) == (1, "")
    lines = answer.err.splitlines()
    assert len(lines) == len(names)
    assert all("got text" in line and line.isprintable() for line in lines)
    rows = predict("--", *names).rows
    assert [row["file"] for row in rows] == names
    assert all(row["error"].isprintable() for row in rows)


@pytest.mark.parametrize("format", ["srt", "rttm", "json"])
def test_unusual_names_are_kept_for_output_files(here, clip, format):
    names = [named(name, clip) for name in TEXTS]
    answer = predict("--format", format, "--output-dir", "out", "--", *names)
    assert (answer.code, answer.err) == (0, "")
    assert set(os.listdir("out")) == {f"{Path(name).stem}.{format}" for name in names}


@pytest.mark.parametrize("format", ["textgrid", "rttm", "json"])
def test_an_undecodable_name_is_kept_for_its_output_file(here, clip, format):
    name = named(NAMES["bytes"], clip)
    answer = predict("--format", format, "--output-dir", "out", "--", name)
    assert (answer.code, answer.err) == (0, "")
    assert [Path(path).stem for path in os.listdir("out")] == [Path(name).stem]


def test_a_written_file_is_reported_on_one_line(here, clip):
    named("a\nb.wav", clip)
    answer = predict("a\nb.wav", "--format", "srt", "--output-dir", "out")
    assert answer.out.count("\n") == 1


@pytest.mark.parametrize("suffix", ["", ".wav"])
def test_a_name_of_10000_characters_is_a_short_row(here, suffix):
    name = "x" * 10_000 + suffix
    row = the_bad_row(name, "good.wav", file=name)
    assert row["code"] == "missing_file"
    assert len(row["error"]) < 300


@pytest.mark.parametrize("length", [10_000, 300])
def test_an_invalid_file_name_does_not_affect_other_files(here, length):
    name = "x" * length + ".wav"
    Path("out").mkdir()
    answer = predict(name, "good.wav", "--format", "srt", "--output-dir", "out")
    assert answer.code == 1
    assert len(answer.err) < 400
    assert answer.out == "out/good.srt\n"


def test_a_name_of_maximum_length_does_not_affect_other_files(here, clip):
    name = named("x" * 248 + ".wav", clip)
    answer = predict(name, "good.wav", "--format", "srt", "--output-dir", "out")
    assert "out/good.srt\n" in answer.out


@pytest.mark.parametrize("inside", [(), ("notes.txt",), (".hidden.wav",)])
def test_a_folder_without_audio_is_one_row(here, inside):
    Path("folder").mkdir()
    for name in inside:
        Path("folder", name).write_text("x", encoding="utf-8")
    note = "phonemo: folder: 1 file skipped (1 .txt)\n" if inside == ("notes.txt",) else ""
    row = the_bad_row("folder", "good.wav", file="folder", note=note)
    assert "got a folder" in row["error"]


# Turns --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["rttm", "TextGrid", "csv", "tsv"])
def test_invalid_turns_fail_before_any_recording(here, suffix):
    junk = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    for place, data in enumerate([junk, b"", b"a,b\n1,2\n"]):
        path = Path(f"turns{place}.{suffix}")
        path.write_bytes(data)
        answer = predict("good.wav", "--turns", path, "-q")
        assert_one_line(answer, 2, path.name)


@pytest.mark.parametrize("times", ["nan,1", "0,nan", ",1", "0,NaT"])
def test_turns_with_an_unknown_time_are_counted(here, times):
    Path("turns.csv").write_text(f"start,end,speaker\n0,1,A\n{times},B\n", encoding="utf-8")
    answer = predict("good.wav", "--turns", "turns.csv", "-q")
    assert answer.code == 0
    assert answer.err == "phonemo: good.wav: 1 of 2 turns skipped: 1 without finite times\n"


@pytest.mark.parametrize("times", ["0,inf", "x,1", "1e999,2e999"])
def test_invalid_times_are_reported_with_their_line(here, times):
    Path("turns.csv").write_text(f"start,end,speaker\n0,1,A\n{times},B\n", encoding="utf-8")
    answer = predict("good.wav", "--turns", "turns.csv", "-q")
    assert_one_line(answer, 2, "turns.csv line 3: ")


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ("1,0.5", "no_length"),
        ("0.5,0.5", "no_length"),
        ("7,8", "beyond_end"),
        ("0.5,0.501", "too_short"),
    ],
)
def test_unusable_turns_are_skipped_and_said(here, times, reason):
    said = {
        "no_length": "of zero or negative length",
        "beyond_end": "after the end of the recording",
        "too_short": "too short",
    }
    lines = f"start,end,speaker\n0,0.9,A\n{times},B\n{times},C\n"
    Path("turns.csv").write_text(lines, encoding="utf-8")
    answer = predict("good.wav", "--turns", "turns.csv")
    assert answer.code == 0
    assert answer.err == f"phonemo: good.wav: 2 of 3 turns skipped: 2 {said[reason]}\n"
    (row,) = answer.rows
    assert (row["turns_skipped"], row["warnings"]) == ({reason: 2}, ["turns_skipped"])
    assert [segment["speaker"] for segment in row["segments"]] == ["A"]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.srt", "a.vtt", "a.rttm", "a.TextGrid"])
@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"PK\x03\x04", b"[[[[", b"-->"])
def test_a_broken_file_of_turns_is_one_line(here, name, data):
    Path(name).write_bytes(data)
    assert_one_line(predict("good.wav", "--turns", name, "-q"), 2, name)


def test_a_turn_with_a_huge_end_is_accepted(here):
    Path("turns.csv").write_text("start,end,speaker\n0,1e308,A\n", encoding="utf-8")
    answer = predict("good.wav", "--turns", "turns.csv")
    assert answer.code in (0, 1)
    assert len(answer.rows) == 1


@pytest.mark.parametrize("turns", ["nowhere.csv", "folder.csv", "turns.txt", ""])
def test_a_missing_turns_file_fails_before_any_recording(here, turns):
    Path("folder.csv").mkdir()
    answer = predict("good.wav", "good.wav", "--turns", turns)
    assert_one_line(answer, 2, turns)


def test_the_table_escapes_control_characters_of_a_speaker(here):
    Path("turns.csv").write_text("start,end,speaker\n0,1,\x07\u202eA\n", encoding="utf-8")
    answer = predict("good.wav", "--turns", "turns.csv", "--format", "table")
    assert answer.code == 0
    assert all(line.isprintable() for line in answer.out.splitlines())


@pytest.mark.parametrize("format", ["srt", "vtt", "rttm", "textgrid", "csv", "audacity"])
def test_line_breaks_in_a_speaker_do_not_create_a_cue(here, format):
    speaker = 'A\n\n2\n00:00:00,000 --> 00:00:01,000\nevil "x'
    quoted = speaker.replace('"', '""')
    Path("turns.tsv").write_text(f'start\tend\tspeaker\n0\t1\t"{quoted}"\n', encoding="utf-8")
    plain = predict("good.wav", "--format", format, "--turns", "turns.tsv")
    assert (plain.code, plain.err) == (0, "")
    if format == "rttm":
        assert [len(line.split()) for line in plain.out.splitlines()] == [10]
    elif format == "csv":
        (row,) = plain.table
        assert row["speaker"] == speaker
    else:
        assert "\nevil" not in plain.out
        assert "\n00:00:00,000 --> 00:00:01,000\nevil" not in plain.out


# Output -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["good.wav", "good.wav/deeper"])
def test_an_output_folder_that_is_a_file_is_one_line(here, clip, folder):
    answer = predict("good.wav", "--format", "srt", "--output-dir", folder)
    assert_one_line(answer, 1, "good.wav")
    assert Path("good.wav").read_bytes() == clip


@POSIX
def test_an_unwritable_output_folder_is_one_line(here):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    Path("locked").mkdir(mode=0o500)
    answer = predict("good.wav", "--format", "srt", "--output-dir", "locked")
    assert_one_line(answer, 1, "locked", "ermission")


def run(*words: object, shell: str = "", timeout: float = 30) -> subprocess.CompletedProcess[bytes]:
    """In a process of its own; with ``shell``, what follows the command in a shell's line."""
    command = [*COMMAND, *map(str, words)]
    if shell:
        command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
    return subprocess.run(command, capture_output=True, timeout=timeout, check=False)


@POSIX
@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_a_closed_pipe_ends_predict_silently(here, format):
    files = ["good.wav"] * 200
    done = run(*files, "--format", format, shell="| head -1; exit ${PIPESTATUS[0]}")
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""
    assert done.returncode == 1


@POSIX
def test_without_a_standard_output_there_is_no_traceback(here):
    done = run("good.wav", shell=">&-")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"standard output is closed" in done.stderr


@POSIX
def test_without_a_standard_input_it_is_wrong_usage(here):
    done = run("-", "good.wav", shell="<&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"closed" in done.stderr


@POSIX
def test_a_full_disk_is_one_line(here):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    done = run("good.wav", shell="> /dev/full")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 1, done.stderr


def test_standard_input_cannot_be_two_recordings(here, clip):
    answer = test_predict_command.predict("-", "-", "--jobs", 2, stdin=clip)
    assert_one_line(answer, 2, "-")


# Signals ------------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_a_signal_ends_predict_before_the_last_recording_and_leaves_complete_files(
    here, sent, code
):
    soundfile.write("long.wav", make_clip(10 * RATE, 300.0), RATE)
    Path("many").mkdir()
    for place in range(400):
        os.link("long.wav", f"many/{place:03}.wav")
    words = ("many", "--jobs", "2", "--format", "textgrid", "--output-dir", "out")
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == b"out/000.TextGrid\n"
        os.killpg(process.pid, sent)
        _, said = process.communicate(timeout=_PATIENCE_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in said
    assert said.count(b"\n") == (sent == signal.SIGINT)
    written = sorted(Path("out").iterdir())
    assert 0 < len(written) < 400, "it ended before the last one"
    for path in written:
        if path.suffix != ".part":  # a signal may come between the scratch and its renaming
            lines = path.read_text(encoding="utf-8").splitlines()
            size = int(lines[-4].strip().removeprefix("intervals [").removesuffix("]:"))
            assert f"intervals: size = {size}" in "\n".join(lines)


@POSIX
def test_the_suggested_command_resumes_after_an_interruption(here):
    # "stopped; run the same command again, with --overwrite where it wrote files"
    Path("out").mkdir()
    words = ("good.wav", "--format", "srt", "--output-dir", "out")
    assert predict(*words).code == 0
    assert predict(*words).code == 2
    assert predict(*words, "--overwrite").code == 0
