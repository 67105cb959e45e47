"""Starts the processes of a training by fork, where torchrun itself is not tested.

One process imports torch, transformers and phonemo.train for a module of tests, and forks the ranks
of each launch: torchrun and its ranks import for longer than they train.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

RANKS = 2


class Launcher:
    """Launches ``tests.train.crew``, once at a time."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process = process
        self._errors = errors

    def start(self, *arguments: str) -> None:
        """Start both processes with the arguments of crew."""
        self._errors.write_text("")
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()

    def finish(self, seconds: float) -> tuple[list[int], str]:
        """Exit codes by rank (-9 after SIGKILL), and the standard error of both."""
        pipe = self._process.stdout
        assert pipe is not None
        assert select.select([pipe], [], [], seconds)[0], f"no end within {seconds} s"
        return json.loads(pipe.readline()), self._errors.read_text()


@contextmanager
def launcher(folder: Path, settings: dict[str, str]) -> Iterator[Launcher]:
    """A launcher whose processes do not outlive the context."""
    errors = folder / "errors.txt"
    with (
        errors.open("a") as file,
        subprocess.Popen(
            [sys.executable, "-m", "tests.train.forking"],
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Launcher(process, errors)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _serve() -> None:
    from tests.train import crew

    gc.freeze()
    for line in sys.stdin:
        codes = _launch(crew.main, json.loads(line))
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


def _launch(train: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> list[int]:
    """Run one training; a process that fails ends the others, as with torchrun."""
    port = _free_port()
    store = _fork(partial(_hold_store, port))
    ranks = {_fork(partial(_train_as, rank, port, train, arguments)): rank for rank in range(RANKS)}
    codes = [0] * RANKS
    while ranks:
        pid, status = os.wait()
        if (rank := ranks.pop(pid, None)) is None:
            continue
        codes[rank] = os.waitstatus_to_exitcode(status)
        for other in ranks if status else ():
            os.kill(other, signal.SIGTERM)
    os.kill(store, signal.SIGKILL)
    os.waitpid(store, 0)
    return codes


def _fork(work: Callable[[], None]) -> int:
    """Work in a child, which ends as an interpreter does; its process id."""
    pid = os.fork()
    if pid == 0:
        work()
        sys.exit()
    return pid


def _hold_store(port: int) -> None:
    """Keep torch's store, as torchrun does for all trainings of its processes."""
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    threading.Event().wait()
    del store


def _train_as(
    rank: int, port: int, train: Callable[[Sequence[str]], None], arguments: Sequence[str]
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(RANKS),
        "LOCAL_WORLD_SIZE": str(RANKS),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }
    train(arguments)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    _serve()
