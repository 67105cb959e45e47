"""Dynamic batching: it changes no result, and a failing clip does not affect others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading

import numpy as np
import pytest

import phonemo
from phonemo.audio import RATE, Waveform
from phonemo.errors import AudioError, CheckpointError
from phonemo.runtime.windows import PLAIN, ClipScores, PredictOptions
from phonemo.server.dynamic_batching import DynamicBatcher
from tests.server.asking import post, wav
from tests.server.serving import Held, served, settings, until
from tests.tiny_bundle import BUNDLE, alike, make_clip

LENGTHS = (0.03, 0.4, 0.5, 0.51, 0.7, 1.0, 1.3, 2.0)


def waveform(seconds, hertz=300.0):
    return Waveform(make_clip(round(seconds * RATE), hertz))


@contextlib.asynccontextmanager
async def hearers(threads=1, batch_seconds=60.0, started=lambda size, waited: None):
    found = DynamicBatcher(threads, batch_seconds, started)
    try:
        yield found
    finally:
        await asyncio.to_thread(found.close)


async def behind(found, model, asked):
    """Return the results of jobs that are queued while a first recording holds the thread."""
    first = asyncio.ensure_future(found.recognize(model, waveform(0.9), PLAIN))
    while not model.heard:
        await asyncio.sleep(0.001)
    rest = [asyncio.ensure_future(one) for one in asked]
    await asyncio.sleep(0.01)
    model.go.set()
    return await asyncio.gather(first, *rest, return_exceptions=True)


@pytest.fixture
def model():
    found = Held()
    found.go.clear()
    return found


class Fussy(Held):
    """Fails for a clip of half a second, alone and in a batch."""

    def _recognize_clips(self, clips, options):
        self.batches.append(len(clips))
        self.heard += [len(one) for one in clips]
        assert self.go.wait(30)
        if any(len(one) == RATE // 2 for one in clips):
            raise self.error
        return [ClipScores(np.array([len(one) / RATE / 100, 0.9]), ()) for one in clips]


# Company ------------------------------------------------------------------------------------------


def together(listener, clips, shares):
    """Return the results of clips that wait for the same thread, and the batch sizes."""
    sizes = []
    ready = threading.Event()

    async def act():
        async with hearers(started=lambda size, _: sizes.append(size)) as found:
            blocked = asyncio.ensure_future(found.run(ready.wait))
            asked = [
                asyncio.ensure_future(found.recognize(listener, c, PredictOptions(shares)))
                for c in clips
            ]
            await asyncio.sleep(0)
            ready.set()
            await blocked
            return await asyncio.gather(*asked)

    return asyncio.run(act()), sizes[1:]


@pytest.mark.parametrize("shares", [False, True])
def test_a_batched_clip_gets_the_same_result_as_alone(recognizer, shares):
    clips = [waveform(one, 200 + 100 * at) for at, one in enumerate(LENGTHS)]
    found, sizes = together(recognizer, clips, shares)
    assert sizes == [1] * 8, "int8: company would change its last digits, and so its steps"
    for clip, answer in zip(clips, found, strict=True):
        alone = recognizer.predict_waveform(clip, PredictOptions(shares))
        assert answer.scores == alone.scores
        assert answer.seconds == alone.seconds
        assert alike(answer.phonemes, alone.phonemes)
        assert answer.warnings == alone.warnings


def test_the_packaged_model_gives_batched_clips_the_same_result():
    listener, _ = phonemo.load().for_jobs(2)
    clips = [waveform(one, 150 + 60 * at) for at, one in enumerate(LENGTHS)]
    found, _ = together(listener, clips, False)
    for clip, answer in zip(clips, found, strict=True):
        assert answer.scores == listener.predict_waveform(clip).scores


def test_every_request_gets_its_own_result(model):
    """Concurrent clips of every length; the score encodes the length."""
    lengths = [round(0.1 + 0.01 * at, 2) for at in range(30)]
    np.random.default_rng(0).shuffle(lengths)

    async def act():
        async with hearers(threads=2) as found:
            asked = [found.recognize(model, waveform(one), PLAIN) for one in lengths]
            return await behind(found, model, asked)

    _, *found = asyncio.run(act())
    for length, one in zip(lengths, found, strict=True):
        assert one.seconds == length
        assert one.scores["anger"] == pytest.approx(length / 1000)
    assert max(model.batches) > 1


@pytest.mark.parametrize(
    ("batch_seconds", "batches"),
    [(0.0, [1] * 7), (1.0, [1, 2, 2, 2]), (60.0, [1, 6]), (0.3, [1] * 7), (1.5, [1, 3, 3])],
)
def test_a_batch_is_limited_in_audio(model, batch_seconds, batches):
    async def act():
        async with hearers(batch_seconds=batch_seconds) as found:
            asked = [found.recognize(model, waveform(0.5), PLAIN) for _ in range(6)]
            return await behind(found, model, asked)

    asyncio.run(act())
    assert model.batches == batches


def test_the_batch_limit_includes_padding(model):
    """Shorter ones are padded to it: 2 s with 3 of 1 s are 8 s of work."""

    async def act():
        async with hearers(batch_seconds=6.0) as found:
            asked = [found.recognize(model, waveform(one), PLAIN) for one in (2.0, 1, 1, 1)]
            return await behind(found, model, asked)

    asyncio.run(act())
    assert model.batches == [1, 3, 1]


def test_only_jobs_with_the_same_options_are_batched(model):
    other = Held()

    async def act():
        async with hearers() as found:
            asked = [
                found.recognize(one, waveform(0.5), PredictOptions(shares, timeline))
                for one in (model, other)
                for shares in (False, True)
                for timeline in (False, True)
                for _ in range(2)
            ]
            return await behind(found, model, asked)

    found = asyncio.run(act())
    assert not any(isinstance(one, Exception) for one in found)
    assert max(model.batches) == max(other.batches) == 2


def test_no_job_waits_for_a_batch(model):
    async def act():
        async with hearers(threads=4) as found:
            asked = [found.recognize(model, waveform(0.5), PLAIN) for _ in range(4)]
            waiting = asyncio.gather(*asked)
            while len(model.heard) < 4:
                await asyncio.sleep(0.001)
            model.go.set()
            await waiting

    asyncio.run(act())
    assert model.batches == [1] * 4


def test_the_oldest_job_is_next(model):
    order = []

    async def ask(found, name, seconds):
        await found.recognize(model, waveform(seconds), PLAIN)
        order.append(name)

    async def act():
        async with hearers(batch_seconds=0) as found:
            asked = [ask(found, name, seconds) for name, seconds in enumerate([2, 0.1, 1, 0.1, 2])]
            await behind(found, model, asked)

    asyncio.run(act())
    assert order == [0, 1, 2, 3, 4]


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [CheckpointError("bad"), ValueError("bad"), MemoryError("bad")])
def test_a_failing_job_does_not_affect_its_batch(error):
    model = Fussy()
    model.error = error
    model.go.clear()

    async def act():
        async with hearers() as found:
            lengths = (0.4, 0.5, 0.6, 0.7)
            asked = [found.recognize(model, waveform(one), PLAIN) for one in lengths]
            result = await behind(found, model, asked)
            assert (await found.recognize(model, waveform(1), PLAIN)).seconds == 1
            return result

    _, first, bad, third, fourth = asyncio.run(act())
    assert bad is error
    assert [one.seconds for one in (first, third, fourth)] == [0.4, 0.6, 0.7]


def test_errors_reach_the_caller():
    async def act():
        async with hearers(threads=2) as found:

            def fail(place):
                raise AudioError("invalid_audio", str(place))

            asked = [found.run(lambda place=place: fail(place)) for place in range(20)]
            return await asyncio.gather(*asked, return_exceptions=True)

    assert [str(one) for one in asyncio.run(act())] == [str(place) for place in range(20)]


# Who leaves ---------------------------------------------------------------------------------------


def test_a_waiting_job_is_dropped_when_cancelled(model):
    async def act():
        async with hearers(batch_seconds=0) as found:
            first = asyncio.ensure_future(found.recognize(model, waveform(0.9), PLAIN))
            asked = [
                asyncio.ensure_future(found.recognize(model, waveform(one), PLAIN))
                for one in (0.1, 0.2, 0.3)
            ]
            while not model.heard:
                await asyncio.sleep(0.001)
            asked[1].cancel()
            await asyncio.sleep(0)
            model.go.set()
            return await asyncio.gather(first, *asked, return_exceptions=True)

    *_, gone, last = asyncio.run(act())
    assert isinstance(gone, asyncio.CancelledError)
    assert last.seconds == 0.3
    assert model.heard == [14_400, 1600, 4800]


def test_a_long_recording_stops_when_cancelled(model):
    async def act():
        async with hearers() as found:
            long = asyncio.ensure_future(found.recognize(model, waveform(300), PLAIN))
            while not model.heard:
                await asyncio.sleep(0.001)
            long.cancel()
            await asyncio.gather(long, return_exceptions=True)
            model.go.set()
            return await found.recognize(model, waveform(0.1), PLAIN)

    assert asyncio.run(act()).seconds == 0.1
    assert len(model.heard) < 10, "of 199 windows"


def test_a_cancelled_job_does_not_affect_its_batch(model):
    async def act():
        async with hearers() as found:
            first = asyncio.ensure_future(found.recognize(model, waveform(0.9), PLAIN))
            asked = [
                asyncio.ensure_future(found.recognize(model, waveform(one), PLAIN))
                for one in (0.4, 0.5, 0.6)
            ]
            while not model.heard:
                await asyncio.sleep(0.001)
            model.go.set()
            while len(model.heard) < 4:
                await asyncio.sleep(0.0001)
            asked[1].cancel()
            return await asyncio.gather(first, *asked, return_exceptions=True)

    found = asyncio.run(act())
    assert [one.seconds for one in found if not isinstance(one, BaseException)][:1] == [0.9]
    assert found[1].seconds == 0.4
    assert found[3].seconds == 0.6


def test_closing_with_waiting_jobs_logs_nothing(model):
    """Waiting jobs are dropped without an exception that nothing can catch."""
    complaints = []

    async def act():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        async with hearers(batch_seconds=0) as found:
            asked = [
                asyncio.ensure_future(found.recognize(model, waveform(0.1), PLAIN))
                for _ in range(3)
            ]
            await asyncio.sleep(0.05)
            threading.Timer(0.2, model.go.set).start()
        await asyncio.sleep(0.05)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(act())
    assert complaints == []


# Over HTTP ----------------------------------------------------------------------------------------


def test_results_under_load_equal_those_alone(recognizer):
    lengths = [0.3 + 0.05 * (at % 8) for at in range(24)]
    answers = {}

    def ask(place):
        answers[place] = post(found.port, wav(lengths[place], 200 + 10 * place), f"{place}.wav")

    config = settings(models=(str(BUNDLE),), workers=1, limits={"queue": 32})
    with served(config) as found:
        release = threading.Event()
        found.call(lambda: asyncio.ensure_future(found.service.pipeline.batcher.run(release.wait)))
        threads = [threading.Thread(target=ask, args=[place]) for place in range(24)]
        for one in threads:
            one.start()
        until(lambda: found.service.pipeline.batcher.waiting == 24)
        release.set()
        for one in threads:
            one.join()
    for place, one in answers.items():
        alone = recognizer.predict(wav(lengths[place], 200 + 10 * place))
        assert one.data["scores"] == pytest.approx(alone.scores, abs=1e-5)
        assert one.data["seconds"] == round(alone.seconds, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority")
def test_inference_threads_have_lower_priority():
    def priority():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def act():
        async with hearers() as found:
            return await found.run(priority)

    assert asyncio.run(act()) > priority() or priority() == 19
