"""Open audio sources (regular files, bytes, streams) as seekable byte streams.

Only regular files are opened: no URL, folder, device or named pipe.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import accumulate
from typing import Any, BinaryIO, cast

import numpy.typing as npt

from phonemo.errors import AudioError, UsageError, safe_name

Source = str | os.PathLike[str] | BinaryIO | Mapping[str, Any] | npt.ArrayLike
"""A path, an open binary file, a dict with a recording, or the bytes of a file or samples: arrays,
tensors, lists, or samples and rate as a pair."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_SPOOL_BYTES = 2**24  # kept in memory before a temporary file is used
_COPY_BYTES = 2**16
#: Largest C file offset; a header may direct libsndfile beyond it.
_MAX_OFFSET = 2**63 - 1
#: Bytes read at once in a search, and of the longest pattern.
_SCAN_BYTES, _LONGEST_PATTERN = 2**20, 64


def open_stream(source: Source, max_bytes: int, stack: ExitStack) -> tuple[str, BinaryIO]:
    """Return a name for messages and a seekable binary stream, which ``stack`` closes.

    Raises:
        AudioError: missing_file, unsupported_audio, audio_too_large (a pipe with more than
            ``max_bytes``), invalid_audio (an unreadable stream).
        UsageError: a text stream, or an unsupported type.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return safe_name(path), stack.enter_context(_open_regular(path))
    if isinstance(source, bytes | bytearray | memoryview):
        return "audio bytes", io.BytesIO(source)
    if not hasattr(source, "read"):
        kind = type(source).__name__
        raise UsageError(f"expected a path, bytes or a binary stream, got {kind}; open a file")
    stream = cast(BinaryIO, source)
    name = getattr(stream, "name", None)
    name = safe_name(name) if isinstance(name, str) else "audio stream"
    try:
        _check_binary(name, stream.read(0))
        if not _can_seek(stream):
            return name, _spool(name, stream, max_bytes, stack)
        _rewind_if_at_end(stream)
        return name, stream
    except (OSError, ValueError) as error:
        raise AudioError(
            "invalid_audio", f"{name}: reading failed ({safe_name(str(error))})"
        ) from error


class _ByteSource:
    """What both sources share: a position, and the methods of a file object that follow from it."""

    size: int
    """In bytes."""

    def __init__(self) -> None:
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte offset, at least 0."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        self._position = min(max(0, bases[whence] + offset), _MAX_OFFSET)
        return self._position

    def tell(self) -> int:
        """Offset of the next read."""
        return self._position

    def read(self, count: int) -> bytes:
        """Read ``count`` bytes; fewer only at the end or after a fault."""
        raise NotImplementedError

    def readinto(self, buffer: Any) -> int:
        """Fill a C buffer and return the number of bytes written."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class BufferedSource(_ByteSource):
    """A stream from its current position to its end, as a file object for libsndfile.

    It never raises: an exception inside a C callback would be printed on stderr and lost, so the
    first one is stored in ``fault``.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self.fault: BaseException | None = None
        self._stream = stream
        self._start = stream.tell()
        self.size = max(0, stream.seek(0, os.SEEK_END) - self._start)

    def read(self, count: int) -> bytes:
        """Read ``count`` bytes; fewer only at the end or after a fault."""
        data = b""
        if self._position >= self.size:  # a header may direct libsndfile beyond the limit of seek
            return data
        try:
            self._stream.seek(self._start + self._position)
            while len(data) < count and (more := self._stream.read(count - len(data))):
                data += more
        except BaseException as error:
            self.fault = self.fault or error
            return b""
        self._position += len(data)
        return data

    def read_at(self, offset: int, count: int) -> bytes:
        """Read ``count`` bytes at an offset; fewer only at the end or after a fault."""
        self.seek(offset)
        return self.read(count)

    def identity(self) -> tuple[int, ...] | None:
        """What tells an unchanged file on disk from every other; None for anything else."""
        try:
            found = os.fstat(self._stream.fileno())
        except (OSError, ValueError, AttributeError, TypeError):
            return None
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, self._start)
        return state if stat.S_ISREG(found.st_mode) else None

    def scan(
        self, pattern: re.Pattern[bytes], start: int, words: tuple[bytes, ...] = ()
    ) -> Iterator[int]:
        """Yield where a pattern of at most 64 bytes begins, from the byte ``start`` on.

        Each match contains one of ``words``, for which bytes are searched much faster.
        """
        while start < self.size and (data := self.read_at(start, _SCAN_BYTES)):
            last = start + len(data) >= self.size
            limit = len(data) if last else len(data) - _LONGEST_PATTERN
            is_hopeless = words and not any(word in data for word in words)
            for match in () if is_hopeless else pattern.finditer(data):
                if match.start() < limit:
                    yield start + match.start()
            if last or limit <= 0:
                return
            start += limit


class SplicedSource(_ByteSource):
    """Bytes and parts of a source one after the other, as a file object for the decoders.

    Args:
        source: where parts come from.
        parts: bytes, or the offsets of a part's begin and end in the source.
    """

    def __init__(self, source: BufferedSource, parts: tuple[bytes | tuple[int, int], ...]) -> None:
        super().__init__()
        self._source, self._parts = source, parts
        sizes = [len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts]
        self._ends = list(accumulate(sizes))
        self.size = self._ends[-1]

    @property
    def fault(self) -> BaseException | None:
        """The first error of the source."""
        return self._source.fault

    def read(self, count: int) -> bytes:
        """Read ``count`` bytes; fewer only at the end or after a fault."""
        data = b""
        while len(data) < count and (more := self._read_part(count - len(data))):
            data += more
        return data

    def _read_part(self, count: int) -> bytes:
        number = bisect_right(self._ends, self._position)
        if number == len(self._parts):
            return b""
        part, left = self._parts[number], self._ends[number] - self._position
        count = min(count, left)
        if isinstance(part, bytes):
            first = len(part) - left
            data = part[first : first + count]
        else:
            data = self._source.read_at(part[1] - left, count)
        self._position += len(data)
        return data


Piece = BufferedSource | SplicedSource
"""One recording's bytes."""


