"""Ray Data hears what the local engine hears, whatever dies; what was begun is ended.

Ray keeps its files in a folder of each test's own, and its processes are those of the command.
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
    asked,
    assert_once,
    batch,
    clips,
    descendants,
    lives,
    parts,
    rows,
    some,
    until,
)
from tests.tiny_bundle import ADAPTABLE, BUNDLE

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="looks into /proc")

RAY = ["in", "-q", "--engine", "ray"]
#: Two machines on one, until its standard input ends.
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
    """Ray's files have short names: those of its sockets have room for 107 letters."""
    folder = tempfile.mkdtemp(prefix="ray-")
    place.environment["RAY_TMPDIR"] = folder
    yield place
    place.close()
    shutil.rmtree(folder, ignore_errors=True)


def named(place, *names):
    clips(place.folder / "in", *names)
    return [f"in/{one}" for one in names]


def actors(pid):
    return [one for one in descendants(pid) if "MapWorker" in _title(one)]


def _title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


def assert_gone(begun):
    until(lambda: not any(map(lives, begun)))


def test_files_that_kill_and_raise_do_the_others_no_harm(place):
    names = named(place, *some(7, bad=(2,)), "deadly.wav", "odd.wav", "z.wav")
    running = place.begin(*RAY, "-j", 1, "--part-files", 5, strict=False)
    until(lambda: actors(running.process.pid) or running.process.poll() is not None)
    begun = descendants(running.process.pid)
    answer = running.ended()
    assert answer.code == 1
    # what Ray itself says is on standard error
    assert answer.out.startswith(f"{place.out}: 10 recordings"), answer.out
    assert "Traceback" not in answer.err
    assert_once(place.out, names)
    recognizer = OnnxRecognizer.load(BUNDLE)
    codes = {}
    for row in rows(place.out):
        if "error" in row:
            codes[row["file"]] = row["code"]
        else:
            wanted = recognizer.predict(place.folder / row["file"])
            assert row["label"] == wanted.label
            assert row["scores"] == pytest.approx(wanted.scores, abs=0.001)
    assert codes == {
        "in/bad0002.wav": "unsupported_audio",
        "in/deadly.wav": "crashed",
        "in/odd.wav": "internal_error",
    }
    assert_gone(begun)


def test_a_killed_actor_begins_again_and_a_killed_command_goes_on_elsewhere(place):
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
    until(lambda: not any("MapWorker" in _title(one) for one in begun))
    for one in filter(lives, begun):  # Ray's own agents, which see in a minute that they are alone
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
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
    found, wanted = ({row["file"]: row for row in rows(one)} for one in (place.out, local))
    assert found == wanted
    assert {row["profile"]["count"] for row in found.values()} == {4}
    kept = (place.out / "profile.json").read_bytes()
    assert kept == (local / "profile.json").read_bytes()


def test_a_model_that_is_another_one_there_is_one_line(place):
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
    with (place.folder / "cluster").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=place.environment,
        )
    with process:
        address = process.stdout.readline().decode().strip()
        begun = descendants(process.pid)
        yield address
        process.stdin.close()
        process.wait(60)
    assert_gone(begun)


def test_a_cluster_of_two_hears_with_one_model_in_each_actor(place, cluster):
    assert cluster, (place.folder / "cluster").read_text(encoding="utf-8")
    hook = place.folder / "hook" / "sitecustomize.py"
    counted = """
    import phonemo.batch.worker as hearing
    opening = hearing.load_model

    def told(*arguments, **keywords):
        with open(os.path.join(os.environ["GATES"], "opened"), "a") as stream:
            stream.write(f"{os.getpid()}\\n")
        return opening(*arguments, **keywords)

    hearing.load_model = told
"""
    hook.write_text(hook.read_text(encoding="utf-8") + counted, encoding="utf-8")
    # the first actor waits in the first part; Ray may have given it one more
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
def test_a_place_without_a_cluster_is_told_at_once(here, kind):
    clips(here / "in", "a.wav")
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        address = kind.format(f"127.0.0.1:{nobody.getsockname()[1]}")
        answer = batch(*RAY, "-o", "out", "--address", address)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert f"no Ray at {address}" in answer.err
    assert "ray start --head" in answer.err


def test_work_goes_to_actors_as_text_whatever_its_names():
    wanted = asked(model="mod\udce8le", labels=("anger", "neutral"), adapt=7)
    work = WorkerSpec("caf\udce9", wanted, "0123456789ab")
    assert engines._work_of(engines._text_of(work)) == work


def test_errors_come_back_as_text():
    tally = PartStats(part=3, files=2)
    assert engines._stats_of(tally.model_dump_json()) == tally
    with pytest.raises(RunError, match=r"^what is wrong$"):
        engines._stats_of(f"{engines._ERROR}what is wrong")
