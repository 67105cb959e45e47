"""Overload, deadlines, startup and shutdown: each has a status, and every slot is released."""

from __future__ import annotations

import asyncio
import contextlib
import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from phonemo.errors import CheckpointError
from phonemo.server import service as service_module
from phonemo.server.app import create_app
from phonemo.server.models.model_registry import open_models
from phonemo.server.service import Service, State
from tests.server.asking import KIND, PATH, ask, connected, form, head, part, post, stream, wav
from tests.server.serving import Held, served, settings, until
from tests.tiny_bundle import BUNDLE

WAV = wav(0.1)
BODY = form(part("file", WAV, "a.wav"))


@pytest.fixture
def model():
    return Held()


@contextlib.contextmanager
def holding(found, model, count):
    """So many requests are in flight until the end; then their statuses are in the list."""
    statuses = []
    model.go.clear()
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(post, found.port, WAV) for _ in range(count)]
        try:
            until(lambda: found.service.admission.queue.in_use == count)
            yield statuses
        finally:
            model.go.set()
            statuses += [one.result().status for one in asked]


def small(queue=1, workers=1, **limits):
    return settings(workers=workers, limits={"queue": queue, **limits}, batch_seconds=0)


# A full queue -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("queue", "workers"), [(0, 1), (1, 1), (2, 2)])
def test_a_request_over_the_queue_limit_is_429(model, queue, workers):
    with served(small(queue, workers), {"held": model}) as found:
        with holding(found, model, queue + workers) as statuses:
            refused = post(found.port, WAV)
            assert refused.told == (429, "queue_full")
            assert 1 <= int(refused.headers["Retry-After"]) <= 30
            assert ask(found.port, "/health/live").status == 200
            assert ask(found.port, "/health/ready").status == 200
            assert found.metric("in_flight") == queue + workers
        assert statuses == [200] * (queue + workers)
        assert post(found.port, WAV).status == 200
        assert found.service.admission.queue.in_use == 0


def test_of_many_requests_those_in_the_queue_succeed_and_the_rest_is_429(model):
    with served(small(4, 2), {"held": model}) as found:
        model.go.clear()
        with ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(post, found.port, WAV) for _ in range(40)]
            until(lambda: sum(one.done() for one in asked) == 34)
            model.go.set()
            statuses = [one.result().status for one in asked]
        assert sorted(statuses) == [200] * 6 + [429] * 34
        assert found.service.admission.queue.in_use == 0


def test_a_stalled_upload_takes_no_queue_slot(model):
    """A client that sends a byte per second must not hold a queue slot."""
    with (
        served(small(1, 1, read_seconds=20.0), {"held": model}) as found,
        contextlib.ExitStack() as all,
    ):
        for _ in range(4):
            client = all.enter_context(connected(found.port))
            client.sendall(head(found.port, 1000) + b"-")
        asked = ask(found.port, "/health/live")  # those before are seen by now
        assert asked.status == 200
        assert post(found.port, WAV).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(part("file", b"nonsense", "a.wav")), 415),
        (form(part("file", b"", "a.wav")), 422),
        (form(part("top_k", b"0")), 400),
        (form(part("file", WAV, "a.wav"), part("labels", b"joy,anger")), 400),
        (b"nonsense", 400),
    ],
)
def test_an_error_releases_its_slot(model, body, status):
    with served(small(0, 1), {"held": model}) as found:
        for _ in range(3):
            assert ask(found.port, PATH, "POST", body, KIND).status == status
        assert found.service.admission.queue.in_use == 0
        assert post(found.port, WAV).status == 200


# A client that leaves -----------------------------------------------------------------------------


def test_a_disconnect_releases_the_slot(model):
    with served(small(0, 1), {"held": model}) as found:
        model.go.clear()
        with connected(found.port) as client:
            client.sendall(head(found.port, len(BODY)) + BODY)
            until(lambda: found.service.admission.queue.in_use == 1)
        until(lambda: found.service.admission.queue.in_use == 0)
        model.go.set()
        assert post(found.port, WAV).status == 200
        assert found.complaints.lines == []


def test_a_disconnect_during_the_upload_is_not_a_server_error(model):
    with served(small(0, 1), {"held": model}) as found:
        with connected(found.port) as client:
            client.sendall(head(found.port, len(BODY)) + BODY[:500])
            until(lambda: found.service.admission.uploads.in_use == 1)
        until(lambda: found.service.admission.is_idle)
        assert post(found.port, WAV).status == 200
        assert found.complaints.lines == []
        assert 'status="500"' not in ask(found.port, "/metrics").body.decode()


def test_a_waiting_recording_of_a_disconnected_client_is_dropped(model):
    with served(small(3, 1), {"held": model}) as found:
        with holding(found, model, 1):
            until(lambda: len(model.heard) == 2)  # the warm-up was first
            for _ in range(2):
                with connected(found.port) as client:
                    client.sendall(head(found.port, len(BODY)) + BODY)
                    until(lambda: found.service.admission.queue.in_use == 2)
                until(lambda: found.service.admission.queue.in_use == 1)
        assert post(found.port, WAV).status == 200
        assert len(model.heard) == 3


# A deadline ---------------------------------------------------------------------------------------


