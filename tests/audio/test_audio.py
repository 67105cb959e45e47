"""The decoder: containers, rates, slices, limits, and input that must be rejected."""

from __future__ import annotations

import io
import os
import socket
import struct
import tracemalloc
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonemo.audio import (
    FRAME_SAMPLES,
    RATE,
    WARNINGS,
    AudioLimits,
    Waveform,
    audio_seconds,
    load_waveform,
    safe_name,
)
from phonemo.errors import AudioError, UsageError

CONTAINERS = {
    "wav_pcm16": ("WAV", "PCM_16", 1e-4),
    "wav_pcm24": ("WAV", "PCM_24", 1e-6),
    "wav_float": ("WAV", "FLOAT", 1e-7),
    "wav_double": ("WAV", "DOUBLE", 1e-7),
    "wav_u8": ("WAV", "PCM_U8", 1e-2),
    "wav_ulaw": ("WAV", "ULAW", 2e-2),
    "wav_alaw": ("WAV", "ALAW", 2e-2),
    "wav_gsm": ("WAV", "GSM610", None),
    "wavex": ("WAVEX", "PCM_16", 1e-4),
    "rf64": ("RF64", "PCM_16", 1e-4),
    "flac": ("FLAC", "PCM_16", 1e-4),
    "flac24": ("FLAC", "PCM_24", 1e-6),
    "aiff": ("AIFF", "PCM_16", 1e-4),
    "mp3": ("MP3", "MPEG_LAYER_III", None),
    "vorbis": ("OGG", "VORBIS", None),
    "opus": ("OGG", "OPUS", None),
}
LOSSLESS = [name for name, (_, _, error) in CONTAINERS.items() if error is not None]


