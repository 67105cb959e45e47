"""A recording as the whole body: what is accepted, with which options, and what is refused."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.server.asking import KIND, PATH, ask, clip, encoded, form, part, post, raw, rest, wav
from tests.server.serving import Held, served, settings, until

WAV = wav(0.5)
AUDIO = {"Content-Type": "audio/wav"}
SPOOL_BYTES = 2**20


def send(port, body, query="", kind="audio/wav", method="POST", **headers):
    named = {"Content-Type": kind} if kind is not None else {}
    return ask(port, f"{PATH}{query}", method, body, {**named, **headers})


@pytest.mark.parametrize(
    "kind", ["audio/wav", "audio/flac; rate=16000", "AUDIO/X-WAV", "application/octet-stream", None]
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_raw_body_gives_the_same_result_as_a_form(port, kind, method):
    expected = post(port, WAV, timeline="true").data
    found = send(port, WAV, "?timeline=true", kind, method)
    assert found.status == 200
    assert found.data == expected


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "WAV"])
def test_the_bytes_say_what_the_recording_is(port, kind):
    assert send(port, encoded(clip(8000), kind), kind="audio/wav").status == 200


def test_a_chunked_body_and_one_on_disk_are_accepted(port):
    large = encoded(clip(SPOOL_BYTES), "WAV")
    pieces = (large[start : start + 10_000] for start in range(0, len(large), 10_000))
    found = send(port, pieces)
    assert (found.status, found.data["seconds"]) == (200, SPOOL_BYTES / 16_000)


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        (f"{PATH}/my%20call.wav", {}, "my call.wav"),
        (PATH, {"Content-Disposition": 'attachment; filename="a.wav"'}, "a.wav"),
        (PATH, {"Content-Disposition": "attachment; filename"}, "upload"),
        (PATH, {}, "upload"),
    ],
)
def test_the_name_is_that_of_the_address_or_of_the_header(port, path, headers, name):
    found = ask(port, f"{path}?response_format=csv", "PUT", WAV, headers)
    assert found.body.decode().splitlines()[1].startswith(f"{name},")


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("?top_k=0", "invalid_value", "top_k"),
        ("?top_k=1&top_k=2", "invalid_value", "top_k"),
        ("?lables=anger", "unknown_field", "lables"),
        ("?file=my.wav", "unknown_field", "file"),
        ("?labels=anger,joyy", "invalid_label", "labels"),
        ("?profile_json=1", "invalid_value", "profile_json"),
        (f"?model={'m' * 5000}", "invalid_value", "model"),
        (f"?{'&'.join(f'a{place}=' for place in range(17))}", "invalid_value", None),
        ("?summary=true&response_format=csv", "invalid_value", "summary"),
    ],
)
def test_invalid_options_are_refused(port, query, code, param):
    found = send(port, WAV, query)
    assert found.told == (400, code)
    assert found.data["error"]["param"] == param


def test_invalid_options_are_refused_before_the_body_is_read(port):
    lines = [f"POST {PATH}?top_k=0 HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: audio/wav"]
    sent = "\r\n".join([*lines, "Content-Length: 1000000", "", ""]).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=240) as client:
        client.sendall(sent)
        assert client.recv(12) == b"HTTP/1.1 400"


def test_a_form_has_its_options_in_the_address_too_but_each_once(port):
    form_of = form(part("file", WAV, "a.wav"), part("labels", b"anger,neutral"))
    assert len(ask(port, f"{PATH}?top_k=1", "POST", form_of, KIND).data["scores"]) == 1
    assert ask(port, f"{PATH}?labels=anger,sadness", "POST", form_of, KIND).told == (
        400,
        "invalid_value",
    )


@pytest.mark.parametrize(
    ("body", "kind", "expected", "words"),
    [
        (b"", "audio/wav", (422, "empty_audio"), "--data-binary @my.wav"),
        (b"my.wav", "audio/wav", (415, "unsupported_audio"), "--data-binary @my.wav"),
        (b"/home/a b/x.flac\n", "audio/wav", (415, "unsupported_audio"), "needs an @"),
        (form(part("file", WAV, "a")), "audio/wav", (415, "unsupported_media_type"), "leave out"),
        (form(part("file", WAV, "a")), "", (415, "unsupported_media_type"), "without a type"),
        (WAV, "audio/l16", (415, "unsupported_media_type"), "without a header"),
        (WAV, "text/plain", (415, "unsupported_media_type"), "audio/wav"),
        (WAV, "application/x-www-form-urlencoded", (415, "unsupported_media_type"), "-H 'Content"),
        (b'{"audio": "UklGRg=="}', "application/json", (415, "unsupported_media_type"), "curl -F"),
        (WAV[:20], "audio/wav", (422, "unsupported_audio"), "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "audio/wav", (415, "unsupported_audio"), "PNG"),
        (bytes(9000), "audio/wav", (415, "unsupported_audio"), "kind that is not known"),
    ],
)
def test_an_unusable_body_is_refused_with_the_next_step(port, body, kind, expected, words):
    found = send(port, body, kind=kind)
    assert found.told == expected
    assert words in found.data["error"]["message"]


def test_a_cut_recording_is_recognized_with_a_warning(port):
    found = send(port, WAV[:9000])
    assert (found.status, found.data["warnings"][:1]) == (200, ["truncated"])


def test_a_compressed_body_is_refused(port):
    found = send(port, WAV, **{"Content-Encoding": "gzip"})
    assert found.told == (415, "unsupported_media_type")


def test_the_limits_are_those_of_forms():
    limits = {"body_bytes": 40_000, "audio_seconds": 2, "slowest_bytes_per_second": 2**20}
    with served(settings(limits={**limits, "read_seconds": 0.5}), {"held": Held()}) as found:
        assert send(found.port, bytes(50_000)).told == (413, "body_too_large")
        assert send(found.port, [bytes(9_000)] * 9).told == (413, "body_too_large")
        assert send(found.port, encoded(np.zeros(33_000), "FLAC")).told == (413, "audio_too_long")
        sent = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{found.port}\r\nContent-Type: audio/wav\r\n"
        )
        assert b" 408 " in raw(found.port, f"{sent}Content-Length: 9\r\n\r\nRIFF".encode())
        assert found.service.admission.is_idle


def test_keys_and_origins_are_checked_before_the_body():
    from phonemo.server.auth import digest_of

    with served(settings(access={"keys": [digest_of("key")]}), {"held": Held()}) as found:
        assert send(found.port, WAV).told == (401, "invalid_api_key")
        assert send(found.port, WAV, method="PUT").told == (401, "invalid_api_key")
        assert send(found.port, WAV, Authorization="Bearer key").status == 200
        assert send(found.port, WAV, Origin="http://evil.example").told == (403, "wrong_origin")


def test_a_hundred_at_once_are_answered_or_refused_and_leave_nothing():
    with served(settings(), {"held": Held()}) as found:
        with ThreadPoolExecutor(100) as pool:
            answers = [pool.submit(send, found.port, WAV) for _ in range(100)]
            statuses = {answer.result().status for answer in answers}
        assert statuses <= {200, 429}
        until(lambda: found.service.admission.is_idle)
        assert send(found.port, WAV).status == 200
        assert found.complaints.lines == []


def test_a_client_that_leaves_frees_its_place(port, server):
    lines = [f"PUT {PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Length: 90000"]
    with socket.create_connection(("127.0.0.1", port), timeout=240) as client:
        client.sendall("\r\n".join([*lines, "", "RIFF"]).encode())
        until(lambda: server.service.admission.uploads.in_use == 1)
    until(lambda: server.service.admission.is_idle)


def test_expect_100_is_answered(port):
    lines = [f"PUT {PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(WAV)}"]
    lines += ["Expect: 100-continue", "Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=240) as client:
        client.sendall("\r\n".join(lines).encode())
        assert client.recv(12) == b"HTTP/1.1 100"
        client.sendall(WAV)
        assert b"HTTP/1.1 200" in rest(client)
