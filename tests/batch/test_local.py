"""The local engine in its own processes: killed at any moment, every file is processed once."""

from __future__ import annotations

import json
import os
import signal

import pytest

from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.batch.batches import (
    assert_once,
    clips,
    descendants,
    is_alive,
    parts,
    rows,
    scratch,
    some,
    until,
)
from tests.tiny_bundle import BUNDLE

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="looks into /proc")

#: Slow, and independent of the extras.
FULL_JOB = pytest.mark.extras


def named(place, *names):
    clips(place.folder / "in", *names)
    return [f"in/{name}" for name in names]


def has(place, path):
    return lambda: (place.out / path).exists()


def finished_parts(place, count):
    return lambda: len(parts(place.out)) >= count


def begun(place, part):
    return has(place, f"begun/part-{part:06d}")


def test_results_equal_those_of_predict(place):
    names = named(place, *some(9, bad=(4,)))
    answer = place.run("in", "-q", "-j", 2, "--part-files", 2)
    assert (answer.code, answer.err) == (1, "")
    assert_once(place.out, names)
    recognizer = OnnxRecognizer.load(BUNDLE)
    for row in rows(place.out):
        if "error" not in row:
            expected = recognizer.predict(place.folder / row["file"])
            assert row["label"] == expected.label
            assert row["scores"] == pytest.approx(expected.scores, abs=0.001)


@FULL_JOB
def test_a_hanging_recording_times_out_and_the_others_are_recognized(place):
    """First the worker is ended, then the files of the part are isolated."""
    names = named(place, "a.wav", "hang.wav", "b.wav", "c.wav")
    hook = place.folder / "hook" / "sitecustomize.py"
    limits = (
        "\n    from phonemo.batch import worker"
        "\n    worker.SECONDS, worker.ISOLATED_SECONDS = 2.0, 8.0\n"
    )
    hook.write_text(hook.read_text() + limits)
    answer = place.run("in", "-q", "-j", 2, "--part-files", 3)
    assert answer.code == 1
    assert "no recording finished within 2 s" in answer.err
    assert_once(place.out, names)
    codes = {row["file"]: row.get("code") for row in rows(place.out)}
    assert codes == dict.fromkeys(names) | {"in/hang.wav": "timed_out"}


MOMENTS = [
    lambda place: (place.folder / "out").exists,
    lambda place: has(place, "batch.json"),
    lambda place: has(place, "plan/part-000002.jsonl"),
    # or already done, if a busy machine checks too late
    lambda place: lambda: begun(place, 0)() or finished_parts(place, 1)(),
    lambda place: finished_parts(place, 1),
    lambda place: begun(place, 2),
]


@FULL_JOB
def test_a_batch_killed_at_any_moment_resumes(place):
    names = named(place, *some(5), "wait-a.wav")
    words = ["in", "-q", "-j", 2, "--part-files", 2]
    for moment in MOMENTS:
        running = place.begin(*words)
        until(moment(place))
        running.kill()
    place.open("a")
    assert place.run(*words).code == 0
    assert_once(place.out, names)


@FULL_JOB
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_leaves_no_process_and_no_temporary_file(place, how):
    names = named(place, *some(3), "wait-a.wav")
    running = place.begin("in", "-q", "-j", 2, "--part-files", 2)
    until(lambda: finished_parts(place, 1)() and begun(place, 1)())
    running.kill(how)
    answer = running.ended()
    if how == signal.SIGINT:
        assert answer.code == 130
        assert answer.err.count("\n") == 1
        assert "run the same command again to resume" in answer.err
    place.open("a")
    assert place.run("in", "-q").code == 0
    assert_once(place.out, names)


@FULL_JOB
def test_a_worker_that_is_killed_is_replaced(place):
    names = named(place, *some(5), "wait-a.wav", "wait-b.wav")
    running = place.begin("in", "-q", "-j", 2, "--part-files", 1)
    until(lambda: begun(place, 5)() and begun(place, 6)() and finished_parts(place, 5)())
    for worker in running.workers[:1]:
        os.kill(worker, signal.SIGKILL)
    until(lambda: "a worker process died" in running.stderr)
    place.open("a")
    place.open("b")
    answer = running.ended()
    assert (answer.code, answer.err.count("\n")) == (0, 1)
    assert_once(place.out, names)


