"""WS /v1/audio/stream: the events of a stream, its end in every way, and places given back."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from phonemo.audio.pcm import ENCODINGS
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from phonemo.runtime.windows import ClipScores
from phonemo.server.routes.responses import prediction_data
from tests.pcm import encode_pcm, voice
from tests.server.asking import FINISH, clip, connected, events, stream
from tests.server.serving import Held, served, settings, until
from tests.tiny_bundle import BUNDLE, RATE

SAMPLES = np.concatenate([clip(9 * RATE, 120.0), 0 * clip(4 * RATE), clip(7 * RATE + 77, 900.0)])
UPGRADE = (
    b"GET /v1/audio/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIMITS = {"stream_message_bytes": 20_000, "streams": 2}


def heard(recognizer, samples, rate=RATE, shares=False):
    """Return the library events for the same samples."""
    live = StreamingRecognizer(recognizer, rate, shares=shares)
    told = live.push(samples)
    last, answer = live.finish()
    data = [
        {"type": one.kind, "segment": one.segment.to_dict(), "speech_ratio": one.speech_ratio}
        for one in (*told, *last)
    ]
    return [*data, {"type": "final", "prediction": prediction_data("tiny-bundle", answer)}]


def streamed(port, messages, query=""):
    """Return all events for these messages, and the close code."""
    with stream(port, query) as client:
        with contextlib.suppress(Exception):
            for one in messages:
                client.send(one)
        return events(client), client.close_code


def cut(data, sizes):
    """The data in pieces of these sizes, over and over."""
    found = []
    while data:
        for size in sizes:
            found.append(data[:size])
            data = data[size:]
    return [one for one in found if one]


@pytest.fixture(scope="module")
def small():
    """A server with small limits of streams, but for time: a busy client may be slow."""
    config = settings(models=(str(BUNDLE),), limits=LIMITS)
    with served(config) as found:
        yield found


@pytest.fixture(scope="module")
def hasty():
    """A server whose streams end soon."""
    limits = {"stream_idle_seconds": 0.5, "stream_seconds": 10.0}
    with served(settings(models=(str(BUNDLE),), limits=limits)) as found:
        yield found


@pytest.fixture(autouse=True)
def quiet(request):
    """Nothing that a client does is a fault in the server's log, and no place is lost."""
    named = {"small", "hasty", "server"} & set(request.fixturenames)
    used = [request.getfixturevalue(one) for one in named]
    for found in used:
        found.complaints.lines = []  # a server of another test file may have written to the log
    yield
    for found in used:
        until(lambda found=found: found.service.admission.streams.in_use == 0, 10)
        complaints, found.complaints.lines = found.complaints.lines, []
        assert complaints == []


# What is told -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes", [(3200,), (1, 2, 3, 5, 40_001), (131_072,), (31_999, 1), (7777, 0, 1)]
)
def test_events_equal_those_of_the_library_for_any_message_sizes(server, recognizer, sizes):
    messages = cut(SAMPLES.tobytes(), sizes)
    (ready, *found), code = streamed(server.port, [*messages, FINISH])
    assert ready == {
        "type": "ready",
        "model": "tiny-bundle",
        "rate": RATE,
        "window_seconds": 3.0,
        "hop_seconds": 1.5,
    }
    assert found == heard(recognizer, SAMPLES)
    assert code == 1000
    assert {one["type"] for one in found} == {"window", "segment", "final"}


@pytest.mark.parametrize("rate", [8000, 48_000])
def test_another_rate_gives_the_library_result(server, recognizer, rate):
    samples = clip(3 * rate)
    messages = cut(samples.tobytes(), (rate,))
    (_, *found), _ = streamed(server.port, [*messages, FINISH], f"?rate={rate}")
    assert found == heard(recognizer, samples, rate)


@pytest.mark.parametrize("encoding", ["s16be", "f32le", "pcm_s24le"])
def test_encodings_give_the_library_result(server, recognizer, encoding):
    samples = clip(3 * RATE)
    data = encode_pcm(samples / 2**15, encoding.removeprefix("pcm_"))
    query = f"?encoding={encoding}"
    (_, *found), code = streamed(server.port, [*cut(data, (10_001,)), FINISH], query)
    assert (found, code) == (heard(recognizer, samples), 1000)


def test_telephone_encodings_and_channels_are_decoded(server, recognizer):
    data = encode_pcm(np.repeat(clip(3 * 8000) / 2**15, 2), "mulaw")
    query = "?encoding=mulaw&rate=8000&channels=2"
    (ready, *found), code = streamed(server.port, [*cut(data, (333,)), FINISH], query)
    samples = ENCODINGS["mulaw"].decode(data)[::2]
    assert found == heard(recognizer, samples, 8000)
    assert (ready["rate"], code) == (8000, 1000)


