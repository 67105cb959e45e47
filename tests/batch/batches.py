"""Batches for tests: recordings, and the command in this process or its own.

A hook in the worker processes, a sitecustomize on PYTHONPATH, makes recordings misbehave by name.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile

from phonemo.batch.job import BatchOptions, ExecutorOptions, PartStats, PlanSummary
from phonemo.batch.plan import BatchItem, plan
from phonemo.batch.stores import open_store
from phonemo.batch.worker import PartWorker, WorkerSpec
from phonemo.cli import main
from phonemo.loader import model_digest
from tests.answers import Answer
from tests.tiny_bundle import BUNDLE, RATE, make_clip

PATIENCE_SECONDS = 240.0
#: In each worker process, "deadly" kills it, "odd" raises an unexpected error, "hang" never ends,
#: and "wait-a" waits until the file a.open is in the folder $GATES.
HOOK = """
import os, signal, sys, time

def act(name):
    if name.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("odd"):
        raise ZeroDivisionError("an odd\\nfile")
    if name.startswith("hang"):
        time.sleep(600)
    if name.startswith("wait-"):
        gate = os.path.join(os.environ["GATES"], name[5] + ".open")
        while not os.path.exists(gate):
            time.sleep(0.01)

if any("multiprocessing-fork" in word or "default_worker" in word for word in sys.orig_argv):
    from phonemo.runtime import recognizer

    opened = recognizer.open_waveform

    def hooked(source, **keywords):
        if isinstance(source, str):
            act(os.path.basename(source))
        return opened(source, **keywords)

    recognizer.open_waveform = hooked
"""


def clips(folder: Path, *names: str) -> list[str]:
    """Recordings of different lengths, under half a second; those named bad... are text."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.startswith("bad"):
            path.write_text("this is text", encoding="utf-8")
        else:
            samples = make_clip(1000 + 97 * number % 6000, 120.0 + number % 700)
            with path.open("wb") as stream:  # libsndfile rejects names that are not text
                soundfile.write(stream, samples, RATE, format="WAV")
    return [str(folder / name) for name in names]


def some(count: int, bad: Sequence[int] = ()) -> list[str]:
    """Names for ``clips``."""
    return [f"{'bad' if number in bad else 'a'}{number:04d}.wav" for number in range(count)]


def batch(*words: object, stdin: bytes = b"") -> Answer:
    """Run main() in this process, with streams as a shell gives them to a pipe."""
    given, out, err = (io.TextIOWrapper(io.BytesIO(data), "utf-8") for data in (stdin, b"", b""))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"stdin": given, "stdout": out, "stderr": err}.items():
            patch.setattr(sys, name, value)
        patch.setattr(sys, "argv", ["phonemo", "batch", "--model", str(BUNDLE), *map(str, words)])
        for name in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):  # main sets what is not set
            patch.setenv(name, "error")
        with pytest.raises(SystemExit) as left:
            main.main()
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Answer(int(left.value.code or 0), *texts)


def inline(
    work: WorkerSpec, parts: Sequence[int], engine: ExecutorOptions, alive: Callable[[int], None]
) -> Iterator[PartStats]:
    """An engine without processes, for tests that do not need them."""
    worker = PartWorker(work)
    for part in parts:
        yield worker.recognize(part)
        alive(0)


def batch_options(**changes: Any) -> BatchOptions:
    """Options of the golden bundle."""
    return BatchOptions.model_validate(
        {"model": str(BUNDLE), "model_sha256": model_digest(BUNDLE), **changes}
    )


def planned(folder: object, names: Iterable[str], size: int = 100) -> PlanSummary:
    """A plan of recordings in a folder or at an address."""
    return plan(
        open_store(str(folder)), [BatchItem(name, name) for name in names], PlanSummary(), size
    )


def rows(out: Path) -> list[dict[str, Any]]:
    """All result rows in JSON lines, in the order of the parts."""
    return [
        json.loads(line)
        for part in sorted((out / "parts").glob("*.jsonl"))
        for line in part.read_text(encoding="utf-8").split("\n")[:-1]
    ]