def test_crashing_files_have_a_row_each(place):
    names = named(place, "a.wav", "b.wav", "c.wav", "deadly.wav", "e.wav", "odd.wav", "z.wav")
    running = place.begin("in", "-q", "-j", 2, "--part-files", 3)
    answer = running.ended()
    assert answer.code == 1
    assert "ZeroDivisionError: an odd" in answer.err, "the traceback is logged"
    assert_once(place.out, names)
    codes = {row["file"]: row["code"] for row in rows(place.out) if "error" in row}
    assert codes == {"in/deadly.wav": "crashed", "in/odd.wav": "internal_error"}
    assert "failed: 2 (" in answer.out


def test_a_full_disk_is_a_one_line_error_and_the_batch_resumes(place):
    """A full disk is simulated by a limit on the file size, which is then lifted."""
    names = named(place, *some(45))
    words = ["in", "-q", "-j", 2, "--part-files", 40, "--phonemes"]
    answer = place.run(*words, limit=16)
    assert (answer.code, answer.out) == (1, "")
    line = answer.err.splitlines()[-1]
    assert line.startswith("phonemo: ")
    assert "part-000000.jsonl cannot be written (File too large)" in line
    assert "Traceback" not in answer.err
    assert "part-000000.jsonl" not in parts(place.out)
    assert scratch(place.out) == []
    assert place.run(*words).code == 0
    assert_once(place.out, names)


def test_a_disk_too_full_for_the_plan_is_a_one_line_error(place):
    """The names of 4000 recordings are kept in temporary files and in a database."""
    lines = "".join(f"/nowhere/{number:0200d}.wav\n" for number in range(4000))
    (place.folder / "l.txt").write_text(lines, encoding="utf-8")
    answer = place.run("l.txt", "-q", limit=256)
    assert (answer.code, answer.out) == (1, "")
    assert (answer.err.count("\n"), answer.err[:9]) == (1, "phonemo: ")
    assert parts(place.out) == []


def test_a_model_that_changes_after_the_start_is_a_one_line_error(place):
    """The processes open it after the command has checked it."""
    named(place, *some(3))
    hook = place.folder / "hook" / "sitecustomize.py"
    broken = "\n    import phonemo.loader\n    phonemo.loader.model_digest = lambda model: 'gone'\n"
    hook.write_text(hook.read_text(encoding="utf-8") + broken, encoding="utf-8")
    answer = place.run("in", "-q", "-j", 2, "--part-files", 1)
    assert (answer.code, answer.out) == (1, "")
    assert (answer.err.count("\n"), answer.err[:9]) == (1, "phonemo: ")
    assert "the model that the batch was started with" in answer.err


@FULL_JOB
def test_a_second_batch_in_the_same_folder_is_refused(place):
    names = named(place, "a.wav", "wait-a.wav")
    first = place.begin("in", "-q", "--part-files", 1)
    until(finished_parts(place, 1))
    second = place.run("in", "-q", "--part-files", 1)
    assert (second.code, second.out, second.err.count("\n")) == (1, "", 1)
    assert "another process" in second.err
    place.open("a")
    assert first.ended().code == 0
    assert_once(place.out, names)


def test_nothing_is_left_running_at_the_end(place):
    named(place, *some(3))
    running = place.begin("in", "-q", "-j", 2, "--part-files", 1)
    until(lambda: running.workers)
    begun_by_it = descendants(running.process.pid)
    assert running.ended().code == 0
    until(lambda: not any(map(is_alive, begun_by_it)))
    assert json.loads((place.out / "summary.json").read_text())["parts"] == {
        "done": 3,
        "planned": 3,
    }


@FULL_JOB
def test_input_and_output_at_addresses(place):
    pytest.importorskip("fsspec")
    names = named(place, *some(5, bad=(2,)))
    at = f"local://{place.folder}"
    answer = place.run(
        f"{at}/in", "-q", "-o", f"{at}/out", "-j", 2, "--part-files", 2, strict=False
    )
    assert (answer.code, answer.err) == (1, "")
    codes = {row["file"].rpartition("/")[2]: row.get("code") for row in rows(place.out)}
    assert set(codes) == {name.rpartition("/")[2] for name in names}
    assert [code for code in codes.values() if code] == ["unsupported_audio"]
    answer = place.run(f"{at}/in/*.wav", "-o", f"{at}/out", strict=False)
    assert "(5 in earlier runs)" in answer.out
