"""The processes that decode uploads, seen from the server: lent one by one, replaced when lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, BinaryIO, cast

import numpy as np

from phonemo.audio import RATE, Waveform
from phonemo.audio.decode import BYTES_PER_SAMPLE
from phonemo.errors import AudioError
from phonemo.server.api_errors import ApiError, client_closed, service_unavailable
from phonemo.server.decoders.decoder_worker import DecoderLimits, read_frame, write_frame

#: The module that is run; tests put one in its place that crashes or hangs.
PROGRAM = ("-m", "phonemo.server.decoders.decoder_worker")

#: Enough for what a process says besides the samples.
_HEAD_BYTES = 2**16

_Frame = tuple[dict[str, Any], bytes]


class DecoderPool:
    """As many processes as recordings may be decoded at once.

    Args:
        count: how many.
        limits: of one upload.
        seconds: for decoding one; its process is then ended and replaced.
        replaced: called with "crash" or "timeout" when a process was lost.
        program: Python's arguments that start one.
    """

    def __init__(
        self,
        count: int,
        limits: DecoderLimits,
        seconds: float,
        replaced: Callable[[str], None],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._command = [sys.executable, *program, limits.to_json()]
        self._most_bytes = _HEAD_BYTES + int(limits.max_seconds * RATE + RATE) * BYTES_PER_SAMPLE
        self._seconds, self._replaced = seconds, replaced
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")
        self._idle: asyncio.Queue[_DecoderProcess] = asyncio.Queue()
        self._all: set[_DecoderProcess] = set()
        self._closed = False
        self._count = count

    def start(self) -> None:
        """Start the processes."""
        for _ in range(self._count):
            self._add()

    async def decode(self, upload: BinaryIO, name: str) -> Waveform:
        """The samples of an upload.

        Args:
            upload: its bytes.
            name: what messages call it.

        Raises:
            AudioError: it cannot be used.
            Refusal: decoding it ends the decoder (422), takes too long (504), or it is a file of
                another kind (415).
        """
        head, data = await self._read(upload, name)
        if "code" not in head:
            return Waveform(np.frombuffer(data, np.float32), tuple(head["warnings"]))
        if head["foreign"]:
            raise ApiError(415, head["code"], head["message"], "file")
        raise AudioError(head["code"], head["message"])

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        for one in list(self._all):
            one.end()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _add(self) -> None:
        process = _DecoderProcess(self._command, self._most_bytes)
        self._all.add(process)
        self._threads.submit(process.start)  # one that cannot start is tried again when it is used
        self._idle.put_nowait(process)

    async def _read(self, upload: BinaryIO, name: str) -> _Frame:
        """Once more where a process is lost: it may have been ended from outside."""
        try:
            return await self._acquire(upload, name)
        except _WorkerDiedError:
            upload.seek(0)
        try:
            return await self._acquire(upload, name)
        except _WorkerDiedError as error:
            message = f"{name}: decoding it ends the decoder; encode it anew, as WAV or FLAC"
            raise ApiError(422, "invalid_audio", message, "file") from error

    async def _acquire(self, upload: BinaryIO, name: str) -> _Frame:
        if self._closed:
            raise service_unavailable("stopping", "the server stops")
        process = await self._idle.get()
        lent = asyncio.ensure_future(self._checkout(process, upload, name))
        lent.add_done_callback(_looked_at)
        # whoever asked may leave; the process comes back when it is done
        return await asyncio.shield(lent)

    async def _checkout(self, process: _DecoderProcess, upload: BinaryIO, name: str) -> _Frame:
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self._seconds, process.stop)
        whole = False
        try:
            found = await loop.run_in_executor(self._threads, process.decode, upload, name)
            whole = True
            return found
        except _ClientGoneError as error:
            whole = True
            raise client_closed() from error
        except _WorkerDiedError as error:
            if process.stopped:
                raise self._too_slow(name) from error
            raise
        except OSError as error:
            raise service_unavailable("no_decoder", f"no process for decoding ({error})") from error
        finally:
            limit.cancel()
            self._give_back(process, whole and not process.stopped)

    def _give_back(self, process: _DecoderProcess, whole: bool) -> None:
        """Whatever went wrong, one that may have something left to say is not used again."""
        if whole:
            self._idle.put_nowait(process)
            return
        self._all.discard(process)
        process.end()
        if not self._closed:
            self._replaced("timeout" if process.stopped else "crash")
            self._add()

    def _too_slow(self, name: str) -> ApiError:
        message = (
            f"{name}: not decoded within {self._seconds:g} s; try again, or send a shorter one"
        )
        return ApiError(504, "decoder_timeout", message, "file")


class _WorkerDiedError(Exception):
    """A process ended before it answered."""


class _ClientGoneError(Exception):
    """An upload was closed before it was read: its client has left."""


class _DecoderProcess:
    """One process; used by one thread at a time."""

    def __init__(self, command: Sequence[str], most_bytes: int) -> None:
        self.stopped = self._ended = False
        self._command, self._most_bytes = command, most_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, unless it runs.

        Raises:
            OSError: the system has no room.
            _GoneError: it was ended, or stopped before it began.
        """
        with self._lock:
            if self._ended or self.stopped:
                raise _WorkerDiedError
            if self._process is not None and self._process.poll() is not None:
                _close_pipes(self._process)  # somebody ended it while it was idle
                self._process = None
            self._process = self._process or _as_stream(self._command)
            return self._process

    def decode(self, upload: BinaryIO, name: str) -> _Frame:
        """The answer.

        Raises:
            _GoneError: there is none.
            _LeftError: there is nothing to decode any more.
            OSError: it cannot be started.
        """
        process = self.start()
        try:
            data = upload.read()
        except ValueError as error:  # of a closed file
            raise _ClientGoneError from error
        try:
            write_frame(cast(BinaryIO, process.stdin), {"name": name}, data)
            found = read_frame(cast(BinaryIO, process.stdout), self._most_bytes)
        except (OSError, ValueError) as error:
            raise _WorkerDiedError from error
        if found is None:
            raise _WorkerDiedError
        return found

    def stop(self) -> None:
        """End it because it takes too long."""
        self.stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> None:
        """End it, and wait until it is gone."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
            _close_pipes(process)


def _as_stream(command: Sequence[str]) -> subprocess.Popen[bytes]:
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libmpg123 complains there of every damaged file
        env=os.environ | one_thread,
        start_new_session=True,  # Ctrl-C is for the server, which lets it finish
    )


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    pipes: tuple[Any, Any] = (process.stdin, process.stdout)
    for stream in pipes:
        try:
            stream.close()
        except BrokenPipeError:
            stream.raw.close()  # what was not sent has nobody to go to


def _looked_at(done: asyncio.Future[_Frame]) -> None:
    """Whoever asked may have left: then nobody else takes the exception."""
    if not done.cancelled():
        done.exception()