def tone(rate: int, seconds: float, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    """(sample,) float64."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def noise(samples: int, channels: int = 1, seed: int = 1) -> np.ndarray:
    """(sample,) or (sample, channel) float64, well below full scale."""
    shape = samples if channels == 1 else (samples, channels)
    return np.clip(np.random.default_rng(seed).standard_normal(shape) * 0.1, -0.9, 0.9)


def encode(samples: np.ndarray, rate: int, container: str = "wav_pcm16", **options: Any) -> bytes:
    kind, subtype, _ = CONTAINERS[container]
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    stream = io.BytesIO()
    with soundfile.SoundFile(
        stream, "w", rate, channels, format=kind, subtype=subtype, **options
    ) as file:
        # Written in pieces: libvorbis overflows its stack on large blocks.
        for first in range(0, len(samples), 8192):
            file.write(samples[first : first + 8192])
    return stream.getvalue()


def wav_bytes(
    frames: int = 1500,
    *,
    claimed_bytes: int | None = None,
    rate: int = RATE,
    channels: int = 1,
) -> bytes:
    """A 16-bit WAV of a 440 Hz tone, written by hand so that its header can be forged."""
    data = (tone(RATE, frames / RATE) * 32767).astype("<i2").tobytes()
    size = len(data) if claimed_bytes is None else claimed_bytes
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 2 & 0xFFFFFFFF, 2 * channels, 16)
    riff = struct.pack("<I", min(size + 36, 0xFFFFFFFF))
    return b"RIFF" + riff + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size) + data


def forge_flac(data: bytes, *, rate: int | None = None, frames: int | None = None) -> bytes:
    """Rewrite the sample rate (20 bits) or frame count (36 bits) of a FLAC's STREAMINFO."""
    fields = int.from_bytes(data[18:26], "big")
    if rate is not None:
        fields = fields & ((1 << 44) - 1) | rate << 44
    if frames is not None:
        fields = fields >> 36 << 36 | frames
    return data[:18] + fields.to_bytes(8, "big") + data[26:]


def strip_xing(data: bytes) -> bytes:
    """An MP3 without its first frame, which contains the Xing or Info header."""
    assert b"Xing" in data[:100] or b"Info" in data[:100]
    return data[data.index(data[:2], 4) :]


def refused(source: Any, code: str, **options: Any) -> str:
    """Return the message of the AudioError that loading must raise: one line, with that code."""
    with pytest.raises(AudioError) as caught:
        load_waveform(source, **options)
    message = str(caught.value)
    assert caught.value.code == code, message
    assert message.isprintable()
    return message


@pytest.fixture(scope="module")
def long_flac() -> bytes:
    """Two hours of silence in 364 kB."""
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", RATE, 1, format="FLAC", subtype="PCM_16") as file:
        minute = np.zeros(60 * RATE, dtype=np.int16)
        for _ in range(120):
            file.write(minute)
    return stream.getvalue()


# --- decoding


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_keeps_level_and_length(container: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.bin"  # the extension says nothing
    samples = tone(RATE, 1.0)
    path.write_bytes(encode(samples, RATE, container))
    waveform = load_waveform(path)
    assert waveform.samples.dtype == np.float32
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 1.0) < 0.05
    decoded = waveform.samples[4000:12000].astype(np.float64)
    assert abs(np.sqrt(2 * np.mean(decoded**2)) - 0.5) < 0.02
    error = CONTAINERS[container][2]
    if error is not None:
        np.testing.assert_allclose(waveform.samples[:RATE], samples, atol=error)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_frequency_and_level(rate: int) -> None:
    waveform = load_waveform(encode(tone(rate, 2.0, hertz=1000.0), rate))
    assert len(waveform.samples) == 2 * RATE
    middle = waveform.samples[RATE // 2 : RATE // 2 + RATE].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle)) / (RATE / 2)  # one bin is one hertz
    assert np.argmax(spectrum) == 1000
    assert abs(spectrum[1000] - 0.5) < 1e-3
    assert np.delete(spectrum, 1000).max() < 1e-3


def test_resampling_removes_frequencies_above_nyquist() -> None:
    waveform = load_waveform(encode(tone(48_000, 1.0, hertz=12_000.0), 48_000))
    assert np.abs(waveform.samples[2000:-2000]).max() < 1e-3


@pytest.mark.parametrize("container", ["flac", "wav_float"])
def test_eight_channels_are_mixed_by_their_mean(container: str) -> None:
    samples = noise(5000, channels=8)
    waveform = load_waveform(encode(samples, RATE, container))
    np.testing.assert_allclose(waveform.samples, samples.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("container", ["wav_pcm16", "flac", "mp3", "vorbis", "opus", "wav_gsm"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_decoding_in_blocks_equals_decoding_at_once(
    container: str, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(noise(2 * rate + 123), rate, container)
    full = load_waveform(data)
    monkeypatch.setattr("phonemo.audio.arrays.BLOCK_FRAMES", 1000)
    np.testing.assert_array_equal(load_waveform(data).samples, full.samples)


def test_path_bytes_and_streams_give_the_same(tmp_path: Path) -> None:
    data = encode(noise(3000), RATE, "flac")
    path = tmp_path / "ü clip.flac"
    path.write_bytes(data)
    link = tmp_path / "link.flac"
    link.symlink_to(path)
    stream = io.BytesIO(b"prefix" + data)
    stream.seek(6)
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    expected = load_waveform(path).samples
    with path.open("rb") as file, os.fdopen(reader, "rb") as pipe:
        for source in (
            str(path),
            os.fsencode(path.name) and link,
            file,
            stream,
            pipe,
            bytearray(data),
        ):
            np.testing.assert_array_equal(load_waveform(source).samples, expected)
        assert not file.closed
    assert not stream.closed


def test_a_waveform_is_read_only_and_leaves_the_callers_array_alone() -> None:
    array = noise(1000).astype(np.float32)
    original = array.copy()
    waveform = load_waveform(array, rate=RATE)
    with pytest.raises(ValueError, match="read-only"):
        waveform.samples[0] = 1.0
    assert array.flags.writeable
    assert not np.shares_memory(array, waveform.samples)
    np.testing.assert_array_equal(array, original)
    assert Waveform(array).samples.base is array
    assert array.flags.writeable
    with pytest.raises(UsageError, match="float32"):
        Waveform(np.zeros((2, 3), dtype=np.float32))


# --- arrays


@pytest.mark.parametrize(
    ("kind", "scale"),
    [("int16", 2**15), (">i2", 2**15), ("int32", 2**31), ("float32", 1), ("float64", 1)],
)
def test_array_types_are_scaled(kind: str, scale: int) -> None:
    samples = noise(1000)
    array = (samples * (scale if scale > 1 else 1)).astype(kind)
    np.testing.assert_allclose(load_waveform(array, rate=RATE).samples, samples, atol=4e-5)


def test_an_array_is_treated_like_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(44_100, channels=2).astype(np.float32)
    file = load_waveform(encode(samples, 44_100, "wav_float"), start=0.2, end=0.7)
    monkeypatch.setattr("phonemo.audio.arrays.BLOCK_FRAMES", 777)
    array = load_waveform(samples.T, rate=44_100, start=0.2, end=0.7)
    np.testing.assert_array_equal(array.samples, file.samples)


@pytest.mark.parametrize(
    ("array", "code", "words"),
    [
        (np.zeros((2, 2, 900), np.float32), "invalid_audio", "(2, 2, 900)"),
        (np.zeros((900, 2), np.float32), "invalid_audio", "transpose"),
        (np.array("text"), "invalid_audio", "got str"),
        (np.zeros(900, bool), "invalid_audio", "bool"),
        (np.zeros(900, complex), "invalid_audio", "complex128"),
        (np.zeros(900, np.uint8), "invalid_audio", "uint8"),
        (np.zeros((), np.float32), "invalid_audio", "()"),
        (np.zeros(0, np.float32), "empty_audio", "no samples"),
        (np.zeros((0, 900), np.float32), "empty_audio", "no samples"),
        (np.zeros(399, np.float32), "too_short", "399"),
        (np.full(900, np.nan), "invalid_audio", "not a number"),
        (np.full(900, np.inf), "invalid_audio", "inf"),
        (np.full(900, 1e300), "invalid_audio", "inf"),
        (np.full((2, 900), 3e38, np.float32), "invalid_audio", "got 3e+38"),
    ],
)
def test_invalid_arrays_are_rejected(array: np.ndarray, code: str, words: str) -> None:
    assert words in refused(array, code, rate=RATE)


@pytest.mark.parametrize("rate", [None, 16_000.5, float("nan"), True, "16000"])
def test_an_array_needs_its_rate(rate: Any) -> None:
    with pytest.raises(UsageError, match="expected rate as an integer in hertz"):
        load_waveform(np.zeros(900, np.float32), rate=rate)
    refused(np.zeros(900, np.float32), "unsupported_audio", rate=100)


# --- slices


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 44_101, 48_000])
@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 1.0), (0.25, None), (1.5, 2.75), (3.3, 4.40005), (4.0, 99.0)]
)
def test_a_slice_equals_the_slice_of_the_whole(rate: int, start: float, end: float | None) -> None:
    data = encode(noise(5 * rate), rate, "flac")
    full = load_waveform(data).samples
    part = load_waveform(data, start=start, end=end).samples
    last = None if end is None else round(end * RATE)
    expected = full[round(start * RATE) : last]
    if rate == RATE:
        np.testing.assert_array_equal(part, expected)
    assert len(part) == len(expected)
    np.testing.assert_allclose(part, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("container", "atol"), [("mp3", 1e-5), ("vorbis", 1e-5), ("opus", 1e-3), ("wav_gsm", 0)]
)
def test_a_slice_of_a_lossy_file(container: str, atol: float) -> None:
    data = encode(noise(6 * 48_000), 48_000, container)
    full = load_waveform(data).samples
    part = load_waveform(data, start=3.21, end=4.5).samples
    np.testing.assert_allclose(part, full[51_360:72_000], atol=max(atol, 2e-6))


def test_a_slice_of_a_long_file_is_found_by_seeking(long_flac: bytes) -> None:
    start_time = process_time()
    limits = AudioLimits(max_seconds=2.0)
    assert load_waveform(long_flac, start=7000.0, end=7001.0, limits=limits).seconds == 1.0
    assert process_time() - start_time < 0.5


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-1.0, None), (float("nan"), None), (0.0, 0.0)]
)
def test_invalid_slice_times_are_rejected(start: float, end: float | None) -> None:
    with pytest.raises(UsageError, match="expected"):
        load_waveform(wav_bytes(), start=start, end=end)


