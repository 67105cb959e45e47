"""The watchdog of a worker."""

from __future__ import annotations

import threading
import time

from phonemo.batch.worker import Watchdog


def test_a_timeout_is_reported_once():
    late = threading.Semaphore(0)
    with Watchdog(0.02, late.release):
        assert late.acquire(timeout=60)
        time.sleep(0.1)
    assert not late.acquire(blocking=False)


def test_progress_prevents_the_timeout():
    late = threading.Event()
    with Watchdog(60.0, late.set) as watch:
        for _ in range(100):
            watch.tick()
    assert not late.is_set()


def test_the_thread_ends_with_the_context():
    before = threading.active_count()
    for _ in range(20):
        with Watchdog(60.0, lambda: None):
            pass
    end = time.monotonic() + 60
    while threading.active_count() > before:
        assert time.monotonic() < end
        time.sleep(0.01)
