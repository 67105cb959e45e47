"""Forks of one process see what is changed between them, and end alone."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.batch.batches import until
from tests.mutants.forked_tests import ForkedTests

ROOT = Path(__file__).resolve().parents[2]
_TEST = """
from altered import value
import numpy
import tests.answers

def test_value():
    assert value() == 1
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "test_altered.py").write_text(_TEST, encoding="utf-8")
    alter(tmp_path, "def value(): return 1")
    return tmp_path


@pytest.fixture
def forked(source: Path):
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(source), str(source)]
    with closing(ForkedTests(sys.executable, ROOT, source, arguments)) as tests:
        assert tests.run(300).status == 0
        yield tests


def alter(folder: Path, code: str) -> None:
    (folder / "altered.py").write_text(code, encoding="utf-8")


def test_each_run_imports_the_changed_module_anew(forked, source):
    assert forked.run(300).status == 0
    alter(source, "def value(): return 2")
    run = forked.run(300)
    assert (run.status, "assert 2 == 1" in run.output) == (1, True)
    alter(source, "def value(): return 1")
    assert forked.run(300).status == 0


def test_a_run_that_does_not_end_is_ended_at_its_limit(forked, source):
    alter(source, "def value():\n    while True: pass")
    assert forked.run(1).status is None
    alter(source, "def value(): return 1")
    assert forked.run(300).status == 0


def test_a_run_that_a_signal_ends_does_not_end_the_others(forked, source):
    alter(source, "import os, signal\ndef value(): os.kill(os.getpid(), signal.SIGKILL)")
    assert forked.run(300).status == -9
    alter(source, "def value(): return 1")
    assert forked.run(300).status == 0


@pytest.mark.parametrize(
    ("name", "status"), [("numpy", 0), ("tests.answers", 1), ("test_altered", 0)]
)
def test_packages_are_imported_before_the_fork_and_tests_after_it(forked, source, name, status):
    """The altered module is imported first by its test, which imports the others after it."""
    code = f"import sys\nfound = {name!r} in sys.modules\ndef value(): return int(found)"
    alter(source, code)
    assert forked.run(300).status == status


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_the_run_as_well(forked, source, name):
    pid = str(source / "pid")
    alter(source, f"import os\nopen({pid!r}, 'w').write(str(os.getpid()))\nwhile True: pass")
    forked._process.stdin.write("300\n")
    forked._process.stdin.flush()
    until(lambda: (source / "pid").is_file() and (source / "pid").read_text())
    child = int((source / "pid").read_text())
    forked._process.send_signal(getattr(signal, name))
    assert forked._process.wait(60) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_process_that_cannot_start_is_one_line(tmp_path: Path):
    with (
        closing(ForkedTests(sys.executable, tmp_path, tmp_path, [])) as tests,
        pytest.raises(SystemExit, match="has ended"),
    ):
        tests.run(10)