def test_a_slice_outside_the_audio() -> None:
    assert "start=5" in refused(wav_bytes(), "too_short", start=5.0, end=6.0)
    refused(wav_bytes(16_000), "too_short", start=0.99)
    refused(forge_flac(encode(noise(RATE), RATE, "flac"), frames=0), "too_short", start=1e30)


# --- limits


def test_two_hours_of_silence_are_refused_from_the_header(long_flac: bytes) -> None:
    start_time = process_time()
    message = refused(long_flac, "audio_too_long", limits=AudioLimits(max_seconds=600))
    assert process_time() - start_time < 0.1
    assert "7200.0 s" in message
    assert "600 s" in message


@pytest.mark.parametrize("kind", ["seconds", "bytes"])
def test_limits_hold_without_a_length_in_the_header(long_flac: bytes, kind: str) -> None:
    nameless = forge_flac(long_flac, frames=0)
    limits = AudioLimits(max_seconds=600) if kind == "seconds" else None
    limits = limits or AudioLimits(max_decoded_bytes=600 * RATE * 4)
    code = "audio_too_long" if kind == "seconds" else "audio_too_large"
    tracemalloc.start()
    start_time = process_time()
    refused(nameless, code, limits=limits)
    seconds, peak = process_time() - start_time, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1.0
    assert peak < 60 * 2**20  # 600 s are 38.4 MB


