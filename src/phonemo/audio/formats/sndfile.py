"""Decode one recording with libsndfile.

libsndfile reads from an open stream, never from a path, so that it cannot open any other file.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO, cast

import numpy as np
import soundfile

from phonemo.audio import arrays
from phonemo.audio.arrays import Block, validate_channels, validate_rate
from phonemo.audio.containers import EXPECTED
from phonemo.audio.sources import Piece, raise_fault
from phonemo.errors import AudioError, safe_name

_FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "MP3", "OGG", "AIFF", "AU", "CAF", "W64", "NIST"}
_UNKNOWN_FRAMES = 2**62  # libsndfile reports 2**63 - 1 if the header gives no length
_MP3_SLACK = 2 * 1152  # two MPEG frames: without a Xing header the length is an estimate


class SoundFileAudio:
    """A recording decoded by libsndfile.

    Args:
        name: its name in messages.
        source: the bytes of the file.
        stack: closes it.
    """

    def __init__(self, name: str, source: Piece, stack: ExitStack) -> None:
        self.name = name
        self._source = source
        self._damaged = self._at_end = False
        self._position = 0
        self._file = self._open()
        stack.callback(self._close)
        self.rate = validate_rate(name, self._file.samplerate)
        self.channels = validate_channels(name, self._file.channels)
        has_length = self._file.frames < _UNKNOWN_FRAMES
        self.frames = self._file.frames if has_length else None

    def _open(self) -> _SequentialFile:
        self._source.seek(0)
        try:
            file = _SequentialFile(cast(BinaryIO, self._source))
        except soundfile.LibsndfileError as error:
            raise_fault(self.name, self._source)
            reason = safe_name(error.error_string.strip().rstrip("."))
            detail = "" if "not exist" in reason else f" ({reason})"  # from a failed seek
            message = f"{self.name}: cannot be decoded{detail}; {EXPECTED}"
            raise AudioError("unsupported_audio", message) from error
        raise_fault(self.name, self._source)
        if file.format not in _FORMATS:
            file.close()
            message = f"{self.name}: {EXPECTED}, got {file.format}"
            raise AudioError("unsupported_audio", message)
        return file

    def seek(self, frame: int) -> int:
        """Move to a frame and return the actual position."""
        if frame and self.frames is not None and soundfile.SoundFile.seekable(self._file):
            try:
                self._position = self._file.seek(frame)
            except soundfile.LibsndfileError:
                self._position = -1
            raise_fault(self.name, self._source)
            if self._position != frame:
                message = f"{self.name}: damaged (cannot seek to frame {frame}); encode it again"
                raise AudioError("invalid_audio", message)
        return self._position

    def blocks(self) -> Iterator[Block]:
        """Yield float32 blocks: (frame, channel)."""
        while not self._at_end:
            block = np.full((arrays.BLOCK_FRAMES, self.channels), np.nan, dtype=np.float32)
            count = self._fill_block(block)
            raise_fault(self.name, self._source)
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
        """Whether what was read so far is shorter than the container declares, or damaged."""
        if self._damaged:
            return True
        return self._at_end and (self._has_missing_frames() or self._has_unread_bytes())

    def _has_missing_frames(self) -> bool:
        slack = _MP3_SLACK if self._file.subtype.startswith("MPEG") else 0
        return self.frames is not None and self._position < self.frames - slack

    def _has_unread_bytes(self) -> bool:
        # Without a Xing header libsndfile estimates an MP3's length from its first frame and stops
        # there: https://github.com/libsndfile/libsndfile/issues/1001
        allowed = max(256, min(4096, self._source.size // 10))  # tags may follow the audio
        return self._file.format == "MP3" and self._source.size - self._source.tell() > allowed

    def remarks(self) -> tuple[str, ...]:
        """Nothing: what libsndfile does not decode is no part of this recording."""
        return ()

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
