"""Starts the processes of a training by fork, where neither torchrun nor a command is tested.

One process imports torch, transformers and phonemo.train for all tests of trainings, and forks the
processes of each launch: they import for longer than they train.
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
from importlib import import_module
from pathlib import Path

#: Of every process: one thread, this machine alone.
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "agg",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


class Launcher:
    """Launches modules that have a function ``main``, one launch at a time."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self._process = process
        self._errors = errors
        self._number = 0

    def start(self, module: str, *arguments: str, ranks: int = 1) -> None:
        """Start so many processes; several are ranks of one training."""
        self._errors.write_text("")
        assert self._process.stdin is not None
        self._number += 1
        launch = json.dumps([self._number, module, arguments, ranks])
        self._process.stdin.write(launch.encode() + b"\n")

    def finish(self, seconds: float) -> tuple[list[int], str]:
        """Exit codes by rank (-9 after SIGKILL), and the standard error of all.

        The end of an earlier launch, whose test failed before it could read it, is skipped.
        """
        pipe, number = self._process.stdout, 0
        assert pipe is not None
        while number != self._number:
            assert select.select([pipe], [], [], seconds)[0], f"no end within {seconds} s"
            number, codes = json.loads(pipe.readline())
        return codes, self._errors.read_text()


@contextmanager
def launcher(folder: Path) -> Iterator[Launcher]:
    """A launcher whose processes do not outlive the context."""
    errors = folder / "errors.txt"
    with (
        errors.open("a") as file,
        subprocess.Popen(
            [sys.executable, "-m", "tests.train.forking"],
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | SETTINGS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            bufsize=0,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Launcher(process, errors)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _serve() -> None:
    from tests.train import crew  # noqa: F401, which imports what trainings need

    gc.freeze()
    for line in sys.stdin:
        number, module, arguments, ranks = json.loads(line)
        work = partial(import_module(module).main, arguments)
        codes = _wait_for([_fork(work)]) if ranks == 1 else _train(work, ranks)
        sys.stdout.write(json.dumps([number, codes]) + "\n")
        sys.stdout.flush()


def _train(work: Callable[[], None], ranks: int) -> list[int]:
    """Work as the ranks of one training; their exit codes."""
    port = _free_port()
    store = _fork(partial(_hold_store, port))
    codes = _wait_for([_fork(partial(_as_rank, rank, ranks, port, work)) for rank in range(ranks)])
    os.kill(store, signal.SIGKILL)
    os.waitpid(store, 0)
    return codes


def _wait_for(pids: Sequence[int]) -> list[int]:
    """Exit codes; a process that fails ends the others, as with torchrun."""
    codes: dict[int, int] = {}
    while len(codes) < len(pids):
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status)
        for other in set(pids) - codes.keys() if status else ():
            os.kill(other, signal.SIGTERM)
    return [codes[pid] for pid in pids]


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


def _as_rank(rank: int, ranks: int, port: int, work: Callable[[], None]) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }
    work()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    _serve()
