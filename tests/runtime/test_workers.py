"""The pool of processes: results, losses, time limits, and nothing left running."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from phonemo.runtime.workers import WorkerPool

_offset = 0


def set_up(offset: int) -> None:
    global _offset
    _offset = offset


def add_offset(job: int) -> tuple[int, int]:
    time.sleep(0.05 * (job % 2))
    return job + _offset, os.getpid()


def die_of_three(job: int) -> int:
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def never_return(job: int) -> int:
    time.sleep(600)
    return job


def sigint_handler(job: int) -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def children() -> int:
    return len(multiprocessing.active_children())


def test_every_job_is_done_once_in_other_processes():
    before = children()
    with WorkerPool(add_offset, 2, set_up, (100,)) as pool:
        done = [outcome for outcome in pool.completed(range(9)) if outcome is not None]
    assert sorted(job for job, _ in done) == list(range(9))
    assert all(result[0] == job + 100 for job, result in done)
    assert os.getpid() not in {result[1] for _, result in done}
    assert children() == before


def test_ordered_results_have_the_order_of_the_jobs():
    with WorkerPool(add_offset, 2) as pool:
        assert [value for value, _ in pool.ordered(iter(range(7)), 60)] == list(range(7))


def test_a_process_that_dies_is_an_error_after_the_results_of_the_others():
    done = []
    with WorkerPool(die_of_three, 1) as pool, pytest.raises(BrokenProcessPool):
        done.extend(pool.completed(range(9)))
    assert 3 not in [job for job, _ in done]


def test_a_job_that_never_ends_is_a_timeout_and_its_process_is_terminated():
    before = children()
    with WorkerPool(never_return, 1) as pool:
        pool.start()
        with pytest.raises(TimeoutError):
            next(pool.ordered([1], 0.2))
    assert children() == before


def test_who_polls_is_given_none_while_nothing_ends():
    with WorkerPool(never_return, 1) as pool:
        assert next(pool.completed([1], poll_seconds=0.05)) is None


def test_workers_ignore_ctrl_c_and_the_parent_keeps_its_handler():
    before = signal.getsignal(signal.SIGINT)
    with WorkerPool(sigint_handler, 1) as pool:
        assert pool.submit(1).result(60)
    assert signal.getsignal(signal.SIGINT) == before


#: In a process of its own, whose only thread is the main one.
CTRL_C = """
import os, signal
from phonemo.runtime.workers import ignore_sigint
try:
    with ignore_sigint():
        os.kill(os.getpid(), signal.SIGINT)
        print("processes started")
except KeyboardInterrupt:
    print("interrupted", signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_ctrl_c_while_processes_start_is_not_lost():
    ended = subprocess.run(
        [sys.executable, "-c", CTRL_C], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.splitlines() == ["processes started", "interrupted False"], ended.stderr
