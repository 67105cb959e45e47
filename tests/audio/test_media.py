"""What phones, browsers and meetings record, decoded by FFmpeg behind its guards."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from phonemo.audio import RATE, AudioLimits, load_waveform
from phonemo.audio.formats import ffmpeg
from phonemo.audio.media import open_pipe
from phonemo.errors import AudioError
from tests.audio.media_files import (
    MEDIA,
    amr,
    encode_media,
    in_3gp,
    media_file,
    video_without_sound,
)
from tests.audio.test_audio import encode, noise, refused, tone

LOSSLESS = ("lossless.m4a", "quicktime.mov", "flac.oga")
#: Formats whose length is known to the sample; others are padded by the encoder.
EXACT = (*LOSSLESS, "voice.m4a", "streamable.m4a", "opus.mp4", "chrome.webm", "file.webm")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    pytest.importorskip("av")
    return {name: media_file(name) for name in MEDIA} | {"phone.amr": amr()}


@pytest.mark.parametrize("name", MEDIA)
def test_every_format_keeps_level_and_length(name: str, files: dict[str, bytes]) -> None:
    waveform = load_waveform(files[name])
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 1.0) < (1e-9 if name in EXACT else 0.07)
    middle = waveform.samples[4000:12000].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(np.argmax(spectrum) * RATE / len(middle) - 440) <= 2
    assert abs(np.sqrt(2 * np.mean(middle**2)) - 0.5) < 0.1


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_the_samples(name: str) -> None:
    pytest.importorskip("av")
    container, codec, _, options = MEDIA[name]
    samples = tone(RATE, 0.5)
    decoded = load_waveform(encode_media(samples, container, codec, RATE, options)).samples
    np.testing.assert_allclose(decoded, samples, atol=1e-4)


@pytest.mark.parametrize("wide", [False, True])
def test_amr_is_decoded_with_and_without_a_container(wide: bool) -> None:
    pytest.importorskip("av")
    waveform = load_waveform(amr(wide))
    assert waveform.seconds == 1.0
    assert waveform.samples.std() > 0.001
    np.testing.assert_array_equal(load_waveform(in_3gp(amr(wide))).samples, waveform.samples)


@pytest.mark.parametrize("name", MEDIA)
def test_a_slice_equals_the_slice_of_the_whole(name: str, files: dict[str, bytes]) -> None:
    whole = load_waveform(files[name]).samples
    part = load_waveform(files[name], start=0.3, end=0.7).samples
    np.testing.assert_allclose(part, whole[4800:11200], atol=2e-6)


def test_path_bytes_and_streams_give_the_same(files: dict[str, bytes], tmp_path: Path) -> None:
    data = files["chrome.webm"]
    path = tmp_path / "clip.bin"
    path.write_bytes(data)
    expected = load_waveform(data).samples
    for source in (path, io.BytesIO(data), bytearray(data)):
        np.testing.assert_array_equal(load_waveform(source).samples, expected)


@pytest.mark.parametrize("name", ["chrome.webm", "file.webm", "windows.wma", "phone.amr"])
def test_a_file_that_ends_early_is_truncated(name: str, files: dict[str, bytes]) -> None:
    waveform = load_waveform(files[name][: len(files[name]) * 6 // 10])
    assert "truncated" in waveform.warnings
    assert 0.3 < waveform.seconds < 0.8


@pytest.mark.parametrize("name", ["streamable.m4a", "safari.mp4", "stream.aac", "flac.oga"])
def test_so_is_one_that_was_long_enough_to_begin(name: str) -> None:
    pytest.importorskip("av")
    data = media_file(name, seconds=6.0)
    waveform = load_waveform(data[: len(data) * 7 // 10])
    assert "truncated" in waveform.warnings
    assert 1.0 < waveform.seconds < 5.9


def test_an_mp4_without_its_index_says_why(files: dict[str, bytes]) -> None:
    data = files["voice.m4a"]
    message = refused(data[: data.index(b"moov") - 4], "invalid_audio")
    assert "no index (moov)" in message


def test_a_webm_header_alone_says_why(files: dict[str, bytes]) -> None:
    data = files["chrome.webm"]
    message = refused(data[: data.index(b"\x1f\x43\xb6\x75")], "invalid_audio")
    assert "ends before the sound begins" in message


def test_a_video_without_sound_says_so() -> None:
    pytest.importorskip("av")
    assert "no audio stream" in refused(video_without_sound(), "unsupported_audio")


def test_further_tracks_are_counted() -> None:
    pytest.importorskip("av")
    data = encode_media(tone(48_000, 0.5), "matroska", "libopus", 48_000, tracks=3)
    assert load_waveform(data).warnings == ("unused_tracks=2",)


@pytest.mark.parametrize("name", ["voice.m4a", "chrome.webm", "windows.wma", "phone.amr"])
def test_joined_files_are_read_to_the_end(name: str, files: dict[str, bytes]) -> None:
    waveform = load_waveform(files[name] * 3)
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 3 * load_waveform(files[name]).seconds) < 1e-3


def test_files_of_several_formats_and_rates_are_joined(files: dict[str, bytes]) -> None:
    data = encode(tone(8000, 0.5), 8000) + files["voice.m4a"] + encode(tone(44_100, 1.0), 44_100)
    waveform = load_waveform(data)
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 2.5) < 1e-3


def test_a_stream_that_changes_its_rate_is_converted() -> None:
    pytest.importorskip("av")
    parts = [encode_media(tone(rate, 1.0), "adts", "aac", rate) for rate in (16_000, 48_000)]
    waveform = load_waveform(b"".join(parts))
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 2.0) < 0.2


@pytest.mark.parametrize("name", ["voice.m4a", "chrome.webm", "stream.aac"])
def test_limits_are_enforced_while_decoding(name: str, files: dict[str, bytes]) -> None:
    refused(files[name], "audio_too_long", limits=AudioLimits(max_seconds=0.5))
    refused(files[name], "audio_too_large", limits=AudioLimits(max_decoded_bytes=50_000))


@pytest.mark.parametrize(
    "name", ["voice.m4a", "chrome.webm", "windows.wma", "voip.wav", "flac.oga"]
)
def test_a_missing_extra_is_named(
    name: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    message = refused(files[name], "unsupported_audio")
    assert "pip install 'phonemo[media]'" in message


def test_without_the_extra_native_formats_still_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert load_waveform(encode(noise(3000), RATE, "opus")).samples.size > 2000


def test_damage_is_not_blamed_on_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for data in (encode(tone(RATE, 0.1), RATE)[:30], b"OggS" + bytes(100), b"caff\0\1\0\0"):
        assert "phonemo[media]" not in refused(data, "unsupported_audio")


def test_a_codec_that_is_not_on_the_list_is_refused(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "DECODERS", ("opus",))
    assert "aac" in refused(files["voice.m4a"], "unsupported_audio")


def test_no_other_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    data = media_file("quicktime.mov")
    reference = data.replace(b"url \x00\x00\x00\x01", b"url \x00\x00\x00\x00")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AudioError) as caught:
        load_waveform(reference[: reference.index(b"mdat")] + reference[-700:])
    assert str(caught.value).isprintable()


# --- live streams


class Slow(io.RawIOBase):
    """A stream of a browser: a few bytes at a time, and no way back."""

    def __init__(self, data: bytes, step: int = 100) -> None:
        self._data, self._at, self._step = data, 0, step

    def read(self, count: int = -1) -> bytes:
        first = self._at
        self._at += min(count, self._step)
        return self._data[first : self._at]

    @property
    def sent(self) -> int:
        return self._at


@pytest.mark.parametrize("name", ["chrome.webm", "safari.mp4", "stream.aac", "flac.oga"])
def test_a_live_stream_equals_the_file(name: str, files: dict[str, bytes]) -> None:
    parts = list(open_pipe(Slow(files[name])))
    rates = {rate for rate, _ in parts}
    samples = np.concatenate([block for _, block in parts])
    assert rates == {MEDIA[name][2]}
    assert abs(len(samples) / MEDIA[name][2] - 1.0) < 0.08
    assert samples.dtype == np.float32


def test_live_samples_come_before_the_stream_ends(files: dict[str, bytes]) -> None:
    stream = Slow(files["chrome.webm"])
    next(open_pipe(stream))
    assert stream.sent < 1500


def test_a_live_stream_is_read_from_a_pipe(files: dict[str, bytes]) -> None:
    reader, writer = os.pipe()

    def send() -> None:
        with os.fdopen(writer, "wb") as target:
            target.write(files["chrome.webm"])

    thread = threading.Thread(target=send)
    thread.start()
    with os.fdopen(reader, "rb") as source:
        total = sum(len(block) for _, block in open_pipe(source))
    thread.join()
    assert total == 48_000


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "empty_audio", "0 bytes"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "unsupported_audio", "got WAV"),
        (b"\x1a\x45\xdf\xa3" + bytes(60), "unsupported_audio", "cannot be decoded"),
        (bytes(5000), "unsupported_audio", "a kind that is not known"),
    ],
)
def test_other_live_streams_are_refused(data: bytes, code: str, words: str) -> None:
    pytest.importorskip("av")
    with pytest.raises(AudioError, match=words) as caught:
        list(open_pipe(Slow(data)))
    assert caught.value.code == code


def test_a_live_mp4_without_fragments_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(AudioError, match="fragmented MP4"):
        list(open_pipe(Slow(files["voice.m4a"])))


def test_a_failing_live_stream_is_an_error_not_an_end(files: dict[str, bytes]) -> None:
    class Broken(Slow):
        def read(self, count: int = -1) -> bytes:
            if self._at > len(self._data) // 2:
                raise OSError("the line was cut")
            return super().read(count)

    with pytest.raises(AudioError, match="the line was cut"):
        list(open_pipe(Broken(files["chrome.webm"])))
