"""Decode bytes to blocks of samples, with limits and damage detection.

Internal to :mod:`phonemo.audio`. libsndfile decodes from an open stream, never from a path, so that
it cannot open any other file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import numpy as np
import soundfile

from phonemo.audio.arrays import (
    BLOCK_FRAMES,
    ArrayAudio,
    resolve,
    validate_channels,
    validate_rate,
)
from phonemo.audio.arrays import Block as Block  # for the modules that use decode
from phonemo.audio.containers import HEAD_BYTES, sniff_format
from phonemo.audio.pieces import is_truncated
from phonemo.audio.sources import BufferedSource, Source, open_stream
from phonemo.errors import AudioError, UsageError, safe_name

BYTES_PER_SAMPLE = 4
"""Decoded samples are float32."""
EXPECTED = "expected wav, flac, mp3, ogg (vorbis, opus) or aiff"

_FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "MP3", "OGG", "AIFF"}
_UNKNOWN_FRAMES = 2**62  # libsndfile reports 2**63 - 1 if the header gives no length
_MP3_SLACK = 2 * 1152  # two MPEG frames: without a Xing header the length is an estimate


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
        yield _FileAudio(name, BufferedSource(stream), stack)


class _FileAudio:
    """An encoded file decoded by libsndfile."""

    def __init__(self, name: str, tap: BufferedSource, stack: ExitStack) -> None:
        self.name = name
        self._source = tap
        self._damaged = self._at_end = False
        self._position = 0
        self._check_head()
        self._cut_short = is_truncated(tap)
        self._file = self._open()
        stack.callback(self._close)
        self.rate = validate_rate(name, self._file.samplerate)
        self.channels = validate_channels(name, self._file.channels)
        has_length = self._file.frames < _UNKNOWN_FRAMES
        self.frames = self._file.frames if has_length else None

    def _check_head(self) -> None:
        self._source.seek(0)
        head = self._source.read(HEAD_BYTES)
        self._raise_fault()
        if not head:
            raise AudioError("empty_audio", f"{self.name}: {EXPECTED}, got 0 bytes")
        kind = sniff_format(head)
        if not kind.audio:
            raise AudioError("unsupported_audio", f"{self.name}: {EXPECTED}, got {kind.name}")

    def _open(self) -> _SequentialFile:
        self._source.seek(0)
        try:
            file = _SequentialFile(cast(BinaryIO, self._source))
        except soundfile.LibsndfileError as error:
            self._raise_fault()
            reason = safe_name(error.error_string.strip().rstrip("."))
            detail = "" if "not exist" in reason else f" ({reason})"  # from a failed seek
            message = f"{self.name}: cannot be decoded{detail}; {EXPECTED}"
            raise AudioError("unsupported_audio", message) from error
        self._raise_fault()
        if file.format not in _FORMATS:
            file.close()
            message = f"{self.name}: {EXPECTED}, got {file.format}"
            raise AudioError("unsupported_audio", message)
        return file

    def seek(self, frame: int) -> int:
        if frame and self.frames is not None and soundfile.SoundFile.seekable(self._file):
            try:
                self._position = self._file.seek(frame)
            except soundfile.LibsndfileError:
                self._position = -1
            self._raise_fault()
            if self._position != frame:
                message = f"{self.name}: damaged (cannot seek to frame {frame}); encode it again"
                raise AudioError("invalid_audio", message)
        return self._position

    def blocks(self) -> Iterator[Block]:
        while not self._at_end:
            block = np.full((BLOCK_FRAMES, self.channels), np.nan, dtype=np.float32)
            count = self._fill_block(block)
            self._raise_fault()
            self._position += count
            if count:
                yield block[:count]

    def _fill_block(self, block: Block) -> int:
        try:
            count = len(self._file.read(out=block))
        except soundfile.LibsndfileError:
            # The block holds what was decoded before the damage, but soundfile does not report its
            # length: it is everything before the NaN that filled the block.
            self._damaged = self._at_end = True
            decoded = np.flatnonzero(~np.isnan(block).all(axis=1))
            return int(decoded[-1]) + 1 if decoded.size else 0
        self._at_end = count == 0
        return count

    def truncated(self) -> bool:
        if self._damaged or self._cut_short:
            return True
        return self._at_end and (self._has_missing_frames() or self._has_unread_bytes())

    def _has_missing_frames(self) -> bool:
        slack = _MP3_SLACK if self._file.format == "MP3" else 0
        return self.frames is not None and self._position < self.frames - slack

    def _has_unread_bytes(self) -> bool:
        # Without a Xing header libsndfile estimates an MP3's length from its first frame and stops
        # there: https://github.com/libsndfile/libsndfile/issues/1001
        allowed = max(256, min(4096, self._source.size // 10))  # tags may follow the audio
        return self._file.format == "MP3" and self._source.size - self._source.tell() > allowed

    def _raise_fault(self) -> None:
        fault = self._source.fault
        if isinstance(fault, Exception):
            reason = safe_name(f"{type(fault).__name__}: {fault}")
            raise AudioError("invalid_audio", f"{self.name}: reading failed ({reason})") from fault
        if fault is not None:
            raise fault

    def _close(self) -> None:
        try:
            self._file.close()
        except soundfile.LibsndfileError:
            self._damaged = True  # read-only, so nothing is lost


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A SoundFile that does not seek after every block.

    SoundFile seeks if it can, which for MP3 discards the decoder's state: blocks then differ from
    one continuous decode and take longer, and libmpg123 prints warnings on stderr.
    """

    def seekable(self) -> bool:
        return False
