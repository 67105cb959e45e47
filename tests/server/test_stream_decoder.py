"""Live streams of WebM and others are decoded in a guarded process of their own."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import soundfile

from phonemo.audio import RATE, load_waveform
from phonemo.errors import AudioError
from phonemo.server.api_errors import ApiError
from phonemo.server.decoders.stream_decoder import MediaStreamDecoder
from phonemo.server.decoders.stream_worker import StreamLimits
from tests.server.asking import clip, wav
from tests.server.test_media import recorded

#: Python that tells the parent that it can decode.
READY_FIRST = """
import sys
from phonemo.server.decoders.decoder_worker import READY, write_frame
write_frame(sys.stdout.buffer, READY)
"""
LIMITS = StreamLimits(max_seconds=20, memory_bytes=2**28, alarm_seconds=20)


def ogg(seconds: float) -> bytes:
    """A buzz as Ogg, which needs no extra to be written."""
    file = io.BytesIO()
    samples = clip(round(seconds * RATE)).astype(np.float32) / 2**15
    soundfile.write(file, samples, RATE, format="OGG", subtype="OPUS")
    return file.getvalue()


@pytest.fixture(autouse=True)
def extra() -> None:
    """Skip without FFmpeg."""
    pytest.importorskip("av", reason="needs the extra media")


def decoded(data: bytes, size: int, limits: StreamLimits = LIMITS) -> list[np.ndarray]:
    """The samples after each message of some size, and those at the end."""
    decoder = MediaStreamDecoder(limits)
    try:
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        return [*(decoder.push(piece) for piece in pieces), decoder.finish()]
    finally:
        decoder.close()


@pytest.mark.parametrize("size", [1500, 10**6])
def test_a_stream_gives_the_samples_of_the_file(size):
    data = recorded("webm")
    found = np.concatenate(decoded(data, size))
    expected = load_waveform(data).samples
    assert abs(len(found) - len(expected)) < RATE / 10
    common = min(len(found), len(expected))
    assert np.abs(found[:common] - expected[:common]).max() < 1e-3


def test_samples_arrive_before_the_stream_ends():
    found = decoded(recorded("webm", 6), 4000)
    assert sum(map(len, found[: len(found) // 2])) > RATE


def test_ogg_is_decoded_too():
    assert abs(sum(map(len, decoded(ogg(3), 2000))) - 3 * RATE) < RATE / 10


def test_empty_messages_change_nothing():
    decoder = MediaStreamDecoder(LIMITS)
    assert len(decoder.push(b"")) == 0
    assert len(decoder.push(b"")) == 0
    total = len(decoder.push(recorded("webm"))) + len(decoder.finish())
    decoder.close()
    assert abs(total - 3 * RATE) < RATE / 10


@pytest.mark.parametrize("data", [b"this is no recording" * 500, bytes(10_000), wav(1)[44:]])
def test_what_is_no_recording_is_refused_in_one_line(data):
    with pytest.raises(AudioError) as caught:
        decoded(data, 5000)
    assert caught.value.code in ("unsupported_audio", "invalid_audio")
    assert "\n" not in str(caught.value)


def test_a_message_may_hold_only_so_much_audio():
    few = StreamLimits(max_seconds=2, memory_bytes=2**28, alarm_seconds=20)
    with pytest.raises(AudioError, match="at most 2 s of audio in a message"):
        decoded(recorded("webm", 6), 10**7, few)
    assert len(decoded(recorded("webm", 6), 2000, few)) > 3


@pytest.mark.skipif(sys.platform == "win32", reason="there is no alarm")
@pytest.mark.parametrize("fault", ["import os; os._exit(3)", "import time; time.sleep(60)"])
@pytest.mark.parametrize("ready", [READY_FIRST, ""])
def test_a_decoder_that_crashes_or_hangs_is_an_error(fault, ready, monkeypatch):
    if not ready:
        monkeypatch.setattr("phonemo.server.decoders.stream_decoder.START_SECONDS", 0.3)
    monkeypatch.setattr("phonemo.server.decoders.stream_decoder._SLACK_SECONDS", 0.0)
    limits = StreamLimits(max_seconds=2, memory_bytes=2**28, alarm_seconds=0.3)
    decoder = MediaStreamDecoder(limits, ("-c", ready + fault))
    kind, words = (AudioError, "crashes the decoder, or takes too long")
    if not ready:
        kind, words = (ApiError, "no decoder process could be started; try again later")
    with pytest.raises(kind, match=words):
        decoder.push(b"abc")
    decoder.close()
    with pytest.raises(AudioError, match="closed"):
        decoder.push(b"abc")


def test_a_system_without_a_process_to_spare_is_no_fault_of_the_stream(monkeypatch):
    def exhausted(command):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr("phonemo.server.decoders.stream_decoder.spawn", exhausted)
    decoder = MediaStreamDecoder(LIMITS)
    with pytest.raises(ApiError) as caught:
        decoder.push(b"abc")
    assert (caught.value.status, caught.value.code) == (503, "no_decoder")
    decoder.close()