@pytest.mark.parametrize(
    ("query", "data", "code", "words"),
    [
        ("", encode_pcm(voice(2 * RATE), "f32le"), "wrong_encoding", "pass encoding=f32le"),
        ("?rate=8000", encode_pcm(voice(16_000), "mulaw"), "wrong_encoding", "encoding=mulaw"),
        ("?rate=48000", b"\x1aE\xdf\xa3" + bytes(99), "wrong_encoding", "got WebM"),
        ("?encoding=speex", b"", "invalid_value", "expected s16le, s16be, s24le, f32le"),
        ("?channels=0", b"", "invalid_value", "expected 1 to 64"),
    ],
)
def test_a_wrong_encoding_is_refused_with_the_right_one(server, query, data, code, words):
    found, closed = streamed(server.port, [*cut(data, (3200,)), FINISH], query)
    assert found[-1]["error"]["code"] == code
    assert words in found[-1]["error"]["message"]
    assert closed == 1008


def test_phonemes_have_shares(server, recognizer):
    samples = clip(4 * RATE)
    (_, *found), _ = streamed(server.port, [samples.tobytes(), FINISH], "?phonemes=true")
    assert found == heard(recognizer, samples, shares=True)
    assert all("share" in one for one in found[-1]["prediction"]["spans"])


def test_a_window_event_is_sent_as_soon_as_it_is_complete(server):
    with stream(server.port) as client:
        client.recv(timeout=240)
        client.send(clip(3 * RATE).tobytes())
        assert json.loads(client.recv(timeout=240))["type"] == "window"


def test_half_a_sample_at_the_end_is_ignored(server, recognizer):
    samples = clip(2 * RATE)
    (_, *found), _ = streamed(server.port, [samples.tobytes() + b"\x01", FINISH])
    assert found == heard(recognizer, samples)


def test_a_silent_stream_reports_no_speech(server):
    found, code = streamed(server.port, [bytes(8 * RATE), FINISH])
    assert "no_speech" in found[-1]["prediction"]["warnings"]
    assert code == 1000


def test_a_model_is_selected_by_name():
    with served(settings(), {"a": Held(), "b": Held()}) as found:
        told, _ = streamed(found.port, [clip().tobytes(), FINISH], "?model=b")
        assert (told[0]["model"], told[-1]["prediction"]["model"]) == ("b", "b")


# How it ends --------------------------------------------------------------------------------------


def test_an_idle_stream_gets_its_result(hasty, recognizer):
    samples = clip(2 * RATE // 4)
    (_, *found), code = streamed(hasty.port, [samples.tobytes()])
    assert found == heard(recognizer, samples)
    assert code == 1000


def test_a_stream_at_the_length_limit_gets_its_result(hasty):
    (_, *found), code = streamed(hasty.port, [clip(RATE // 2).tobytes()] * 40)
    assert found[-1]["type"] == "final"
    # messages that wait are joined, up to a second of audio
    assert 10.0 <= found[-1]["prediction"]["seconds"] <= 11.0
    assert code == 1000


def test_a_stream_of_empty_messages_ends(hasty):
    """A place is held by the clock, and not by the messages that come."""
    with stream(hasty.port) as client:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(300):
                client.send(b"")
                time.sleep(0.2)
        assert client.close_code is not None


def test_a_stream_without_audio_is_an_error(server):
    (_, told), code = streamed(server.port, [FINISH])
    assert told["type"] == "error"
    assert told["error"]["code"] == "empty_audio"
    assert code == 1008


@pytest.mark.parametrize("size", [20_001, 40_000])
def test_a_message_that_is_too_large_gets_an_error(small, size):
    (_, told), code = streamed(small.port, [bytes(size)])
    assert told["error"]["code"] == "message_too_large"
    assert code == 1009


def test_a_message_that_is_far_too_large_is_not_received(small):
    (_, *told), code = streamed(small.port, [bytes(40_001)])
    assert told == []
    assert code == 1009


def test_a_message_at_the_limit_in_many_frames_is_accepted(small):
    with stream(small.port) as client:
        client.send(bytes(1000) for _ in range(20))
        client.send(FINISH)
        assert events(client)[-1]["prediction"]["seconds"] == 10_000 / RATE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "finish",
        "{}",
        "[]",
        "null",
        '{"type": "start"}',
        '{"type": ["finish"]}',
        '["finish"]',
        '{"type": "finish"',
        "1" * 5000,
        "[" * 19_000,
        '{"a":' * 5000,
    ],
)
def test_any_other_text_is_an_error(small, text):
    (_, told), code = streamed(small.port, [text])
    assert told["error"]["code"] == "invalid_message"
    assert code == 1008


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?rate=1", "invalid_value"),
        ("?rate=0", "invalid_value"),
        ("?rate=-16000", "invalid_value"),
        ("?rate=3999", "invalid_value"),
        ("?rate=384001", "invalid_value"),
        ("?rate=1e9", "invalid_value"),
        ("?rate=99999999999999999999999", "invalid_value"),
        ("?rate=", "invalid_value"),
        ("?phonemes=perhaps", "invalid_value"),
        ("?model=other", "model_not_found"),
        ("?model=%ff%00%e2%80%ae", "model_not_found"),
        ("?labels=anger", "unknown_field"),
        ("?%ff%00=1", "unknown_field"),
    ],
)
def test_an_invalid_query_closes_the_stream_with_an_error(server, query, told):
    (found,), code = streamed(server.port, [], query)
    assert found["type"] == "error"
    assert found["error"]["code"] == told
    assert found["error"]["message"].isprintable()
    assert code == 1008


