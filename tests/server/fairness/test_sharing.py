"""Clients of several addresses: one of them cannot starve another, and is told what is the case."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from phonemo.audio import Waveform
from phonemo.server import middleware
from phonemo.server.fairness.deadlines import deadline
from tests.server.asking import FINISH, PATH, ask, events, form, head, part, post, rest, stream, wav
from tests.server.serving import Held, served, settings, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8")
OTHER = "127.0.0.2"
WAV = wav(0.1)
BODY = form(part("file", WAV, "a.wav"))


@contextlib.contextmanager
def from_other(port, data=b""):
    """A connection from another address, which has sent this."""
    address = ("127.0.0.1", port)
    with socket.create_connection(address, timeout=60, source_address=(OTHER, 0)) as client:
        client.sendall(data)
        yield client


def post_from_other(port):
    with from_other(port, head(port, len(BODY), "Connection: close") + BODY) as client:
        return int(rest(client).split(b" ", 2)[1])


def stream_of_other(port, query=""):
    return stream(port, query, source_address=(OTHER, 0))


def small(**limits):
    return settings(workers=1, batch_seconds=0, limits=limits)


# Uploads ------------------------------------------------------------------------------------------


def test_stalled_uploads_of_one_address_leave_room_for_another():
    with served(small(uploads=2), {"held": Held()}) as found, contextlib.ExitStack() as stack:
        start = head(found.port, 1000) + b"-"
        slow = [stack.enter_context(from_other(found.port, start)) for _ in range(2)]
        until(lambda: found.service.admission.uploads.in_use == 2)
        assert post(found.port, WAV).status == 200
        until(lambda: found.service.admission.uploads.in_use == 1)
        assert sum(found_refusal(one) for one in slow) == 1
        assert found.metric("yielded") == 1


def found_refusal(client):
    """Whether the server has refused this upload; it did so before another was answered."""
    client.settimeout(0.5)
    try:
        return client.recv(12) == b"HTTP/1.1 429"
    except TimeoutError:
        return False


def test_an_upload_that_cannot_arrive_in_time_is_refused_early(monkeypatch):
    monkeypatch.setattr(middleware, "_INITIAL_READ_SECONDS", 0.1)
    limits = {"read_seconds": 3600.0, "slowest_bytes_per_second": 1}
    with served(small(**limits), {"held": Held()}) as found:
        with from_other(found.port, head(found.port, 20_000_000) + BODY[:400]) as client:
            client.settimeout(0.05)
            said = b""
            while not said:
                client.sendall(bytes(100))
                with contextlib.suppress(TimeoutError):
                    said = client.recv(12)
        assert said == b"HTTP/1.1 408"


def test_idle_connections_of_one_address_leave_room_for_another():
    with served(small(connections=3), {"held": Held()}) as found, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(from_other(found.port))
        assert post(found.port, WAV).status == 200


# The queue ----------------------------------------------------------------------------------------


def test_a_full_queue_of_one_address_yields_its_newest_to_another():
    model = Held()
    with served(small(queue=2), {"held": model}) as found, ThreadPoolExecutor(4) as pool:
        model.go.clear()
        queue = found.service.admission.queue
        greedy = []
        for count in range(1, 4):
            greedy.append(pool.submit(post_from_other, found.port))
            until(lambda count=count: queue.in_use == count)
        honest = pool.submit(post, found.port, WAV)
        assert greedy[2].result() == 429
        until(lambda: queue.in_use == 3)
        model.go.set()
        assert honest.result().status == 200
        assert [one.result() for one in greedy[:2]] == [200, 200]


# The deadline -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("best", "told"), [(0.01, (503, "busy")), (1e4, (413, "audio_too_long"))])
def test_work_that_cannot_be_done_in_time_is_refused_at_once(best, told):
    """Busy and too long are two answers: only the first one is worth another try."""
    model = Held()
    with served(small(), {"held": model}) as found:
        schedule = found.service.pipeline.schedule
        schedule.rate.now, schedule.rate.best = 1e4, best
        recognized = len(model.heard)
        with schedule.backlog.holding("other") as work:
            work.audio_seconds = 1e-3
            refused = post(found.port, WAV)
        assert refused.told == told
        assert len(model.heard) == recognized
        if told[1] == "busy":
            assert 900 <= int(refused.headers["Retry-After"]) <= 1000
            assert found.service.admission.queue.in_use == 0


def test_a_long_recording_has_more_time():
    async def act():
        async with deadline(1.0, 0.5) as until_then:
            until_then.add_audio(100)
            assert until_then.seconds == 51
            assert until_then.left > 50 - 20

    asyncio.run(act())


def test_what_a_deadline_ended_is_freed_without_the_collector(monkeypatch):
    model, freed = Held(), []
    with served(small(deadline_seconds=0.3), {"held": model}) as found:
        decoders = found.service.pipeline.decoders

        async def decode(upload, name, channels, admit):
            samples = np.zeros(16_000, np.float32)
            freed.append(weakref.ref(samples))
            return (Waveform(samples),)

        monkeypatch.setattr(decoders, "decode_channels", decode)
        gc.collect()
        gc.disable()
        try:
            model.go.clear()
            assert post(found.port, WAV).told == (503, "busy")
            model.go.set()
            until(lambda: freed[0]() is None, 20)
        finally:
            gc.enable()


# Streams ------------------------------------------------------------------------------------------


def test_streams_of_one_address_yield_the_silent_one_which_gets_its_result():
    with served(small(streams=2), {"held": Held()}) as found, contextlib.ExitStack() as stack:
        silent, other = (stack.enter_context(stream_of_other(found.port)) for _ in range(2))
        for one in (silent, other):
            one.send(bytes(32_000))
            assert json.loads(one.recv(timeout=240))["type"] == "ready"
        inboxes = found.service.admission.streams
        until(lambda: inboxes.in_use == 2)
        for _ in range(3):
            other.send(bytes(32_000))
        until(lambda: found.metric("stage_seconds_count") > 0)
        with stream(found.port) as honest:
            assert json.loads(honest.recv(timeout=240))["type"] == "ready"
            last = [events(one)[-1]["type"] for one in (silent,)]
            assert last == ["final"]
            assert silent.close_code == 1013
            assert silent.close_reason == "stream_limit"
            honest.send(FINISH)
            other.send(FINISH)
            assert events(other)[-1]["type"] == "final"


def test_empty_messages_do_not_keep_a_stream_open():
    over = threading.Event()
    config = small(stream_idle_seconds=0.5)
    with served(config, {"held": Held()}) as found, stream(found.port) as client:
        client.send(bytes(32_000))

        def send_nothing():
            with contextlib.suppress(Exception):
                while not over.wait(0.05):
                    client.send(b"")

        sender = threading.Thread(target=send_nothing)
        sender.start()
        assert events(client)[-1]["type"] == "final"
        over.set()
        sender.join()


@pytest.mark.parametrize("message", [b"", b"\0\0"])
def test_a_flood_of_tiny_messages_closes_its_stream(message):
    config = small(stream_messages_per_second=5)
    with served(config, {"held": Held()}) as found, stream(found.port) as client:
        with contextlib.suppress(Exception):
            for _ in range(100):
                client.send(message)
        error = events(client)[-1]
        assert error["type"] == "error"
        assert error["error"]["code"] == "too_many_messages"
        assert client.close_code == 1008


def test_small_messages_of_real_audio_are_no_flood():
    """A telephone line in packets of 10 ms, sent as fast as possible."""
    config, query = small(stream_messages_per_second=5), "?rate=8000&encoding=mulaw"
    with served(config, {"held": Held()}) as found, stream(found.port, query) as client:
        for _ in range(300):
            client.send(b"\xff" * 80)
        client.send(FINISH)
        last = events(client)[-1]
        assert last["type"] == "final"
        assert last["prediction"]["seconds"] == 3.0


def test_metrics_show_how_places_and_time_are_shared():
    with served(small(), {"held": Held()}) as found:
        assert post(found.port, WAV).status == 200
        text = ask(found.port, "/metrics").body.decode()
    for name in (
        "uploads", "in_flight", "streams", "yielded_total", "waiting_audio_bytes",
        "backlog_audio_seconds", "work_seconds_per_audio_second",
    ):  # fmt: skip
        assert f"phonemo_{name}" in text
    assert "127.0.0.1" not in text, "no address is kept in a metric"
    assert PATH in text
