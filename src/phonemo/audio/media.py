"""Decode what phones, browsers and meetings record: MP4, WebM, AAC, WMA, AMR.

Internal to :mod:`phonemo.audio`, except :func:`open_pipe`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from phonemo.audio.arrays import Block, validate_channels, validate_rate
from phonemo.audio.containers import sniff_format
from phonemo.audio.ffmpeg import first_audio, frames, open_container, samples_of
from phonemo.errors import AudioError, safe_name

#: FFmpeg's demuxers of live streams.
_LIVE = ("matroska", "ogg", "mov", "aac")
_EXPECTED = "expected WebM, Ogg, MP4 or AAC"
_HEAD = 12  # bytes that tell these formats apart, but for AAC


def open_pipe(stream: BinaryIO, name: str = "stream") -> Iterator[tuple[int, Block]]:
    """Decode a recording while it arrives: WebM, Ogg, fragmented MP4 or AAC.

    Args:
        stream: encoded bytes as MediaRecorder sends them. It need not seek. Its ``read1(n)``, or
            without one its ``read(n)``, blocks until there is at least one byte, then returns what
            is there (at most ``n`` bytes), and ``b""`` at the end.
        name: the stream's name in messages.

    Yields:
        ``(rate, samples)`` as soon as a packet is complete: the rate in hertz and float32 of
        (sample,), the mean of all channels.

    Raises:
        AudioError: unsupported_audio (another format or codec, or the extra ``media`` is missing),
            empty_audio (no byte arrived), invalid_audio (``read`` failed, or nothing could be
            decoded).
    """
    pipe = _Pipe(name, stream)
    container = open_container(name, pipe, _live_demuxer(pipe), live=True)
    try:
        decoded = 0
        for frame in frames(container, first_audio(name, container), _ignore):
            block = samples_of(frame)
            validate_rate(name, frame.sample_rate)
            validate_channels(name, block.shape[1])
            decoded += len(block)
            if len(block):
                yield frame.sample_rate, block.mean(axis=1, dtype=np.float64).astype(np.float32)
        pipe.raise_fault()
        if not decoded:
            advice = "send WebM, Ogg, AAC or a fragmented MP4"
            raise AudioError("invalid_audio", f"{name}: nothing could be decoded; {advice}")
    finally:
        container.close()


class _Pipe:
    """A stream that cannot seek, as a file object for FFmpeg; it never raises."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        self._read = getattr(stream, "read1", stream.read)
        self._head = b""
        self._fault: Exception | None = None

    def peek(self, count: int) -> bytes:
        """Return the next ``count`` bytes, fewer at the end; ``read`` returns them again."""
        while len(self._head) < count and (more := self._next(count)):
            self._head += more
        return self._head

    def read(self, count: int) -> bytes:
        if self._head:
            data, self._head = self._head[:count], self._head[count:]
            return data
        return self._next(count)

    def raise_fault(self) -> None:
        if self._fault is not None:
            reason = safe_name(f"{type(self._fault).__name__}: {self._fault}")
            message = f"{self.name}: reading failed ({reason})"
            raise AudioError("invalid_audio", message) from self._fault

    def _next(self, count: int) -> bytes:
        try:
            return bytes(self._read(count) or b"")[:count]
        except Exception as error:
            self._fault = error
            return b""


def _live_demuxer(pipe: _Pipe) -> str:
    head = pipe.peek(_HEAD)
    pipe.raise_fault()
    if not head:
        raise AudioError("empty_audio", f"{pipe.name}: {_EXPECTED}, got 0 bytes")
    kind = sniff_format(head)
    if kind.demuxer not in _LIVE:
        raise AudioError("unsupported_audio", f"{pipe.name}: {_EXPECTED}, got {kind.name}")
    return kind.demuxer


def _ignore() -> None:
    """A live stream goes on after a damaged packet."""
