"""Decode bytes to blocks of samples, with limits and damage detection.

Internal to :mod:`phonemo.audio`. libsndfile decodes from an open stream, never from a path, so that
it cannot open any other file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from phonemo.audio.arrays import ArrayAudio, resolve
from phonemo.audio.arrays import Block as Block  # for the modules that use decode
from phonemo.audio.containers import EXPECTED, HEAD_BYTES, sniff_format
from phonemo.audio.formats.chunks import read_recording
from phonemo.audio.formats.ffmpeg import has_uncommon_codec, is_installed
from phonemo.audio.formats.fitting import BlockFitter
from phonemo.audio.formats.pieces import detect, sphere_fields, survey
from phonemo.audio.formats.sndfile import SoundFileAudio
from phonemo.audio.media import MediaAudio
from phonemo.audio.sources import BufferedSource, Piece, Source, open_stream, raise_fault
from phonemo.errors import AudioError, UsageError, safe_name

BYTES_PER_SAMPLE = 4
"""Decoded samples are float32."""


#: What libsndfile says of codecs that it does not know.
_UNKNOWN_CODEC = ("unsupported encoding", "unimplemented format")
#: Bytes in which a file names its codec.
_SHORTEST = 64


@dataclass(frozen=True)
class AudioLimits:
    """Limits on audio, enforced while decoding and not only on the header.

    Raises:
        UsageError: a limit is not above zero.
    """

    max_seconds: float = 7200.0
    """Longest audio in seconds; with ``start`` and ``end``, the longest slice."""
    max_decoded_bytes: int = 2**32
    """Most bytes of float32 samples, over all channels at the file's own rate; the default is
    enough for two hours of 48 kHz stereo."""

    def __post_init__(self) -> None:
        if not (self.max_seconds > 0 and self.max_decoded_bytes > 0):
            raise UsageError(f"expected limits above zero, got {self}")


class Audio(Protocol):
    """Audio readable in blocks, created by :func:`open_audio`."""

    name: str
    rate: int
    channels: int
    frames: int | None
    """Length in the header; None if unknown."""

    def seek(self, frame: int) -> int:
        """Move to a frame and return the actual position (0 if the source cannot seek)."""

    def blocks(self) -> Iterator[Block]:
        """Yield float32 blocks of at most BLOCK_FRAMES: (frame, channel)."""

    def truncated(self) -> bool:
        """Whether the audio read so far is shorter than the container declares."""

    def remarks(self) -> tuple[str, ...]:
        """Warnings about what is not decoded at all, with amounts."""


@contextmanager
def open_audio(source: Source, rate: int | None, limits: AudioLimits) -> Iterator[Audio]:
    """Open a path, bytes, a binary stream or samples; only samples take (and need) ``rate``.

    Raises:
        AudioError: missing_file, unsupported_audio, empty_audio, audio_too_large, invalid_audio.
        UsageError: unsupported source type, or ``rate`` missing or not applicable.
    """
    resolved, own_rate = resolve(source, rate)
    if own_rate is not None:
        yield ArrayAudio(resolved, own_rate)
        return
    with ExitStack() as stack:
        name, stream = open_stream(resolved, limits.max_decoded_bytes, stack)
        yield _open_file(name, BufferedSource(stream), stack)


def _open_file(name: str, source: BufferedSource, stack: ExitStack) -> Audio:
    detected = detect(source)
    raise_fault(name, source)
    if not source.size:
        raise AudioError("empty_audio", f"{name}: {EXPECTED}, got 0 bytes")
    if not detected.kind.audio:
        raise AudioError("unsupported_audio", f"{name}: {EXPECTED}, got {detected.kind.name}")
    if detected.kind.name == "NIST SPHERE":
        _refuse_shorten(name, source, detected.start)
    found = survey(source, detected)
    raise_fault(name, source)
    audio = [_open_piece(name, found.pieces[0], stack)]
    unused = found.unused
    for piece in found.pieces[1:]:
        try:
            audio.append(_open_piece(name, piece, stack))
        except AudioError:
            unused += piece.size
    single = len(audio) == 1 and not unused and not found.truncated
    return audio[0] if single else ChainedAudio(audio, found.truncated, unused)


def _open_piece(name: str, piece: Piece, stack: ExitStack) -> Audio:
    """Open one recording with libsndfile if it can, else with FFmpeg."""
    piece.seek(0)
    head = piece.read(HEAD_BYTES)
    kind = sniff_format(head)
    if not kind.native:
        return MediaAudio(name, piece, kind, stack)
    try:
        audio = SoundFileAudio(name, piece, stack)
    except AudioError as error:
        if kind.demuxer is None or error.code != "unsupported_audio" or piece.fault is not None:
            raise
        if not (is_installed() or has_uncommon_codec(head)):
            raise _without_extra(error, kind.name, head) from None
        if kind.demuxer == "wav" and not _has_samples(piece):
            raise  # FFmpeg would ask for as much memory as the chunks declare
        try:
            return MediaAudio(name, piece, kind, stack)
        except AudioError as other:
            raise (error if is_installed() else other) from None
    return audio


def _without_extra(error: AudioError, kind: str, head: bytes) -> AudioError:
    """The error of a file that FFmpeg can perhaps decode: its codec is at fault, not damage.

    A WAV's header names its codec, so that it is known whether FFmpeg is needed.
    """
    is_whole = len(head) >= _SHORTEST and (head[:4] != b"OggS" or head[5] & 2)  # its first page
    is_codec = any(reason in str(error) for reason in _UNKNOWN_CODEC)
    if kind == "WAV" or not (is_whole and is_codec):
        return error
    return AudioError(error.code, f"{error}; or perhaps with: pip install 'phonemo[media]'")


def _has_samples(piece: Piece) -> bool:
    """Whether a WAV has a chunk of samples."""
    piece.seek(0)
    return read_recording(BufferedSource(cast(BinaryIO, piece)), 0) is not None


def _refuse_shorten(name: str, source: BufferedSource, start: int) -> None:
    coding = (sphere_fields(source, start) or {}).get("sample_coding", "pcm")
    if "," in coding or "shorten" in coding:
        got = f"SPHERE compressed with Shorten ({safe_name(coding)})"
        advice = "decompress it with sph2pipe or w_decode"
        raise AudioError("unsupported_audio", f"{name}: {EXPECTED}, got {got}; {advice}")


class ChainedAudio:
    """Recordings of one file, one after the other, at the rate and with the channels of the first.

    Args:
        parts: the recordings, at least one.
        truncated: whether one declares more than is present.
        unused: bytes of the file that belong to none.
    """

    def __init__(self, parts: Sequence[Audio], truncated: bool, unused: int) -> None:
        self._parts, self._cut_short, self._unused = parts, truncated, unused
        self.name, self.rate, self.channels = parts[0].name, parts[0].rate, parts[0].channels
        lengths = [self._length_of(part) for part in parts]
        known = [length for length in lengths if length is not None]
        self.frames = sum(known) if len(known) == len(lengths) else None
        self._first = 0  # part at which decoding begins

    def _length_of(self, part: Audio) -> int | None:
        """Frames of a part at the rate of the first."""
        return None if part.frames is None else -(-part.frames * self.rate // part.rate)

    def seek(self, frame: int) -> int:
        """Move to a frame and return the actual position."""
        position = 0
        for number, part in enumerate(self._parts):
            length = self._length_of(part)
            self._first = number
            if length is None or part.rate != self.rate or frame < position + length:
                same = part.rate == self.rate
                return position + (part.seek(max(0, frame - position)) if same else 0)
            position += length
        return position - (length or 0)

    def blocks(self) -> Iterator[Block]:
        """Yield float32 blocks: (frame, channel)."""
        fitter = BlockFitter(self.rate, self.channels)
        for part in self._parts[self._first :]:
            for block in part.blocks():
                yield from fitter.push(block, part.rate)
        yield from fitter.finish()

    def truncated(self) -> bool:
        """Whether what was read so far is shorter than the container declares, or damaged."""
        return self._cut_short or any(part.truncated() for part in self._parts)

    def remarks(self) -> tuple[str, ...]:
        """How many bytes belong to no recording, and how many tracks are not used."""
        unused = (f"unused_bytes={self._unused}",) if self._unused else ()
        return (*self._parts[0].remarks(), *unused)