def test_limits_are_exact() -> None:
    data = wav_bytes(8000)
    assert load_waveform(data, limits=AudioLimits(max_seconds=0.5)).seconds == 0.5
    refused(data, "audio_too_long", limits=AudioLimits(max_seconds=0.4999))
    assert load_waveform(data, limits=AudioLimits(max_decoded_bytes=32_000)).seconds == 0.5
    refused(data, "audio_too_large", limits=AudioLimits(max_decoded_bytes=31_999))
    refused(np.zeros(8000), "audio_too_long", rate=RATE, limits=AudioLimits(max_seconds=0.4))


def test_the_seconds_of_a_slice_count_and_not_those_before_it() -> None:
    limits = AudioLimits(max_seconds=1.0)
    for data in (encode(noise(5 * RATE), RATE, name) for name in ("flac", "wav_gsm")):
        assert load_waveform(data, start=3.0, end=4.0, limits=limits).seconds == 1.0
        refused(data, "audio_too_long", start=3.0, end=4.5, limits=limits)
        refused(data, "audio_too_long", start=3.0, limits=limits)


def test_all_channels_count_as_decoded_bytes() -> None:
    data = encode(np.zeros((RATE, 8)), RATE, "flac")
    limits = AudioLimits(max_decoded_bytes=RATE * 4 * 7)
    refused(data, "audio_too_large", limits=limits)
    refused(forge_flac(data, frames=0), "audio_too_large", limits=limits)
    refused(forge_flac(data, frames=0), "audio_too_large", limits=limits, start=0.9, end=1.0)


def test_a_pipe_is_not_read_past_the_limit() -> None:
    class Endless(io.RawIOBase):
        served = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            Endless.served += len(buffer)
            return len(buffer)

    limits = AudioLimits(max_decoded_bytes=10**6)
    refused(Endless(), "audio_too_large", limits=limits)
    assert Endless.served < 1_200_000


@pytest.mark.parametrize("limits", [{"max_seconds": 0}, {"max_decoded_bytes": -1}])
def test_limits_above_zero(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="above zero"):
        AudioLimits(**limits)


# --- forged headers


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF, 0x7FFF0000, 3002])
def test_a_wav_that_declares_more_than_it_contains(claimed: int) -> None:
    tracemalloc.start()
    waveform = load_waveform(wav_bytes(claimed_bytes=claimed))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(waveform.samples) == 1500
    unknown = claimed in (0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF)  # what a pipe writes
    assert waveform.warnings == (() if unknown else ("truncated",))
    assert peak < 4 * 2**20


@pytest.mark.parametrize("rate", [0, 1, 3_999, 384_001, 655_350, 0xFFFFFFFF])
def test_forged_rates_are_refused(rate: int) -> None:
    refused(wav_bytes(rate=rate), "unsupported_audio")
    if rate < 2**20:
        refused(forge_flac(encode(noise(9000), RATE, "flac"), rate=rate), "unsupported_audio")


@pytest.mark.parametrize("channels", [0, 65, 1000, 5000])
def test_forged_channels_are_refused(channels: int) -> None:
    refused(wav_bytes(channels=channels), "unsupported_audio")


@pytest.mark.parametrize(
    "container", ["wav_pcm16", "wav_float", "rf64", "flac", "aiff", "mp3", "vorbis", "opus"]
)
@pytest.mark.parametrize("share", [0.6, 0.95])
def test_a_truncated_file_has_a_warning(container: str, share: float) -> None:
    data = encode(noise(4 * RATE), RATE, container)
    full = load_waveform(data)
    part = load_waveform(data[: int(len(data) * share)])
    assert full.warnings == ()
    assert part.warnings == ("truncated",)
    assert 1.0 < part.seconds < 3.95
    atol = 1e-6 if container != "opus" else 1.0
    np.testing.assert_allclose(part.samples, full.samples[: len(part.samples)], atol=atol)


