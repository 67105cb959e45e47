"""Ray Data gives the results of the local engine despite crashes, and leaves no process.

Each test has its own folder for Ray's files; Ray's processes are children of the command.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("ray.data", reason="needs Ray: pip install 'phonemo[batch]'")

from phonemo.batch import engines
from phonemo.batch.job import PartStats
from phonemo.batch.worker import WorkerSpec
from phonemo.errors import RunError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.batch.batches import (
    assert_once,
    batch,
    batch_options,
    clips,
    descendants,
    is_alive,
    parts,
    rows,
    some,
    until,
)
from tests.tiny_bundle import ADAPTABLE, BUNDLE

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="looks into /proc")

RAY = ["in", "-q", "--engine", "ray"]
#: A cluster of two simulated machines, until standard input ends.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def place(place):
    """Ray gets a short folder: paths of sockets are limited to 107 characters."""
    folder = tempfile.mkdtemp(prefix="ray-")
    place.environment["RAY_TMPDIR"] = folder
    yield place
    place.close()
    shutil.rmtree(folder, ignore_errors=True)


def named(place, *names):
    clips(place.folder / "in", *names)
    return [f"in/{name}" for name in names]


def actors(pid):
    return [pid for pid in descendants(pid) if "MapWorker" in _title(pid)]


def _title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


def assert_gone(begun):
    until(lambda: not any(map(is_alive, begun)))


def test_crashing_files_do_not_affect_others(place):
    names = named(place, *some(7, bad=(2,)), "deadly.wav", "odd.wav", "z.wav")
    running = place.begin(*RAY, "-j", 1, "--part-files", 5, strict=False)
    until(lambda: actors(running.process.pid) or running.process.poll() is not None)
    begun = descendants(running.process.pid)
    answer = running.ended()
    assert answer.code == 1
    # Ray itself writes to standard error
    assert answer.out.startswith(f"{place.out}: 10 recordings"), answer.out
    assert "Traceback" not in answer.err
    assert_once(place.out, names)
    recognizer = OnnxRecognizer.load(BUNDLE)
    codes = {}
    for row in rows(place.out):
        if "error" in row:
            codes[row["file"]] = row["code"]
        else:
            expected = recognizer.predict(place.folder / row["file"])
            assert row["label"] == expected.label
            assert row["scores"] == pytest.approx(expected.scores, abs=0.001)
    assert codes == {
        "in/bad0002.wav": "unsupported_audio",
        "in/deadly.wav": "crashed",
        "in/odd.wav": "internal_error",
    }
    assert_gone(begun)


def test_a_killed_actor_restarts_and_a_killed_command_resumes_locally(place):
    names = named(place, *some(3), "wait-a.wav")
    running = place.begin(*RAY, "-j", 1, "--part-files", 1, strict=False)
    again = place.out / "begun" / "part-000003"
    until(again.exists)
    assert len(parts(place.out)) == 3
    (actor,) = actors(running.process.pid)
    os.kill(actor, signal.SIGKILL)
    until(lambda: again.read_text(encoding="ascii").strip() == "2")
    begun = descendants(running.process.pid)
    running.process.kill()
    running.process.wait()
    until(lambda: not any("MapWorker" in _title(pid) for pid in begun))
    for pid in filter(is_alive, begun):  # Ray's agents, which would exit after a minute
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    place.open("a")
    answer = place.run("in", "-j", 1)
    assert answer.code == 0
    assert "(3 in earlier runs)" in answer.out
    assert_once(place.out, names)


def test_rows_with_a_profile_are_those_of_the_local_engine(place):
    names = named(place, *some(7))
    adapted = ["--model", ADAPTABLE, "--adapt", "--adapt-sample", 4]
    assert place.run(*RAY, "-j", 1, "--part-files", 3, *adapted, strict=False).code == 0
    assert_once(place.out, names)
    local = place.folder / "local"
    assert place.run("in", "-q", "-j", 2, "--part-files", 2, *adapted, "-o", local).code == 0
    results, expected = (
        {row["file"]: row for row in rows(folder)} for folder in (place.out, local)
    )
    assert results == expected
    assert {row["profile"]["count"] for row in results.values()} == {4}
    kept = (place.out / "profile.json").read_bytes()
    assert kept == (local / "profile.json").read_bytes()


def test_another_model_in_the_workers_is_a_one_line_error(place):
    named(place, *some(2))
    hook = place.folder / "hook" / "sitecustomize.py"
    broken = "\n    import phonemo.loader\n    phonemo.loader.model_digest = lambda model: 'gone'\n"
    hook.write_text(hook.read_text(encoding="utf-8") + broken, encoding="utf-8")
    answer = place.run(*RAY, "-j", 1, strict=False)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "the model that the batch was started with" in answer.err
    assert parts(place.out) == []


@pytest.fixture
def cluster(place):
    """The address of a cluster of two machines."""
    place.environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with (place.folder / "cluster").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=place.environment,
        )
    with process:
        address = process.stdout.readline().decode().strip()
        begun = descendants(process.pid)
        yield address
        process.stdin.close()
        process.wait(60)
    assert_gone(begun)


def test_a_cluster_of_two_opens_one_model_per_actor(place, cluster):
    assert cluster, (place.folder / "cluster").read_text(encoding="utf-8")
    hook = place.folder / "hook" / "sitecustomize.py"
    counted = """
    import phonemo.batch.worker as batch_worker
    original = batch_worker.load_model

    def recorded(*arguments, **keywords):
        with open(os.path.join(os.environ["GATES"], "opened"), "a") as stream:
            stream.write(f"{os.getpid()}\\n")
        return original(*arguments, **keywords)

    batch_worker.load_model = recorded
"""
    hook.write_text(hook.read_text(encoding="utf-8") + counted, encoding="utf-8")
    # the first actor waits in the first part; Ray may have queued another one
    names = named(place, "wait-a.wav", "x0.wav", "x1.wav", "x2.wav", "x3.wav", "x4.wav")
    running = place.begin(*RAY, "--address", cluster, "--part-files", 1, strict=False)
    until(lambda: len(parts(place.out)) >= 4)
    place.open("a")
    answer = running.ended()
    assert answer.code == 0
    assert "Traceback" not in answer.err
    assert_once(place.out, names)
    opened = (place.folder / "opened").read_text(encoding="ascii").split()
    assert len(opened) == len(set(opened)) == 2


@pytest.mark.parametrize("kind", ["{}", "ray://{}"])
def test_an_address_without_a_cluster_fails_at_once(here, kind):
    clips(here / "in", "a.wav")
    with socket.socket() as unused:  # bound, and not listening
        unused.bind(("127.0.0.1", 0))
        address = kind.format(f"127.0.0.1:{unused.getsockname()[1]}")
        answer = batch(*RAY, "-o", "out", "--address", address)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert f"no Ray at {address}" in answer.err
    assert "ray start --head" in answer.err


def test_a_worker_spec_survives_the_text_form_with_any_names():
    expected = batch_options(model="mod\udce8le", labels=("anger", "neutral"), adapt=7)
    work = WorkerSpec("caf\udce9", expected, "0123456789ab")
    assert engines._work_of(engines._text_of(work)) == work


def test_errors_come_back_as_text():
    tally = PartStats(part=3, files=2)
    assert engines._stats_of(tally.model_dump_json()) == tally
    with pytest.raises(RunError, match=r"^the reason$"):
        engines._stats_of(f"{engines._ERROR}the reason")