def test_a_repeated_parameter_is_rejected(server):
    (*_, found), _ = streamed(server.port, [FINISH], "?rate=8000&rate=16000")
    assert found["error"]["code"] == "invalid_value"


# Places -------------------------------------------------------------------------------------------


def test_a_stream_over_the_limit_gets_an_error(small):
    with stream(small.port) as first, stream(small.port) as second:
        for one in (first, second):
            assert json.loads(one.recv(timeout=240))["type"] == "ready"
        (told,), code = streamed(small.port, [])
        assert told["error"]["code"] == "stream_limit"
        assert code == 1013
        assert small.metric("streams") == 2
    until(lambda: small.service.admission.streams.in_use == 0)
    assert streamed(small.port, [clip().tobytes()[:9999], FINISH])[1] == 1000


@pytest.mark.parametrize("abrupt", [False, True])
@pytest.mark.parametrize("messages", [[], [clip(8000).tobytes()], [b"\x01"], ["garbage"], [FINISH]])
def test_a_disconnect_frees_the_slot(small, messages, abrupt):
    for _ in range(3):
        with stream(small.port) as client:
            client.recv(timeout=240)
            for one in messages:
                client.send(one)
            if abrupt:
                client.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                client.socket.close()
        until(lambda: small.service.admission.streams.in_use == 0)


def test_a_disconnect_during_recognition_frees_the_slot():
    model = Held()
    with served(settings(), {"held": model}) as found:
        model.go.clear()
        with connected(found.port) as client:
            client.sendall(UPGRADE)
            client.recv(2**16)
            data = clip(3 * RATE).tobytes()
            size = b"\x82\xff" + len(data).to_bytes(8, "big") + bytes(4)
            client.sendall(size + data)
            until(lambda: len(model.heard) == 2)
        model.go.set()
        until(lambda: found.service.admission.streams.in_use == 0)
        assert found.complaints.lines == []


@pytest.mark.parametrize(
    "frame",
    [
        b"\x82\x05hello",
        b"\xf2\x80\0\0\0\0",
        b"\x83\x80\0\0\0\0",
        b"\x81\x82\0\0\0\0\xff\xfe",
        b"\x80\x81\0\0\0\0x",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_invalid_frames_end_the_stream(server, frame):
    with connected(server.port) as client:
        client.sendall(UPGRADE)
        client.recv(2**16)
        client.sendall(frame)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(2**16):
                found += data
    until(lambda: server.service.admission.streams.in_use == 0)
    server.complaints.lines = [one for one in server.complaints.lines if "Traceback" in one]


# The server stops ---------------------------------------------------------------------------------


def test_a_stream_gets_its_result_when_the_server_stops(recognizer):
    samples = clip(2 * RATE)
    with served(settings(models=(str(BUNDLE),))) as found, stream(found.port) as client:
        ready = json.loads(client.recv(timeout=240))
        client.send(samples.tobytes())
        client.ping().wait(240)
        time.sleep(0.1)
        found.call(found.service.stop)
        told = events(client)
        assert [ready["type"], *(one["type"] for one in told)][-1] == "final"
        assert told == heard(recognizer, samples)
        assert client.close_code == 1012
        (late,), code = streamed(found.port, [])
        assert (late["error"]["code"], code) == ("stopping", 1013)


def test_a_stream_without_audio_is_closed_when_the_server_stops():
    with served(settings(), {"held": Held()}) as found, stream(found.port) as client:
        client.recv(timeout=240)
        found.call(found.service.stop)
        (told,) = events(client)
        assert told["error"]["code"] == "empty_audio"


class Wordy(Held):
    """A model whose every event is long."""

    labels = tuple(f"emotion{place}" for place in range(2000))

    def _recognize_clips(self, clips, options):
        return [ClipScores(np.full(2000, 1 / 2000), ()) for _ in clips]


def test_a_client_that_never_reads_does_not_hold_a_slot_forever():
    config = settings(limits={"stream_idle_seconds": 0.5})
    data = [one.tobytes() for one in np.array_split(SAMPLES, 12)]
    frames = b"".join(b"\x82\xfe" + len(one).to_bytes(2, "big") + bytes(4) + one for one in data)
    with served(config, {"wordy": Wordy()}) as found, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        client.connect(("127.0.0.1", found.port))
        client.sendall(UPGRADE)
        client.recv(100)
        until(lambda: found.service.admission.streams.in_use == 1)
        with contextlib.suppress(OSError):
            for _ in range(40):
                client.sendall(frames)
        until(lambda: found.service.admission.streams.in_use == 0, 10)


@pytest.mark.parametrize("query", ["rate=0", "channels=0", "channels=65"])
def test_an_error_names_the_parameter_that_is_out_of_range(server, query):
    with stream(server.port, f"?{query}") as client:
        (found,) = events(client)
    assert found["error"]["param"] == query.partition("=")[0]