def test_an_ogg_cut_between_two_pages_has_a_warning() -> None:
    data = encode(noise(4 * RATE), RATE, "opus")
    waveform = load_waveform(data[: data.rindex(b"OggS")])
    assert waveform.seconds > 1.0
    assert waveform.warnings == ("truncated",)


def test_a_chunk_of_odd_length_before_the_data_is_padded() -> None:
    data = wav_bytes()
    padded = data[:36] + b"note\x03\0\0\0abc\0" + data[36:]
    assert load_waveform(padded).warnings == ()
    assert load_waveform(padded[:-1000]).warnings == ("truncated",)


def test_damage_in_the_middle_of_a_flac_keeps_what_came_before() -> None:
    data = bytearray(encode(noise(5 * RATE), RATE, "flac"))
    data[len(data) // 2] ^= 0xFF
    for content in (bytes(data), forge_flac(bytes(data), frames=0)):
        waveform = load_waveform(content)
        assert waveform.warnings == ("truncated",)
        assert 1.0 < waveform.seconds < 5.0


def test_an_mp3_with_a_wrong_length_estimate_is_read_to_the_end() -> None:
    quiet_then_loud = np.concatenate([noise(8 * RATE), np.zeros(20 * RATE)])
    variable = encode(quiet_then_loud, RATE, "mp3", bitrate_mode="VARIABLE", compression_level=0.5)
    assert load_waveform(variable).warnings == ()
    waveform = load_waveform(strip_xing(variable))
    assert abs(waveform.seconds - 28) < 0.1  # libsndfile alone reads 26 s
    assert waveform.warnings == ()
    constant = encode(quiet_then_loud, RATE, "mp3", bitrate_mode="CONSTANT", compression_level=0.5)
    assert load_waveform(strip_xing(constant)).warnings == ()


# --- warnings


def test_warnings_by_hand() -> None:
    clean = tone(RATE, 1.0, level=0.9)
    clipped = np.clip(tone(RATE, 1.0, level=1.2), -1, 1)
    touching = clean.copy()
    touching[:15] = 1.0  # 15 of 16,000 are under 1 in 1,000
    cases: dict[tuple[str, ...], list[np.ndarray]] = {
        (): [clean, touching, clean * 1e-3, clean * 0.5 + 0.009],
        ("silent",): [np.zeros(RATE), np.full(RATE, 9e-5) * (-1) ** np.arange(RATE)],
        ("clipped",): [clipped],
        ("dc_offset",): [clean * 0.5 - 0.011],
        ("silent", "dc_offset"): [np.full(RATE, 0.2)],
    }
    for expected, arrays in cases.items():
        for array in arrays:
            assert load_waveform(array, rate=RATE).warnings == expected
    assert list(WARNINGS)[:4] == ["truncated", "silent", "clipped", "dc_offset"]


def test_clipping_is_detected_before_mixing_and_only_in_the_slice() -> None:
    loud = np.clip(tone(48_000, 1.0, level=1.2), -1, 1)
    stereo = np.stack([loud, np.zeros_like(loud)])
    assert load_waveform(stereo, rate=48_000).warnings == ("clipped",)
    later = np.concatenate([loud * 0.5, loud])
    assert load_waveform(later, rate=48_000, end=1.0).warnings == ()
    assert load_waveform(later, rate=48_000, start=1.0).warnings == ("clipped",)
    assert load_waveform(encode(loud, 48_000)).warnings == ("clipped",)


# --- rejected input


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/a.ts\n", "m3u8"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "ffconcat"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n", "sdp"),
        (b"[playlist]\nFile1=/etc/passwd\n", "pls"),
        (b"<html><audio src=x></html>", "HTML"),
        ("Das ist nur Text, später auch.\n".encode() * 200, "text"),
        (b"\xef\xbb\xbfjust text", "text"),
        (bytes(5000), "a kind that is not known"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"RIFF\x00\x00\x00\x00AVI LIST" + bytes(100), "AVI"),
        (b"\xff\xf1" + bytes(100), "a kind that is not known"),
        (b"ADIF" + bytes(100), "ADIF"),
        ((b"\x56\xe0\x20" + bytes(32)) * 9, "LATM"),
        ((b"G" + bytes(187)) * 9, "transport stream"),
        (b"#!AMR_MC1.0\n" + bytes(100), "several channels"),
        (b"Creative Voice File\x1a" + bytes(100), "a Creative voice file"),
        (b"NIST_1A\n   1024\n", "NIST"),
        (b"caff\x00\x01\x00\x00desc" + bytes(100), "decoded"),
        (wav_bytes()[:20], "fmt"),
        (wav_bytes()[:30], "data"),
        (b"fLaC" + bytes(100), "decoded"),
        (b"OggS" + bytes(100), "decoded"),
        (b"ID3" + bytes(100), "a kind that is not known"),
    ],
)
def test_other_formats_named_wav_are_rejected(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    message = refused(path, "unsupported_audio")
    assert kind in message
    assert "clip.wav" in message
    assert "expected wav" in message


def test_playlists_open_no_file_and_no_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    real_open = os.open

    def watched(path: Any, *rest: Any, **options: Any) -> int:
        opened.append(path)
        return real_open(path, *rest, **options)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(os, "open", watched)
    monkeypatch.setattr(socket, "socket", forbidden)
    path = tmp_path / "list.wav"
    path.write_bytes(b"#EXTM3U\nhttp://127.0.0.1/a.ts\n/etc/hostname\n")
    opened.clear()
    refused(path, "unsupported_audio")
    assert opened == [str(path)]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.wav",
        "HTTPS://example.org/a.wav",
        "http://a\\@b",
        "file:///etc/passwd",
        "s3://bucket/key.wav",
        Path("http://169.254.169.254/x"),
    ],
)
def test_urls_are_refused(url: str | Path) -> None:
    assert "URL input is not supported; download it" in refused(url, "unsupported_audio")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.wav"
    os.mkfifo(fifo)
    assert "pipe" in refused(fifo, "unsupported_audio")
    assert "device" in refused("/dev/zero", "unsupported_audio")
    assert "folder" in refused(tmp_path, "unsupported_audio")


