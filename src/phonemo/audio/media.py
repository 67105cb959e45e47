"""Decode what phones, browsers and meetings record: MP4, WebM, AAC, WMA, AMR.

Internal to :mod:`phonemo.audio`, except :func:`open_pipe`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any, BinaryIO

import numpy as np

from phonemo.audio import arrays
from phonemo.audio.arrays import Block, validate_channels, validate_rate
from phonemo.audio.channels import mean_of_channels
from phonemo.audio.containers import Kind, sniff_format
from phonemo.audio.formats.boxes import is_cut, lacks_index
from phonemo.audio.formats.ffmpeg import (
    first_audio,
    frames,
    is_installed,
    open_container,
    samples_of,
)
from phonemo.audio.formats.fitting import BlockFitter
from phonemo.audio.sources import Piece, raise_fault
from phonemo.errors import AudioError, safe_name

#: FFmpeg's demuxers of live streams.
_LIVE = ("matroska", "ogg", "mov", "aac")
_EXPECTED = "expected WebM, Ogg, MP4 or AAC"
#: Seconds by which a recording may be shorter than its container says.
_SLACK_SECONDS = 0.25
#: Frames that may fill up the last packet.
_PADDING_FRAMES = 4096
_HEAD = 12  # bytes that tell these formats apart, but for AAC


class MediaAudio:
    """A recording decoded by FFmpeg: the first audio track, from its beginning.

    Args:
        name: its name in messages.
        source: the bytes of the file.
        kind: its format, which has a demuxer.
        stack: closes it.
    """

    frames: int | None = None
    """Unknown: containers count in milliseconds, or with the encoder's delay."""

    def __init__(self, name: str, source: Piece, kind: Kind, stack: ExitStack) -> None:
        self.name = name
        self._source, self._kind, self._demuxer = source, kind, kind.demuxer or ""
        self._damaged = self._at_end = False
        self._decoded = 0
        self._container = self._open(source)
        stack.callback(self._container.close)
        self._stream = first_audio(name, self._container)
        self._frames = frames(self._container, self._stream, self._mark_damaged)
        stack.callback(self._frames.close)  # PyAV must not demux after the container is closed
        self._first = next(self._frames, None)  # only it has the true rate and channels
        raise_fault(name, source)
        if self._first is None:
            message = "holds no sound that can be decoded; record or convert it again"
            raise AudioError("empty_audio", f"{name}: {message}")
        self.rate = validate_rate(name, self._first.sample_rate)
        self.channels = validate_channels(name, len(self._first.layout.channels))

    def _open(self, source: Piece) -> Any:
        try:
            source.seek(0)
            return open_container(self.name, source, self._kind)
        except AudioError as error:
            raise_fault(self.name, source)
            if not is_installed():
                raise
            if self._demuxer == "mov" and lacks_index(source):
                reason = "no index (moov), as if the recorder was stopped before it wrote one"
            elif is_cut(source, self._demuxer):
                reason = "it ends before the sound begins"
            else:
                raise
            message = f"{self.name}: cannot be decoded: {reason}; repair it or record it again"
            raise AudioError("invalid_audio", message) from error

    def _mark_damaged(self) -> None:
        self._damaged = True

    def seek(self, frame: int) -> int:
        """Stay at the beginning: positions in these containers are not exact."""
        return 0

    def blocks(self) -> Iterator[Block]:
        """Yield float32 blocks: (frame, channel)."""
        held: list[Block] = []
        for block in self._without_padding(self._fitted()):
            held.append(block)
            if sum(map(len, held)) >= arrays.BLOCK_FRAMES:
                yield from self._joined(held)
                held = []
        raise_fault(self.name, self._source)
        self._at_end = True
        yield from self._joined(held)

    def _fitted(self) -> Iterator[Block]:
        """Decode; a stream may change its rate and channels."""
        fitter = BlockFitter(self.rate, self.channels)
        for frame in chain([self._first], self._frames):
            yield from fitter.push(samples_of(frame), frame.sample_rate)
        yield from fitter.finish()

    def _without_padding(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Drop what fills up the last packet of an MP4, beyond the duration of its track."""
        end = round(self._declared_seconds() * self.rate) if self._demuxer == "mov" else None
        count, held = 0, list[Block]()
        for block in blocks:
            count += len(block)
            held.append(block)
            if end is None or not end < count <= end + _PADDING_FRAMES:
                yield from held
                held = []
        if held and end is not None:
            joined = np.concatenate(held)
            yield joined[: max(0, len(joined) - (count - end))]

    def _joined(self, held: list[Block]) -> Iterator[Block]:
        block = np.concatenate(held) if held else np.zeros((0, self.channels), np.float32)
        self._decoded += len(block)
        for first in range(0, len(block), arrays.BLOCK_FRAMES):
            yield block[first : first + arrays.BLOCK_FRAMES]

    def truncated(self) -> bool:
        """Whether what was read so far is shorter than the container declares, or damaged."""
        if self._damaged or (self._at_end and is_cut(self._source, self._demuxer)):
            return True
        missing = self._declared_seconds() - self._decoded / self.rate
        return self._at_end and missing > max(_SLACK_SECONDS, 0.02 * self._decoded / self.rate)

    def _declared_seconds(self) -> float:
        if self._demuxer == "mov" and self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        alone = len(self._container.streams) == 1 and self._container.duration is not None
        if self._demuxer in ("asf", "matroska") and alone:
            return float(self._container.duration) / 1e6
        return 0.0  # unknown, or an estimate

    def remarks(self) -> tuple[str, ...]:
        """How many further audio tracks there are."""
        others = len(self._container.streams.audio) - 1
        return (f"unused_tracks={others}",) if others else ()


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
    container = open_container(name, pipe, _live_kind(pipe), live=True)
    try:
        decoded = 0
        for frame in frames(container, first_audio(name, container), _ignore):
            block = samples_of(frame)
            validate_rate(name, frame.sample_rate)
            validate_channels(name, block.shape[1])
            decoded += len(block)
            if len(block):
                yield frame.sample_rate, mean_of_channels(block)
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


def _live_kind(pipe: _Pipe) -> Kind:
    head = pipe.peek(_HEAD)
    pipe.raise_fault()
    if not head:
        raise AudioError("empty_audio", f"{pipe.name}: {_EXPECTED}, got 0 bytes")
    kind = sniff_format(head)
    if kind.demuxer not in _LIVE:
        raise AudioError("unsupported_audio", f"{pipe.name}: {_EXPECTED}, got {kind.name}")
    return kind


def _ignore() -> None:
    """A live stream goes on after a damaged packet."""