def raise_fault(name: str, source: Piece) -> None:
    """Raise the first error of a source: AudioError (invalid_audio), or what is no Exception."""
    fault = source.fault
    if isinstance(fault, Exception):
        reason = safe_name(f"{type(fault).__name__}: {fault}")
        raise AudioError("invalid_audio", f"{name}: reading failed ({reason})") from fault
    if fault is not None:
        raise fault


def _check_binary(name: str, nothing: object) -> None:
    """Check what reading zero bytes returns; UsageError unless these are bytes."""
    if isinstance(nothing, str):
        expected = "expected a binary stream, got a text stream"
        raise UsageError(f"{name}: {expected}; open it in binary mode ('rb')")
    if nothing is not None and not isinstance(nothing, bytes | bytearray | memoryview):
        if hasattr(nothing, "close"):
            nothing.close()  # a coroutine that nothing will await
        kind = type(nothing).__name__
        raise UsageError(f"{name}: expected a stream that reads bytes, got {kind}; pass its bytes")


def _rewind_if_at_end(stream: BinaryIO) -> None:
    """Go back to the start where nothing is left to read, as after writing into a BytesIO."""
    position = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(0 if position >= end else position)


def _can_seek(stream: BinaryIO) -> bool:
    """Whether the stream can seek to its end and back; ``seekable()`` is not always right."""
    if not (hasattr(stream, "seekable") and stream.seekable()):
        return False
    try:
        start = stream.tell()
        stream.seek(0, os.SEEK_END)
        stream.seek(start)
    except (OSError, ValueError, NotImplementedError):
        return False
    return True


def _spool(name: str, stream: BinaryIO, max_bytes: int, stack: ExitStack) -> BinaryIO:
    # libsndfile seeks, a pipe cannot. Encoded audio is not larger than decoded audio, so the limit
    # on decoded bytes applies.
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
    stack.callback(spool.close)
    size = 0
    while data := stream.read(_COPY_BYTES):
        size += len(data)
        if size > max_bytes:
            raise AudioError("audio_too_large", f"{name}: expected at most {max_bytes} bytes")
        spool.write(data)
    spool.seek(0)
    return cast(BinaryIO, spool)


def _open_regular(path: str) -> BinaryIO:
    name = safe_name(path)
    if _URL.match(path):
        message = f"{name}: URL input is not supported; download it and pass the file"
        raise AudioError("unsupported_audio", message)
    try:
        # Check before opening, because opening a device may trigger it, and again afterwards, in
        # case the file was swapped; O_NONBLOCK prevents blocking on a FIFO swapped in.
        _check_regular(name, os.stat(path).st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(path, flags), "rb")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        message = f"{name}: {reason}; expected the path of an audio file"
        raise AudioError("missing_file", message) from error
    try:
        _check_regular(name, os.fstat(stream.fileno()).st_mode)
    except AudioError:
        stream.close()
        raise
    return stream


def _check_regular(name: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        message = f"{name}: expected the path of an audio file, got {kind}"
        raise AudioError("unsupported_audio", message)