def test_a_file_swapped_for_a_fifo_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo.wav"
    os.mkfifo(fifo)
    regular = os.stat(__file__)
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda _: regular)
        refused(fifo, "unsupported_audio")


@pytest.mark.parametrize(
    "name", ["none.wav", "no/such/folder.wav", "nul\0.wav", "x" * 10_000, "\ud800.wav", ""]
)
def test_missing_files_are_rejected(name: str, tmp_path: Path) -> None:
    message = refused(f"{tmp_path}/{name}" if name else "", "missing_file")
    assert len(message) < 300


def test_empty_and_short_files(tmp_path: Path) -> None:
    path = tmp_path / "empty.flac"
    path.write_bytes(b"")
    assert "0 bytes" in refused(path, "empty_audio")
    refused(b"", "empty_audio")
    refused(io.BytesIO(), "empty_audio")
    for container in CONTAINERS:
        with_header = encode(np.zeros(0), RATE, container)
        with pytest.raises(AudioError) as caught:
            load_waveform(with_header)
        assert caught.value.code in {"empty_audio", "unsupported_audio"}, container
    refused(wav_bytes(0), "empty_audio")
    refused(wav_bytes()[:44], "empty_audio")
    refused(wav_bytes(FRAME_SAMPLES - 1), "too_short")
    assert len(load_waveform(wav_bytes(FRAME_SAMPLES)).samples) == FRAME_SAMPLES
    refused(encode(tone(48_000, 0.0249), 48_000), "too_short")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("container", ["wav_float", "wav_double"])
@pytest.mark.parametrize("position", [0, 70_000, -1])
def test_samples_that_are_not_numbers(value: float, container: str, position: int) -> None:
    samples = noise(80_000)
    samples[position] = value
    refused(encode(samples, RATE, container), "invalid_audio")


def test_floats_scaled_like_integers_are_accepted_unchanged() -> None:
    samples = noise(1000) * 32_768
    waveform = load_waveform(encode(samples, RATE, "wav_float"))
    np.testing.assert_allclose(waveform.samples, samples, rtol=1e-6)


