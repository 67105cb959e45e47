"""Short recordings overtake long ones, and clients take turns, when they are decoded and after."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from phonemo.audio import RATE, Waveform
from phonemo.runtime.windows import PLAIN
from phonemo.server.api_errors import ApiError
from phonemo.server.decoders.decoder_pool import _Desk
from phonemo.server.dynamic_batching import DynamicBatcher
from phonemo.server.fairness.backlog import Backlog, WorkRate
from phonemo.server.fairness.clients import CLIENT
from phonemo.server.fairness.deadlines import deadline
from phonemo.server.fairness.schedule import Schedule
from phonemo.server.middleware import Meters
from phonemo.server.settings import ServeLimits
from tests.server.serving import Held
from tests.tiny_bundle import make_clip

SHORT = 1600
WINDOW = 3 * RATE


def waveform(seconds):
    return Waveform(make_clip(round(seconds * RATE), 300.0))


@contextlib.asynccontextmanager
async def batching(threads=1):
    batcher = DynamicBatcher(threads, 0.0)
    try:
        yield batcher
    finally:
        await asyncio.to_thread(batcher.close)


async def ask(batcher, model, client, seconds):
    CLIENT.set(client)
    return await batcher.recognize(model, waveform(seconds), PLAIN)


class InTurn(Held):
    """Ends no short recording before the step of a long one beside it, whose thread is slower."""

    batcher: DynamicBatcher

    def _recognize_clips(self, clips, options):
        while len(clips[0]) == SHORT and self.batcher._running[True]:
            time.sleep(0.0005)
        return super()._recognize_clips(clips, options)


def order_of(*asked, threads=1):
    """The sizes of what a model processed, once all jobs wait: (client, seconds) each."""
    model = InTurn()
    model.go.clear()

    async def act():
        async with batching(threads) as batcher:
            model.batcher = batcher
            jobs = [
                asyncio.ensure_future(ask(batcher, model, client, seconds))
                for client, seconds in asked
            ]
            while not (model.heard or any(job.done() for job in jobs)):
                await asyncio.sleep(0.001)
            model.go.set()
            return await asyncio.gather(*jobs)

    predictions = asyncio.run(act())
    assert [one.seconds for one in predictions] == [seconds for _, seconds in asked]
    return model.heard


def test_a_short_recording_waits_for_one_window_of_a_long_one():
    sizes = order_of(("a", 60.0), ("b", 0.1))
    assert SHORT in sizes[:2]
    assert sizes.count(WINDOW) > 5


def test_short_recordings_do_not_starve_a_long_one():
    sizes = order_of(("a", 31.0), *[("b", 0.1)] * 40)
    assert sizes.index(WINDOW) < 30, "one of five turns is its own while short ones wait"


def test_long_recordings_of_two_clients_are_interleaved():
    """Those of one client are processed in order: the first one is done sooner."""
    done = []

    async def follow(batcher, model, client, seconds):
        await ask(batcher, model, client, seconds)
        done.append((client, seconds))

    async def act():
        model = Held()
        async with batching() as batcher:
            await asyncio.gather(
                *(follow(batcher, model, "a", 60.0 + number) for number in range(3)),
                follow(batcher, model, "b", 60.0),
            )

    asyncio.run(act())
    assert done == [("a", 60.0), ("b", 60.0), ("a", 61.0), ("a", 62.0)] or done == [
        ("b", 60.0), ("a", 60.0), ("a", 61.0), ("a", 62.0),
    ]  # fmt: skip


def test_interleaved_windows_give_the_same_prediction(recognizer):
    long = waveform(33.0)

    async def act():
        async with batching(2) as batcher:
            return await asyncio.gather(
                *(batcher.recognize(recognizer, long, PLAIN) for _ in range(3))
            )

    alone = recognizer.predict_waveform(long)
    for prediction in asyncio.run(act()):
        assert prediction.scores == alone.scores
        assert prediction.segments == alone.segments
        assert prediction.warnings == alone.warnings


def test_the_windows_of_a_long_recording_have_the_doubt_of_the_library(recognizer):
    """Silence has no label, and a segment below the threshold is unsure."""
    long, silence = waveform(33.0), Waveform(np.zeros(33 * RATE, np.float32), ("silent",))

    async def act():
        async with batching() as batcher:
            return [await batcher.recognize(recognizer, one, PLAIN) for one in (long, silence)]

    found, silent = asyncio.run(act())
    expected = recognizer.predict_waveform(long)
    assert found.segments
    assert [one.unsure for one in found.segments] == [one.unsure for one in expected.segments]
    assert (silent.label, silent.unsure) == (None, True)
    assert silent == recognizer.predict_waveform(silence)


# Decoders -----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Process:
    """Stands for a decoder."""

    name: str


def test_a_decoder_is_kept_for_short_recordings():
    async def act():
        desk = _Desk(2)
        first, second = Process("first"), Process("second")
        desk.add(first)
        desk.add(second)
        assert await desk.take(long=True) is first
        waiting = asyncio.ensure_future(desk.take(long=True))
        await asyncio.sleep(0)
        assert await desk.take(long=False) is second
        desk.add(second)
        await asyncio.sleep(0)
        assert not waiting.done()
        desk.finished(long=True)
        desk.add(first)
        assert await waiting is second

    asyncio.run(act())


def test_a_single_decoder_decodes_both():
    async def act():
        desk, only = _Desk(1), Process("only")
        desk.add(only)
        assert await desk.take(long=True) is only

    asyncio.run(act())


def test_an_upload_that_leaves_returns_the_decoder_that_it_was_just_given():
    async def act():
        desk, only = _Desk(1), Process("only")
        asked = asyncio.ensure_future(desk.take(long=True))
        await asyncio.sleep(0)
        desk.add(only)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert await desk.take(long=True) is only

    asyncio.run(act())


# Estimates ----------------------------------------------------------------------------------------


def test_the_rate_is_the_mean_at_first_and_then_forgets():
    rate = WorkRate()
    for _ in range(10):
        rate.measured(1.0, 0.1)
    assert rate.now == pytest.approx(0.1)
    for _ in range(500):
        rate.measured(1.0, 0.5)
    assert rate.now == pytest.approx(0.5, rel=0.01)
    assert rate.best == pytest.approx(0.1)


def test_a_client_is_delayed_by_others_by_no_more_than_its_own_work():
    rate = WorkRate()
    rate.measured(1.0, 0.1)
    backlog = Backlog(2, rate)
    with backlog.holding("a") as long, backlog.holding("b") as other:
        long.audio_seconds, other.audio_seconds = 1000.0, 10.0
        assert backlog.seconds_until_done("c", 20.0) == pytest.approx((20 + 20 + 10) / 2 * 0.1)
        assert backlog.seconds_until_done("a", 20.0) == pytest.approx((1020 + 10) / 2 * 0.1)
        assert backlog.audio_seconds == 1010
    assert backlog.seconds_until_done("c", 20.0) == pytest.approx(20 * 0.1), "one worker at a time"


def test_an_idle_server_takes_a_long_recording_after_a_slow_moment():
    """Only work measures the speed: a refusal would be repeated forever."""

    async def act():
        schedule = Schedule(ServeLimits(), 2, Meters())
        schedule.rate.measured(1.0, 3.0)
        async with deadline(60.0, 0.5):
            with schedule.admission() as first:
                first.admit(480.0)
                with schedule.admission() as second, pytest.raises(ApiError, match="busy"):
                    second.admit(480.0)

    asyncio.run(act())


def test_work_that_a_stop_takes_from_the_threads_is_cancelled_without_complaint():
    async def stopped():
        complaints = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        batcher = DynamicBatcher(1, 0.0)
        began, go_on = threading.Event(), threading.Event()
        busy = asyncio.ensure_future(batcher.run(lambda: (began.set(), go_on.wait(30))))
        await asyncio.to_thread(began.wait, 30)
        for pool in batcher._pools.values():  # no thread begins the next
            pool.submit(go_on.wait, 30)
        batcher._running = {False: 0, True: 0}
        waiting = asyncio.ensure_future(batcher.run(lambda: None))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        for pool in batcher._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        results = await asyncio.gather(busy, waiting, return_exceptions=True)
        batcher.close()
        return complaints, type(results[1])

    assert asyncio.run(asyncio.wait_for(stopped(), 60)) == ([], asyncio.CancelledError)
