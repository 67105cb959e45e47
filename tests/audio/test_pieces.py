"""Containers as tools really write them: unknown lengths, odd chunks, joined files, other bytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.audio import RATE, audio_seconds, load_waveform
from phonemo.audio.containers import sniff_format
from phonemo.audio.formats.chunks import read_recording, rewrite
from phonemo.audio.formats.mpeg import tag_bytes
from phonemo.audio.sources import BufferedSource, SplicedSource
from phonemo.errors import PhonemoError
from tests.audio.test_audio import encode, noise, refused, strip_xing, tone

SECOND = tone(RATE, 1.0)
#: libsndfile's name of a container and of samples that are exact to 2e-2 at least.
PLAIN = {
    "wav": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "wav8": ("WAV", "PCM_U8"),
    "wavfloat": ("WAV", "FLOAT"),
    "extensible": ("WAVEX", "PCM_24"),
    "rf64": ("RF64", "PCM_16"),
    "mulaw": ("WAV", "ULAW"),
    "aiff": ("AIFF", "PCM_16"),
    "aiff24": ("AIFF", "PCM_24"),
    "aifc": ("AIFF", "FLOAT"),
    "alaw": ("AIFF", "ALAW"),
    "au": ("AU", "PCM_16"),
    "aufloat": ("AU", "FLOAT"),
    "aulaw": ("AU", "ULAW"),
    "caf": ("CAF", "PCM_16"),
    "caf24": ("CAF", "PCM_24"),
    "w64": ("W64", "PCM_16"),
    "w64float": ("W64", "FLOAT"),
    "sph": ("NIST", "PCM_16"),
    "sphlaw": ("NIST", "ULAW"),
}


def write(name: str, samples: np.ndarray = SECOND, **options: Any) -> bytes:
    kind, subtype = PLAIN[name]
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, format=kind, subtype=subtype, **options)
    return stream.getvalue()


def with_length(
    data: bytes, name: bytes, size: int, order: str = "little", width: int = 4
) -> bytes:
    """Overwrite the length of a chunk, and that of the whole file by zero."""
    at = data.index(name) + len(name)
    whole = bytes(4) if data[:4] in (b"RIFF", b"FORM") else data[4:8]
    changed = data[:at] + size.to_bytes(width, order) + data[at + width :]
    return data[:4] + whole + changed[8:]


def unknown_length(name: str, data: bytes) -> list[bytes]:
    """The file as a pipe or a killed recorder leaves it."""
    if name.startswith(("wav", "ext", "mu")):
        return [with_length(data, b"data", size) for size in (0, 0xFFFF_FFFF, 0x7FFF_FFDB)]
    if name.startswith("ai") or name == "alaw":
        zero = with_length(data, b"SSND", 0, "big")
        frames = zero.index(b"COMM") + 10
        return [zero, zero[:frames] + bytes(4) + zero[frames + 4 :]]
    if name.startswith("au"):
        return [data[:8] + size + data[12:] for size in (b"\xff" * 4, bytes(4))]
    if name.startswith("caf"):
        return [with_length(data, b"data", size, "big", 8) for size in (2**64 - 1, 0)]
    if name.startswith("w64"):
        at = data.index(b"data\xf3\xac\xd3\x11") + 16
        return [data[:at] + size.to_bytes(8, "little") + data[at + 8 :] for size in (0, 24, 2**63)]
    if name.startswith("sph"):
        at = data.index(b"sample_count -i ")
        end = data.index(b"\n", at)
        return [data[:at] + b"sample_count -i 0".ljust(end - at) + data[end:]]
    return []


@pytest.mark.parametrize("name", PLAIN)
def test_native_formats_need_no_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    waveform = load_waveform(write(name))
    assert waveform.warnings == ()
    np.testing.assert_allclose(waveform.samples, SECOND, atol=2e-2)


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "rf64"])
def test_an_unknown_length_means_to_the_end(name: str) -> None:
    data = write(name)
    expected = load_waveform(data)
    for changed in unknown_length(name, data):
        waveform = load_waveform(changed)
        assert waveform.warnings == ()
        assert abs(len(waveform.samples) - RATE) <= 8  # padding, where the format has it
        np.testing.assert_array_equal(waveform.samples[:RATE], expected.samples)


@pytest.mark.parametrize("name", PLAIN)
def test_a_real_length_beyond_the_end_is_truncated(name: str) -> None:
    data = write(name)
    waveform = load_waveform(data[: len(data) * 6 // 10])
    assert waveform.warnings == ("truncated",)
    assert 0.4 < waveform.seconds < 0.7


@pytest.mark.parametrize("name", PLAIN)
def test_joined_files_are_read_to_the_end(name: str) -> None:
    parts = [write(name, tone(RATE, seconds)) for seconds in (1.0, 0.5, 0.25)]
    waveform = load_waveform(b"".join(parts))
    assert waveform.warnings == ()
    expected = np.concatenate([load_waveform(part).samples for part in parts])
    np.testing.assert_array_equal(waveform.samples, expected)
    assert audio_seconds(b"".join(parts)) == 1.75


@pytest.mark.parametrize("container", ["flac", "mp3", "vorbis", "opus"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_joined_streams_are_read_to_the_end(container: str, rate: int) -> None:
    parts = [encode(tone(rate, seconds), rate, container) for seconds in (1.0, 0.5)]
    waveform = load_waveform(parts[0] + parts[1] + parts[0])
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 2.5) < 0.01
    part = load_waveform(parts[0] + parts[1] + parts[0], start=1.2, end=1.9)
    np.testing.assert_allclose(part.samples, waveform.samples[19_200:30_400], atol=1e-3)


@pytest.mark.parametrize("name", ["wav", "aiff", "caf", "w64", "au"])
def test_joined_files_of_unknown_length_are_told_apart(name: str) -> None:
    if name == "au":
        pytest.skip("a header of four bytes is too short to be found in samples")
    changed = unknown_length(name, write(name))[0]
    waveform = load_waveform(changed + write(name))
    assert abs(waveform.seconds - 2.0) < 1e-3
    assert waveform.warnings == ()


def test_an_odd_number_of_bytes_of_unknown_length() -> None:
    data = with_length(write("wav24"), b"data", 0)
    for extra in (b"x", b"xy"):
        waveform = load_waveform(data + extra)
        assert (waveform.seconds, waveform.warnings) == (1.0, ())


def test_a_header_alone_has_no_samples() -> None:
    for size in (0, 0xFFFF_FFFF):
        data = with_length(write("wav"), b"data", size)
        assert "no samples" in refused(data[:44], "empty_audio")
    noted = with_length(write("wav")[:44], b"data", 0) + b"LIST\x04\x00\x00\x00INFO"
    assert "no samples" in refused(noted, "empty_audio")


@pytest.mark.parametrize("riff", [0, 36, 100, 0xFFFF_FFFF])
def test_the_length_of_the_whole_file_does_not_matter(riff: int) -> None:
    data = write("wav")
    waveform = load_waveform(data[:4] + struct.pack("<I", riff) + data[8:])
    assert (waveform.seconds, waveform.warnings) == (1.0, ())


@pytest.mark.parametrize("padding", [b"", b"\0"])
@pytest.mark.parametrize("note", [b"LIST", b"bext", b"JUNK", b"id3 "])
def test_odd_chunks_may_lack_their_padding(padding: bytes, note: bytes) -> None:
    chunk = note + struct.pack("<I", 5) + b"notes" + padding
    data = write("wav")
    for changed in (data[:12] + chunk + data[12:], data[:36] + chunk + data[36:], data + chunk):
        waveform = load_waveform(changed)
        assert waveform.warnings == ()
        np.testing.assert_array_equal(waveform.samples, load_waveform(data).samples)


@pytest.mark.parametrize("name", ["wav", "aiff", "w64", "au", "sph"])
def test_other_bytes_behind_the_samples_are_counted(name: str) -> None:
    data = write(name)
    junk = Random(1).randbytes(999)
    assert load_waveform(data + junk).warnings == (f"unused_bytes={len(junk)}",)
    assert load_waveform(data + bytes(999)).warnings == ()
    assert load_waveform(data + b"TAG" + bytes(125)).warnings == ()


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
@pytest.mark.parametrize("name", ["wav", "wav24", "mulaw"])
def test_texts_behind_samples_of_unknown_length_are_no_samples(name: str, size: int) -> None:
    data = with_length(write(name), b"data", size)
    note = b"LIST" + struct.pack("<I", 14) + b"INFOISFT\x02\0\0\0ab"
    waveform = load_waveform(data + note + b"id3 " + struct.pack("<I", 4) + b"text")
    assert waveform.warnings == ()
    np.testing.assert_array_equal(waveform.samples, load_waveform(write(name)).samples)


@pytest.mark.parametrize("size", [0, 2**64 - 1])
def test_an_rf64_whose_long_sizes_are_unknown_is_read_to_the_end(size: int) -> None:
    data = write("rf64")
    at = data.index(b"ds64") + 8
    waveform = load_waveform(data[:at] + size.to_bytes(8, "little") * 3 + data[at + 24 :])
    assert waveform.warnings == ()
    np.testing.assert_array_equal(waveform.samples, load_waveform(data).samples)


@pytest.mark.parametrize("first", ["flac", "vorbis", "mp3", "wav_pcm16"])
@pytest.mark.parametrize("second", ["flac", "vorbis", "mp3", "wav_pcm16"])
def test_files_of_any_two_formats_are_joined(first: str, second: str) -> None:
    data = [encode(SECOND, RATE, name) for name in (first, second)]
    data[1] = id3(50) + data[1] if second == "mp3" else data[1]
    if (first, second) == ("vorbis", "flac"):
        return  # Ogg may hold FLAC, whose head is the same
    waveform = load_waveform(b"".join(data))
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 2.0) < 0.01


@pytest.mark.parametrize("name", ["wav_pcm16", "flac", "vorbis"])
@pytest.mark.parametrize(
    ("before", "unused"), [(b"HTTP/1.1 200 OK\r\n\r\n", 19), (bytes(512), 0), (b"\x17" * 99, 99)]
)
def test_a_file_may_begin_with_other_bytes(name: str, before: bytes, unused: int) -> None:
    data = encode(SECOND, RATE, name)
    waveform = load_waveform(before + data)
    assert waveform.warnings == ((f"unused_bytes={unused}",) if unused else ())
    np.testing.assert_array_equal(waveform.samples, load_waveform(data).samples)


def test_an_mp3_of_changing_bit_rate_is_read_without_a_message(
    capfd: pytest.CaptureFixture[str],
) -> None:
    mp3 = strip_xing(encode(noise(RATE), RATE, "mp3"))
    load_waveform(mp3 + strip_xing(encode(0.001 * SECOND, RATE, "mp3")))
    assert capfd.readouterr().err == ""


def test_a_header_that_counts_too_little_says_how_much_is_unused() -> None:
    data = with_length(write("wav", noise(RATE)), b"data", 2 * 12_000)
    waveform = load_waveform(data)
    assert (waveform.seconds, waveform.warnings) == (0.75, ("unused_bytes=8000",))


def test_slices_of_a_file_search_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "joined.flac"
    path.write_bytes(encode(SECOND, RATE, "flac") * 2)
    whole = load_waveform(path).samples
    monkeypatch.setattr(BufferedSource, "scan", lambda *arguments: pytest.fail("searched again"))
    part = load_waveform(path, start=0.5, end=1.5).samples
    np.testing.assert_array_equal(part, whole[8000:24_000])


def test_files_of_several_formats_are_joined() -> None:
    data = [encode(SECOND, RATE, name) for name in ("wav_pcm16", "flac", "mp3", "aiff")]
    waveform = load_waveform(data[0] + data[1] + data[0] + data[2] + data[0] + data[3])
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 6.0) < 1e-3


def test_joined_files_of_other_rates_and_channels_are_converted() -> None:
    stereo = np.stack([tone(44_100, 1.0), tone(44_100, 1.0)], axis=1)
    data = write("wav") + encode(stereo, 44_100) + encode(tone(8000, 1.0), 8000)
    waveform = load_waveform(data)
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 3.0) < 1e-3
    for first in (2000, RATE + 2000, 2 * RATE + 2000):
        level = np.sqrt(2 * np.mean(waveform.samples[first : first + 12_000] ** 2))
        assert abs(level - 0.5) < 0.01


def id3(size: int) -> bytes:
    lengths = bytes((size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127))
    return b"ID3\x04\x00\x00" + lengths + Random(size).randbytes(size)


def ape(size: int) -> bytes:
    return struct.pack("<8sIIII8x", b"APETAGEX", 2000, size, 1, 0xA0000000) + bytes(size)


@pytest.mark.parametrize(
    ("before", "unused"),
    [
        (id3(20), 0),
        (id3(300_000), 0),
        (id3(20) + id3(5000), 0),
        (ape(2000), 0),
        (bytes(5000), 0),
        (bytes(5000) + id3(5000), 0),
        (b"\x17" * 3000, 3000),
    ],
)
@pytest.mark.parametrize("strip", [False, True])
def test_an_mp3_may_begin_with_other_bytes(before: bytes, unused: int, strip: bool) -> None:
    mp3 = encode(SECOND, RATE, "mp3")
    mp3 = strip_xing(mp3) if strip else mp3
    expected = load_waveform(mp3)
    waveform = load_waveform(before + mp3)
    assert waveform.warnings == ((f"unused_bytes={unused}",) if unused else ())
    np.testing.assert_array_equal(waveform.samples, expected.samples)


def test_joined_mp3s_with_tags_between_them() -> None:
    mp3 = encode(SECOND, RATE, "mp3")
    waveform = load_waveform(id3(100) + mp3 + b"TAG" + bytes(125) + id3(5000) + mp3)
    assert waveform.warnings == ()
    assert abs(waveform.seconds - 2.0) < 0.01


def test_flac_and_aac_may_follow_a_tag() -> None:
    assert load_waveform(id3(5000) + encode(SECOND, RATE, "flac")).seconds == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_raw_samples_are_no_mp3(seed: int) -> None:
    starts = (b"\xff\xfb\x90\x00", b"\xff\xf3\x40\xc4", b"\xff\xe3\x18\x00", b"\xff\xf1\x50\x80")
    raw = starts[seed % 4] + Random(seed).randbytes(60_000)
    assert "a file of a kind that is not known" in refused(raw, "unsupported_audio")


@pytest.mark.parametrize("value", [-1, -2, -257, -1025, 0x7FFF, -32768])
def test_constant_samples_are_no_mp3(value: int) -> None:
    refused(np.full(30_000, value, "<i2").tobytes(), "unsupported_audio")


def test_shorten_is_named() -> None:
    data = write("sph").replace(
        b"sample_coding -s3 pcm", b"sample_coding -s26 pcm,embedded-shorten"
    )
    assert "Shorten" in refused(data, "unsupported_audio")


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b"\n"])
def test_a_git_lfs_pointer_is_named(lead: bytes) -> None:
    pointer = lead + b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    message = refused(pointer, "unsupported_audio")
    assert "a Git LFS pointer" in message
    assert "git lfs pull" in message


def test_a_file_of_more_than_four_gigabytes_gets_a_long_header() -> None:
    class Huge(io.BytesIO):
        """A WAV of unknown length with 5 GB of zeros."""

        def seek(self, offset: int, whence: int = 0) -> int:
            return super().seek(offset, whence) if whence != 2 else 5 * 10**9

        def read(self, count: int | None = -1) -> bytes:
            data = super().read(count)
            return data + bytes((count or 0) - len(data))

    header = with_length(write("wavfloat")[:80], b"data", 0xFFFF_FFFF)
    source = BufferedSource(Huge(header))
    source.scan = lambda pattern, start: iter(())  # type: ignore[method-assign]
    recording = read_recording(source, 0)
    assert recording is not None
    piece = rewrite(source, recording)
    info = soundfile.info(piece)
    assert info.frames == (5 * 10**9 - recording.start) // 4
    assert info.format == "RF64"


@given(
    st.lists(st.one_of(st.binary(max_size=9), st.tuples(st.integers(0, 30), st.integers(0, 30))))
)
@settings(max_examples=50, deadline=None)
def test_spliced_bytes_are_the_parts_in_order(parts: list[bytes | tuple[int, int]]) -> None:
    data = bytes(range(31))
    parts = [part if isinstance(part, bytes) else (min(part), max(part)) for part in parts] or [b""]
    expected = b"".join(p if isinstance(p, bytes) else data[p[0] : p[1]] for p in parts)
    source = SplicedSource(BufferedSource(io.BytesIO(data)), tuple(parts))
    assert source.size == len(expected)
    assert source.read(1000) == expected
    for at in range(len(expected) + 1):
        source.seek(at)
        assert source.read(5) == expected[at : at + 5]
        assert source.tell() == min(at + 5, len(expected))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_head_is_sniffed(head: bytes) -> None:
    assert sniff_format(head).name
    assert tag_bytes(head) >= 0


@pytest.mark.parametrize("make", [lambda: write("caf"), lambda: write("au"), lambda: write("w64")])
def test_changed_bytes_are_answered_or_refused(make: Callable[[], bytes]) -> None:
    data, random = make(), Random(3)
    for _ in range(100):
        changed = bytearray(data[:6000])
        for _ in range(random.randint(1, 4)):
            changed[random.randrange(200)] = random.choice((0, 1, 127, 128, 255))
        with suppress(PhonemoError):
            assert len(load_waveform(bytes(changed)).samples)


def test_without_the_extra_an_unknown_codec_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    for codec in (b"zzzz", b"alac"):
        data = write("caf").replace(b"lpcm", codec)
        assert "phonemo[media]" in refused(data, "unsupported_audio")