def parts(out: Path) -> list[str]:
    """The names of the existing parts."""
    folder = out / "parts"
    return (
        sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
        if folder.exists()
        else []
    )


def assert_once(out: Path, names: Iterable[str]) -> None:
    """Check that every file has one row, the summary agrees and no temporary file is left."""
    counts = Counter(row["file"] for row in rows(out))
    assert counts == Counter(names)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    numbers = summary["files"]
    failed = sum("error" in row for row in rows(out))
    assert (numbers["heard"], numbers["failed"]) == (counts.total() - failed, failed)
    assert scratch(out) == []


def scratch(out: Path) -> list[Path]:
    """Temporary files of unfinished writes."""
    return list(out.rglob(".*.part"))


def assert_one_line(answer: Answer, code: int, *fragments: str) -> None:
    """Check for one line on standard error with all fragments, and no output."""
    assert (answer.code, answer.out) == (code, ""), answer
    assert answer.err.startswith("phonemo: ")
    assert answer.err.count("\n") == 1, answer.err
    for fragment in fragments:
        assert fragment in answer.err


def until(true: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """The child processes of a process, recursively; Linux only."""
    pids = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text(encoding="ascii").split()):
                pids += [child, *descendants(child)]
    return pids


def is_worker(pid: int) -> bool:
    """Whether a process is one of multiprocessing's workers."""
    return b"--multiprocessing-fork" in _read_proc(pid, "cmdline")


def is_alive(pid: int) -> bool:
    """Whether the process exists."""
    return b" Z " not in (stat := _read_proc(pid, "stat")) and stat != b""


def _read_proc(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


class Running:
    """The command in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: Path) -> None:
        self.process, self._stderr = process, stderr

    @property
    def workers(self) -> list[int]:
        """The worker processes."""
        return [pid for pid in descendants(self.process.pid) if is_worker(pid)]

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End it and wait for its child processes; it must not have ended before."""
        begun = descendants(self.process.pid)
        assert self.process.poll() is None, self.stderr
        self.process.send_signal(how)
        self.process.wait(PATIENCE_SECONDS)
        until(lambda: not any(map(is_alive, begun)))

    def ended(self) -> Answer:
        """Wait for its end."""
        code = self.process.wait(PATIENCE_SECONDS)
        return Answer(code, self._stderr.with_suffix(".out").read_text("utf-8"), self.stderr)

    @property
    def stderr(self) -> str:
        """Its standard error so far."""
        return self._stderr.read_text(encoding="utf-8")


class Place:
    """A folder for a batch: recordings in ``in``, the batch in ``out``, all gates closed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "PYTHONPATH": os.pathsep.join([str(folder / "hook"), *_python_path()]),
            "GATES": str(folder),
        }
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        self._processes: list[subprocess.Popen[bytes]] = []

    def open(self, gate: str) -> None:
        """Release the recordings that wait for a gate."""
        (self.folder / f"{gate}.open").touch()

    def begin(self, *words: object, limit: int | None = None, strict: bool = True) -> Running:
        """Start the command; ``limit`` is the maximum file size, in the shell's blocks."""
        command = [sys.executable, "-m", "phonemo", "batch", "--model", str(BUNDLE)]
        command += ["-o", str(self.out), *map(str, words)]
        if limit is not None:
            command = ["sh", "-c", f'ulimit -f {limit}; exec "$@"', "sh", *command]
        stderr = self.folder / f"stderr{len(self._processes)}"
        environment = self.environment | ({"PYTHONWARNINGS": "error"} if strict else {})
        with stderr.open("wb") as errors, stderr.with_suffix(".out").open("wb") as answers:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=answers,
                stderr=errors,
                env=environment,
                cwd=self.folder,
            )
        self._processes.append(process)
        return Running(process, stderr)

    def run(self, *words: object, **keywords: Any) -> Answer:
        """Run the command to its end."""
        return self.begin(*words, **keywords).ended()

    def close(self) -> None:
        """End processes that a failed test left."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _python_path() -> list[str]:
    before = os.environ.get("PYTHONPATH")
    return [before] if before else []
