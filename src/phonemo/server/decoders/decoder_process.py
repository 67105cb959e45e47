"""A decoder process: it starts, says that it is ready, and serves one thread at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, BinaryIO, cast

from phonemo.server.decoders.decoder_worker import READY, read_frame, write_frame

if sys.platform == "linux":
    from fcntl import F_SETPIPE_SZ, fcntl

#: Most bytes of a reply besides the samples.
HEAD_BYTES = 2**16
#: A process may take so long to start, which no upload's time limit includes: a busy machine, or
#: one that reads its disk for the first time, is no fault of the upload.
START_SECONDS = 60.0
#: Of the pipes to and from a process: a clip's samples fit, and neither side waits for the other.
_PIPE_BYTES = 2**19

Request = dict[str, Any]
Frame = tuple[dict[str, Any], bytes]


class WorkerDiedError(Exception):
    """A process ended before it replied."""


class NeverReadyError(WorkerDiedError):
    """A process ended before it was ready, which is no fault of an upload."""


class ClientGoneError(Exception):
    """An upload was closed before it was read, because its client disconnected."""


class DecoderProcess:
    """One decoder process; used by one thread at a time."""

    def __init__(self, command: Sequence[str], max_reply_bytes: int) -> None:
        self.stopped = self.was_ready = self._ended = False
        self._command, self._max_reply_bytes = command, max_reply_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process unless it runs.

        Raises:
            OSError: the system has too few resources.
            WorkerDiedError: it was ended, or stopped before it started.
        """
        with self._lock:
            if self._ended or self.stopped:
                raise WorkerDiedError
            if self._process is not None and self._process.poll() is not None:
                close_pipes(self._process)  # it was killed while idle
                self._process, self.was_ready = None, False
            self._process = self._process or spawn(self._command)
            self._kill_if_stopped()  # while it was spawned
            return self._process

    @property
    def is_open(self) -> bool:
        """Whether the process runs and has said that it is ready."""
        return self.was_ready and self._process is not None and self._process.poll() is None

    def open(self) -> subprocess.Popen[bytes]:
        """Start the process unless it runs, and wait until it is ready.

        Raises:
            OSError: the system has too few resources.
            NeverReadyError: it ended before it was ready.
            WorkerDiedError: it was ended, or stopped before it started.
        """
        process = self.start()
        if not self.was_ready:
            wait_until_ready(process)
            self.was_ready = True
        return process

    def decode(self, upload: BinaryIO, request: Request) -> Frame:
        """Decode an upload, after ``open``; return the reply.

        A process that has ended meanwhile is not started again, which is no part of an upload's
        time.

        Raises:
            WorkerDiedError: the process ended or is not open, or its reply is invalid.
            ClientGoneError: the upload is closed.
        """
        process = self._process
        if process is None or not self.was_ready:
            raise WorkerDiedError
        try:
            data = upload.read()
        except ValueError as error:  # of a closed file
            raise ClientGoneError from error
        try:
            write_frame(cast(BinaryIO, process.stdin), request, data)
            reply = read_frame(cast(BinaryIO, process.stdout), self._max_reply_bytes)
        except (OSError, ValueError) as error:
            raise WorkerDiedError from error
        if reply is None:
            raise WorkerDiedError
        return reply

    def stop(self) -> None:
        """Kill the process because it takes too long."""
        self.stopped = True
        self._kill_if_stopped()

    def _kill_if_stopped(self) -> None:
        process = self._process
        if self.stopped and process is not None:
            process.kill()

    def end(self) -> None:
        """Kill the process and wait for its end."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            end_process(process)


def spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a decoder process, of one thread, with pipes."""
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libmpg123 logs every damaged file there
        env=os.environ | one_thread,
        start_new_session=True,  # Ctrl-C goes to the server only, which lets the decoder finish
    )
    _widen_pipes(process)
    return process


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    """Read the first frame of a process, which it writes once it can decode.

    Raises:
        NeverReadyError: the process ends, or writes something else.
    """
    try:
        frame = read_frame(cast(BinaryIO, process.stdout), HEAD_BYTES)
    except (OSError, ValueError) as error:
        raise NeverReadyError from error
    if frame != (READY, b""):
        raise NeverReadyError


def _widen_pipes(process: subprocess.Popen[bytes]) -> None:
    """Let the pipes hold a whole clip; Linux limits the pages of all pipes of a user together."""
    pipes: tuple[Any, Any] = (process.stdin, process.stdout)
    if sys.platform == "linux":
        for stream in pipes:
            with suppress(OSError):  # narrow pipes are slower, and as good
                fcntl(stream.fileno(), F_SETPIPE_SZ, _PIPE_BYTES)


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, wait for its end and close its pipes."""
    process.kill()
    process.wait()
    close_pipes(process)


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process that has ended."""
    pipes: tuple[Any, Any] = (process.stdin, process.stdout)
    for stream in pipes:
        try:
            stream.close()
        except BrokenPipeError:
            stream.raw.close()  # discard unsent data