def test_a_missed_deadline_of_a_short_recording_is_503_busy_and_releases_the_slot(model):
    """It is not too long: the machine had something else to do."""
    with served(small(0, 1, deadline_seconds=0.5), {"held": model}) as found:
        model.go.clear()
        missed = post(found.port, WAV)
        assert missed.told == (503, "busy")
        assert int(missed.headers["Retry-After"]) >= 1
        assert found.service.admission.queue.in_use == 0
        model.go.set()
        assert post(found.port, WAV).status == 200


def test_a_model_error_is_500_and_releases_the_slot(model):
    class Broken(Held):
        def _recognize_clips(self, clips, options):
            if self.heard:
                raise CheckpointError("the network cannot be run")
            return super()._recognize_clips(clips, options)

    with served(small(0, 1), {"broken": Broken()}) as found:
        assert post(found.port, WAV).told == (500, "model_error")
        assert found.service.admission.queue.in_use == 0


# Too early and too late ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cold():
    """A server whose model is not warm yet."""
    model = Held()
    model.go.clear()
    with served(settings(), {"held": model}, warm=False) as found:
        until(lambda: model.heard)
        yield found
        model.go.set()


@pytest.mark.parametrize("path", ["/health/ready", PATH])
def test_requests_before_the_warm_up_are_503(cold, path):
    found = ask(cold.port, path, "GET" if "health" in path else "POST")
    assert found.told == (503, "starting")
    assert found.headers["Retry-After"] == "1"


def test_a_starting_server_is_live_and_returns_its_version(cold):
    assert ask(cold.port, "/health/live").data == {"status": "ok"}
    assert ask(cold.port, "/version").status == 200
    assert ask(cold.port, "/").status == 200


def test_a_stream_before_the_warm_up_gets_an_error(cold):
    with stream(cold.port) as client:
        assert "starting" in client.recv(timeout=240)


def test_a_stopping_server_is_503_but_live(model):
    with served(small(), {"held": model}) as found:
        with holding(found, model, 1) as statuses:
            found.call(found.service.stop)
            until(lambda: ask(found.port, "/health/ready").status == 503)
            assert post(found.port, WAV).told == (503, "stopping")
            assert ask(found.port, "/health/live").status == 200
        assert statuses == [200]


def test_a_failed_start_is_reported_once():
    failures = []

    async def act():
        app = create_app(settings(models=("/nowhere",)), failed=failures.append)
        async with app.router.lifespan_context(app):
            while not failures:
                await asyncio.sleep(0.01)

    asyncio.run(act())
    (error,) = failures
    assert isinstance(error, CheckpointError)


@pytest.mark.parametrize("limits", [{"decoder_bytes": 1}])
def test_a_server_that_cannot_start_reports_the_failure(limits):
    """Limits that no recording passes, or that only the warm-up's second does not pass."""
    failures = []

    async def act():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        app = create_app(settings(limits=limits), {"held": Held()}, failures.append)
        async with app.router.lifespan_context(app), asyncio.timeout(60):
            while not failures and app.service.state.value == "starting":
                await asyncio.sleep(0.01)

    asyncio.run(act())
    assert failures, "the program is told to end"


def test_the_warm_up_has_no_time_limit():
    """A decoder that takes longer than a request may is no fault of the start."""
    with served(settings(limits={"decode_seconds": 0.01}), {"held": Held()}) as found:
        assert found.service.state is State.READY


#: A decoder whose first processes crash, as where memory is short for a moment.
CRASHING = """
import json, os, sys
with open({path!r}, "a") as log:
    log.write("x")
if os.path.getsize({path!r}) <= {crashes}:
    os._exit(1)
from phonemo.server.decoders import decoder_worker as worker
worker.serve(worker.DecoderLimits(**json.loads(sys.argv[1])), worker._load)
"""


def test_a_start_goes_on_after_lost_decoders_and_says_what_it_waits_for(tmp_path, monkeypatch):
    monkeypatch.setattr(service_module, "_LONGEST_PAUSE_SECONDS", 0.3)
    program = ("-c", CRASHING.format(path=str(tmp_path / "log"), crashes=4))
    with served(settings(decoders=1), {"held": Held()}, program, warm=False) as found:
        refusals = set()

        def is_ready() -> bool:
            answer = ask(found.port, "/health/ready")
            refusals.update([answer.data["error"]["message"]] if answer.status == 503 else [])
            return answer.status == 200

        until(is_ready)
        assert any("before they are ready" in text and "tried again" in text for text in refusals)


# Models -------------------------------------------------------------------------------------------


def test_a_duplicate_model_is_rejected():
    with pytest.raises(CheckpointError, match="tiny-bundle is served already"):
        open_models(settings(models=(str(BUNDLE), str(BUNDLE))))


@pytest.mark.parametrize("name", ["queue", "streams", "uploads"])
def test_a_slot_is_released_after_an_error(name):
    slots = getattr(Service(small(1, 1)).admission, name)
    with contextlib.suppress(KeyError), slots.slot():
        assert slots.in_use == 1
        raise KeyError
    assert slots.in_use == 0


def test_an_app_can_be_started_again_after_it_was_closed():
    app = create_app(settings(), {"held": Held()})

    async def run():
        async with app.router.lifespan_context(app), asyncio.timeout(60):
            while app.service.state is State.STARTING:
                await asyncio.sleep(0.01)
            waveform = await app.service.pipeline.decoders.decode(io.BytesIO(wav(1)), "a.wav")
            assert waveform.seconds == 1

    asyncio.run(run())
    asyncio.run(run())
