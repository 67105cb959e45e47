"""What every response carries: where its time went, and the id of its request."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from phonemo.server.auth import digest_of
from phonemo.server.routes.server_timing import server_timing
from tests.server.asking import PATH, ask, events, post, stream, wav
from tests.server.serving import Held, served, settings

WAV = wav(0.5)


def stages_of(answer):
    """Stage -> milliseconds."""
    pairs = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"])
    return {name: float(value) for name, value in pairs}


def test_stages_are_summed_and_in_milliseconds():
    seconds = {"upload": 0.001, "decode": 0.02, "wait": 0.3, "network": 0.1, "phonemes": 0.15}
    assert server_timing({**seconds, "total": 0.6}) == (
        "upload;dur=1.0, queue;dur=300.0, decode;dur=20.0, model;dur=250.0, total;dur=600.0"
    )


@pytest.mark.parametrize("fields", [{}, {"response_format": "csv"}, {"channels": "split"}])
def test_a_result_says_where_its_time_went(port, fields):
    stages = stages_of(post(port, WAV, **fields))
    assert list(stages) == ["upload", "queue", "decode", "model", "total"]
    assert sum(stages.values()) - stages["total"] <= stages["total"] + 1


def test_the_times_are_those_of_the_own_request():
    model = Held()
    with served(settings(workers=2, batch_seconds=0), {"held": model}) as found:
        model.go.clear()
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(post, found.port, WAV)
            while len(model.heard) < 2:  # the warm-up was first
                continue
            other = stages_of(ask(found.port, "/health/live"))
            refused = stages_of(post(found.port, b"RIFF\0\0\0\0WAVE"))
            model.go.set()
        assert set(other) == set(refused) == {"total"}
        assert stages_of(slow.result())["total"] >= refused["total"]


def test_a_refused_key_has_no_times():
    with served(settings(access={"keys": [digest_of("key")]}), {"held": Held()}) as found:
        assert post(found.port, WAV).headers["Server-Timing"] is None
        assert "total" in stages_of(ask(found.port, "/version"))


def test_pages_of_listed_origins_may_read_the_times():
    origin = "https://a.example"
    with served(settings(access={"cors_origins": [origin]}), {"held": Held()}) as found:
        exposed = ask(found.port, "/version", headers={"Origin": origin}).headers
    assert "Server-Timing" in exposed["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("path", "method", "body", "headers"),
    [
        ("/nowhere", "GET", None, {}),
        (PATH, "GET", None, {}),
        (PATH, "POST", b"x", {"Content-Type": "text/plain"}),
        (PATH, "POST", b"x", {"Content-Type": "audio/wav"}),
        (PATH, "PUT", b"", {}),
        ("/", "GET", None, {"Host": "evil.example"}),
        ("/v1/audio/profiles", "POST", b"x", {}),
    ],
)
def test_an_error_carries_the_id_of_its_request(port, path, method, body, headers):
    found = ask(port, path, method, body, headers)
    assert found.data["error"]["request_id"] == found.headers["X-Request-Id"]


def test_an_error_of_a_stream_carries_an_id_of_its_own(port):
    names = set()
    for _ in range(2):
        with stream(port, "?rate=1") as client:
            (event,) = events(client)
        names.add(event["error"]["request_id"])
    assert len(names) == 2
