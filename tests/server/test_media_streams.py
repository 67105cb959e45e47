"""encoding=webm: what MediaRecorder sends, over the live stream."""

from __future__ import annotations

import contextlib
import json
import os
import threading

import pytest
from websockets.exceptions import ConnectionClosed

from phonemo.server import formats
from phonemo.server.decoders.stream_decoder import MediaStreamDecoder
from tests.server.asking import (
    FINISH,
    PATIENCE_SECONDS,
    clip,
    encoded,
    events,
    post,
    stream,
    wav,
)
from tests.server.serving import children, served, settings, until
from tests.server.test_media import recorded
from tests.tiny_bundle import BUNDLE


def send(port: int, data: bytes, query: str, size: int = 2000) -> list[dict]:
    """Stream some bytes in messages; returns the events."""
    with stream(port, query) as client:
        with contextlib.suppress(ConnectionClosed):
            for start in range(0, len(data), size):
                client.send(data[start : start + size])
            client.send(FINISH)
        return events(client)


@pytest.mark.parametrize(
    ("encoding", "kind"), [("webm", "webm"), ("opus", "webm"), ("mp4", "fragmented")]
)
def test_what_mediarecorder_sends_is_recognized(port, recognizer, encoding, kind):
    data = recorded(kind, 8)
    found = send(port, data, f"?encoding={encoding}")
    assert found[0]["type"] == "ready"
    assert found[0]["rate"] == 16_000
    assert {"window", "segment"} <= {event["type"] for event in found}
    final = found[-1]
    assert final["type"] == "final"
    assert final["prediction"]["seconds"] == pytest.approx(8, abs=0.2)
    assert final["prediction"]["label"] == recognizer.predict(data).label


def test_segments_arrive_while_it_is_streaming(port):
    data = recorded("webm", 12)
    with stream(port, "?encoding=webm") as client:
        assert json.loads(client.recv(timeout=PATIENCE_SECONDS))["type"] == "ready"
        for start in range(0, len(data), 2000):
            client.send(data[start : start + 2000])
        assert json.loads(client.recv(timeout=PATIENCE_SECONDS))["type"] == "window"
        client.send(FINISH)
        assert events(client)[-1]["type"] == "final"


def test_what_is_no_container_is_refused(port):
    pytest.importorskip("av", reason="needs the extra media")
    for data in (clip(32_000).tobytes(), b"no recording" * 1000):
        last = send(port, data, "?encoding=webm")[-1]
        assert last["type"] == "error"
        assert last["error"]["code"] in ("unsupported_audio", "invalid_audio")
        assert "\n" not in last["error"]["message"]


def test_a_container_sent_as_samples_is_told_what_to_do(port):
    found = send(port, encoded(clip(16_000), "OGG"), "")[-1]["error"]
    assert found["code"] == "wrong_encoding"
    assert "encoding=ogg" in found["message"]


@pytest.mark.parametrize("field", ["rate=48000", "channels=1"])
def test_a_container_names_its_own_rate(port, field):
    (found,) = send(port, b"", f"?encoding=webm&{field}")
    assert found["error"]["code"] == "invalid_value"
    assert found["error"]["param"] == field.partition("=")[0]


def test_an_unknown_encoding_lists_the_containers_too(port):
    (found,) = send(port, b"", "?encoding=mp9")
    assert "s16le" in found["error"]["message"]
    assert "webm" in found["error"]["message"]


def test_without_the_extra_the_error_says_what_the_client_can_do(port, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    (found,) = send(port, b"", "?encoding=webm")
    assert found["error"]["code"] == "unsupported_audio"
    assert "send samples instead" in found["error"]["message"]


def test_the_process_ends_with_the_stream():
    data = recorded("webm", 3)
    with served(settings(models=(str(BUNDLE),))) as found:
        before = len(children(os.getpid()))
        with stream(found.port, "?encoding=webm") as client:
            client.send(data[:3000])
            until(lambda: len(children(os.getpid())) == before + 1)
        until(lambda: len(children(os.getpid())) == before)
        until(lambda: found.service.admission.streams.in_use == 0)
        assert found.complaints.lines == []


def test_no_upload_waits_for_the_start_of_a_streams_decoder(monkeypatch):
    pytest.importorskip("av", reason="needs the extra media")
    begun, go, opened = threading.Event(), threading.Event(), MediaStreamDecoder.open

    def slowly(decoder):
        begun.set()
        assert go.wait(PATIENCE_SECONDS)
        return opened(decoder)

    with (
        served(settings(workers=1, models=(str(BUNDLE),))) as found,
        stream(found.port, "?encoding=webm") as client,
    ):
        monkeypatch.setattr(MediaStreamDecoder, "open", slowly)
        client.send(recorded("webm", 2))
        assert begun.wait(PATIENCE_SECONDS)
        try:
            assert post(found.port, wav()).status == 200
        finally:
            go.set()
        client.send(FINISH)
        assert events(client)[-1]["type"] == "final"
