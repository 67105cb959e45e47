"""Where audio comes from: a regular file, bytes or a stream, as bytes that can be sought in.

Nothing but the regular file given is opened: no URL, no folder, no device, no pipe by name.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from phonemo.errors import AudioError, UsageError, safe_name

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | npt.NDArray[Any]

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_SPOOL_BYTES = 2**24  # held in memory before a temporary file is used
_COPY_BYTES = 2**16
#: What C can tell; a header may send libsndfile further.
_FURTHEST = 2**63 - 1


def open_stream(source: Source, max_bytes: int, stack: ExitStack) -> tuple[str, BinaryIO]:
    """A name for messages and a seekable binary stream; what is opened is closed by ``stack``.

    Raises:
        AudioError: missing_file, unsupported_audio, audio_too_large (a pipe with more than
            ``max_bytes``), invalid_audio (a stream that cannot be read).
        UsageError: a text stream, or no source of audio at all.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return safe_name(path), stack.enter_context(_open_regular(path))
    if isinstance(source, bytes | bytearray | memoryview):
        return "audio bytes", io.BytesIO(source)
    if isinstance(source, np.ndarray) or not hasattr(source, "read"):
        wanted = "a path, bytes, a binary stream or a numpy array is wanted"
        if isinstance(source, list | tuple):
            wanted += ": numpy.array(...) of the samples, or predict_many for several recordings"
        raise UsageError(f"audio of type {type(source).__name__} found; {wanted}")
    name = getattr(source, "name", None)
    name = safe_name(name) if isinstance(name, str) else "audio stream"
    try:
        if isinstance(source.read(0), str):
            raise UsageError(f"{name}: a text stream found; open it in binary mode ('rb')")
        return name, source if _seeks(source) else _spool(name, source, max_bytes, stack)
    except (OSError, ValueError) as error:
        raise AudioError(
            "invalid_audio", f"{name}: reading failed ({safe_name(str(error))})"
        ) from error


class BufferedSource:
    """A stream's bytes from where it stood to its end, in the form libsndfile reads them.

    It never raises: an exception inside a C callback would be printed on stderr and lost, so the
    first one is kept in ``fault``.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.fault: BaseException | None = None
        self._stream = stream
        self._start = stream.tell()
        self.size = max(0, stream.seek(0, os.SEEK_END) - self._start)
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte; before the first one means the first."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        self._position = min(max(0, bases[whence] + offset), _FURTHEST)
        return self._position

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes; fewer only at the end or after a fault."""
        data = b""
        if self._position >= self.size:  # a header may send libsndfile beyond what seek takes
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

    def readinto(self, buffer: Any) -> int:
        """Fill a C buffer; returns how many bytes were put there."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _seeks(stream: BinaryIO) -> bool:
    """Whether it can be sought in to its end and back; some say so and cannot."""
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
    # libsndfile seeks, a pipe cannot. Encoded audio is not larger than decoded: the limit serves.
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
    stack.callback(spool.close)
    size = 0
    while data := stream.read(_COPY_BYTES):
        size += len(data)
        if size > max_bytes:
            most = f"at most {max_bytes} are taken"
            raise AudioError("audio_too_large", f"{name}: more bytes than allowed; {most}")
        spool.write(data)
    spool.seek(0)
    return cast(BinaryIO, spool)


def _open_regular(path: str) -> BinaryIO:
    name = safe_name(path)
    if _URL.match(path):
        wanted = "URL input is not supported; download it and give the file"
        raise AudioError("unsupported_audio", f"{name}: {wanted}")
    try:
        # Look before opening: opening a device may act on it. Look again after: the file may
        # have been swapped; O_NONBLOCK so that a FIFO put in its place cannot hang.
        _check_regular(name, os.stat(path).st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(path, flags), "rb")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        message = f"{name}: {reason}; the path of an audio file is wanted"
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
        message = f"{name}: {kind} found; the path of an audio file is wanted"
        raise AudioError("unsupported_audio", message)