@pytest.mark.parametrize("source", [None, 3, [0.0] * 900, io.StringIO("text"), object()])
def test_sources_of_another_type(source: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        load_waveform(source)


def test_a_rate_is_for_arrays_only() -> None:
    with pytest.raises(UsageError, match="only for arrays"):
        load_waveform(wav_bytes(), rate=RATE)


class Failing(io.BytesIO):
    """A stream whose reads fail after the first few."""

    def __init__(self, data: bytes, error: BaseException, reads: int) -> None:
        super().__init__(data)
        self.error, self.left = error, reads

    def read(self, size: int | None = -1) -> bytes:
        self.left -= size != 0
        if self.left < 0:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize("reads", [0, 1, 3, 6, 9])
def test_a_stream_that_fails_is_reported(reads: int, capfd: pytest.CaptureFixture[str]) -> None:
    data = encode(noise(40_000), RATE, "flac")
    source = Failing(data, ConnectionResetError("gone\naway"), reads)
    assert "gone?away" in refused(source, "invalid_audio")
    with pytest.raises(KeyboardInterrupt):
        load_waveform(Failing(data, KeyboardInterrupt(), reads))
    assert capfd.readouterr() == ("", "")


# --- random damage

FLIPPED = {
    name: encode(noise(12_000), RATE, name)
    for name in ("wav_pcm16", "wav_float", "flac", "aiff", "mp3", "vorbis", "opus")
}


@pytest.mark.parametrize("container", FLIPPED)
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_flipped_bits_give_a_waveform_or_an_audio_error(
    container: str, data: st.DataObject
) -> None:
    content = bytearray(FLIPPED[container])
    # Half of the flips are in the header, where they have most effect.
    position = st.integers(0, 8 * 200) | st.integers(0, 8 * len(content) - 1)
    for bit in data.draw(st.lists(position, min_size=1, max_size=8)):
        content[bit // 8] ^= 1 << bit % 8
    end = data.draw(st.none() | st.integers(0, len(content)))
    start = data.draw(st.sampled_from([None, 0.3, 2.0]))
    limits = AudioLimits(max_seconds=60, max_decoded_bytes=10**8)
    try:
        waveform = load_waveform(bytes(content[:end]), start=start, limits=limits)
    except AudioError:
        return
    assert np.isfinite(waveform.samples).all()
    assert FRAME_SAMPLES <= len(waveform.samples) <= 60 * RATE


# --- names


def test_safe_name_replaces_invisible_characters() -> None:
    assert safe_name("wav/03a01Fa.wav") == "wav/03a01Fa.wav"
    assert safe_name(Path("größe ≠.wav")) == "größe ≠.wav"
    assert safe_name("a\u202egpj.wav\n\x1b[2J\0\ud800\u200b") == "a?gpj.wav??[2J???"
    long = safe_name("a" * 5000 + ".wav")
    assert len(long) == 123
    assert long.endswith("a.wav")
    assert safe_name("x" * 120) == "x" * 120


def test_names_in_messages_are_printable(tmp_path: Path) -> None:
    path = tmp_path / "evil\n\u202ename.wav"
    path.write_text("text")
    assert "evil??name.wav" in refused(path, "unsupported_audio")


# --- lengths and real speech


@pytest.mark.parametrize("container", ["wav_pcm16", "flac", "mp3", "opus", "vorbis"])
def test_audio_seconds_equals_the_decoded_length(container: str, tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(encode(noise(48_000 + 77), 48_000, container))
    assert audio_seconds(path) == pytest.approx(load_waveform(path).seconds, abs=1e-3)


def test_audio_seconds_decodes_if_the_header_has_no_length(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    path.write_bytes(forge_flac(encode(noise(RATE), RATE, "flac"), frames=0))
    assert audio_seconds(path) == 1.0
    assert load_waveform(path).warnings == ()
    with pytest.raises(AudioError):
        audio_seconds(tmp_path / "none.flac")


def test_real_speech_decodes_without_warnings(shared_folder: Path) -> None:
    patterns = ("emodb/wav/*.flac", "ravdess/*/*.flac", "nemo/samples/*.ogg")
    for pattern in (*patterns, "speechocean762/WAVE/*/*.ogg"):
        for path in sorted((shared_folder / "corpora").glob(pattern))[::60][:8]:
            waveform = load_waveform(path)
            samples, rate = soundfile.read(path, always_2d=True)
            assert rate == RATE
            np.testing.assert_allclose(waveform.samples, samples.mean(axis=1), atol=1e-6)
            assert set(waveform.warnings) <= {"clipped"}
