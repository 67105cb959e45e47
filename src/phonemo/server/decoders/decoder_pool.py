"""Pool of decoder processes: one upload per process at a time; lost processes are replaced."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any, BinaryIO, cast

import numpy as np

from phonemo.audio import RATE, Channels, Waveform
from phonemo.audio.decode import BYTES_PER_SAMPLE
from phonemo.errors import AudioError
from phonemo.server.api_errors import ApiError, client_closed, service_unavailable
from phonemo.server.decoders.decoder_worker import DecoderLimits, read_frame, write_frame
from phonemo.server.fairness.client_turns import FairQueue
from phonemo.server.fairness.clients import CLIENT
from phonemo.server.refusals.client_texts import text_for_clients

if sys.platform == "linux":
    from fcntl import F_SETPIPE_SZ, fcntl

#: Python arguments that start a decoder; tests replace them with one that crashes or hangs.
PROGRAM = ("-m", "phonemo.server.decoders.decoder_worker")

#: Most bytes of a reply besides the samples.
_HEAD_BYTES = 2**16

#: Of the pipes to and from a process: a clip's samples fit, and neither side waits for the other.
_PIPE_BYTES = 2**19

#: Longer recordings are decoded in a lane of their own.
SHORT_SECONDS = 30.0

Admit = Callable[[float], Awaitable[None]]
_Request = dict[str, Any]
_Frame = tuple[dict[str, Any], bytes]


class DecoderPool:
    """Decoder processes; none runs before ``start``.

    Args:
        count: number of processes.
        limits: limits of one upload.
        seconds: time to decode an upload; its process is then killed and replaced.
        replaced: called with "crash" or "timeout" when a process is replaced.
        program: Python arguments that start a process.
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
        one_channel = int(limits.max_seconds * RATE + RATE) * BYTES_PER_SAMPLE
        self._max_reply_bytes = _HEAD_BYTES + max(one_channel, limits.max_decoded_bytes)
        self.patient = False
        """Whether uploads have no time limit, as at the start of a busy machine's server."""
        self._seconds, self._replaced = seconds, replaced
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")
        self._desk = _Desk(count)
        self._all: set[_DecoderProcess] = set()
        self._closed = False
        self._count = count

    def start(self) -> None:
        """Start the processes."""
        for _ in range(self._count):
            self._add()

    async def decode(self, upload: BinaryIO, name: str) -> Waveform:
        """Decode the mix of an upload; arguments and errors are those of ``decode_channels``."""
        return (await self.decode_channels(upload, name, "mix", _admitted))[0]

    async def decode_channels(
        self, upload: BinaryIO, name: str, channels: Channels, admit: Admit
    ) -> tuple[Waveform, ...]:
        """Decode the chosen channels of an upload.

        Args:
            upload: content of a file.
            name: its name in messages.
            channels: "split" gives each channel with sound, anything else gives one waveform.
            admit: awaited with the seconds of a recording above SHORT_SECONDS, all of its channels
                together, before it is decoded; it may raise.

        Raises:
            AudioError: the audio cannot be used.
            ApiError: decoding crashes the decoder (422) or takes too long (504), or the file is not
                audio (415); or what ``admit`` raises.
        """
        request = {"name": name, "channels": channels}
        head, data = await self._decode_with_retry(
            upload, request | {"most_seconds": SHORT_SECONDS}, long=False
        )
        if "audio_seconds" in head:
            await admit(head["audio_seconds"])
            upload.seek(0)
            head, data = await self._decode_with_retry(upload, request, long=True)
        if "code" not in head:
            return _waveforms(head["channels"], data)
        if head["foreign"]:
            raise ApiError(415, head["code"], text_for_clients(head["message"]), "file")
        raise AudioError(head["code"], head["message"])

    def close(self) -> None:
        """Terminate all processes."""
        self._closed = True
        for process in list(self._all):
            process.end()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _add(self) -> None:
        process = _DecoderProcess(self._command, self._max_reply_bytes)
        self._all.add(process)
        self._threads.submit(process.start)  # a failed start is repeated on use
        self._desk.add(process)

    async def _decode_with_retry(self, upload: BinaryIO, request: _Request, long: bool) -> _Frame:
        """Retry once after a lost process: it may have been killed from outside."""
        try:
            return await self._decode_once(upload, request, long)
        except _WorkerDiedError:
            upload.seek(0)
        try:
            return await self._decode_once(upload, request, long)
        except _WorkerDiedError as error:
            message = f"{request['name']}: it crashes the decoder; convert it to WAV or FLAC"
            raise ApiError(422, "invalid_audio", message, "file") from error

    async def _decode_once(self, upload: BinaryIO, request: _Request, long: bool) -> _Frame:
        if self._closed:
            raise service_unavailable("stopping", "the server stops")
        process = await self._desk.take(long)
        task = asyncio.ensure_future(self._run(process, upload, request, long))
        task.add_done_callback(_retrieve_exception)
        # the request may be cancelled; the process returns to the pool when it is done
        return await asyncio.shield(task)

    async def _run(
        self, process: _DecoderProcess, upload: BinaryIO, request: _Request, long: bool
    ) -> _Frame:
        loop = asyncio.get_running_loop()
        timer = None if self.patient else loop.call_later(self._seconds, process.stop)
        reusable = False
        try:
            reply = await loop.run_in_executor(self._threads, process.decode, upload, request)
            reusable = True
            return reply
        except _ClientGoneError as error:
            reusable = True
            raise client_closed() from error
        except _WorkerDiedError as error:
            if process.stopped:
                raise self._timeout_error(request["name"]) from error
            raise
        except OSError as error:
            message = f"no decoder process ({error}); try again later"
            raise service_unavailable("no_decoder", message) from error
        finally:
            if timer is not None:
                timer.cancel()
            self._release(process, reusable and not process.stopped, long)

    def _release(self, process: _DecoderProcess, reusable: bool, long: bool) -> None:
        """Return a process to the pool, or replace one that may have unread output."""
        self._desk.finished(long)
        if reusable:
            self._desk.add(process)
            return
        self._all.discard(process)
        process.end()
        if not self._closed:
            self._replaced("timeout" if process.stopped else "crash")
            self._add()

    def _timeout_error(self, name: str) -> ApiError:
        message = (
            f"{name}: not decoded within {self._seconds:g} s; try again, or send a shorter file"
        )
        return ApiError(504, "decoder_timeout", message, "file")


class _Desk:
    """Gives idle processes to uploads: clients take turns, and short recordings have a lane.

    Args:
        count: number of processes; with two or more, one of them decodes no long recording.
    """

    def __init__(self, count: int) -> None:
        self._most_long = max(1, count - 1)
        self._long_running = 0
        self._idle: deque[_DecoderProcess] = deque()
        self._short: FairQueue[asyncio.Future[_DecoderProcess]] = FairQueue()
        self._long: FairQueue[asyncio.Future[_DecoderProcess]] = FairQueue()

    async def take(self, long: bool) -> _DecoderProcess:
        """Wait for a process."""
        given: asyncio.Future[_DecoderProcess] = asyncio.get_running_loop().create_future()
        (self._long if long else self._short).put(CLIENT.get(), given)
        self._dispatch()
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.finished(long)
                self.add(given.result())
            raise

    def finished(self, long: bool) -> None:
        """Count an upload that no longer has a process."""
        self._long_running -= long

    def add(self, process: _DecoderProcess) -> None:
        """Give an idle process to the next upload."""
        self._idle.append(process)
        self._dispatch()

    def _dispatch(self) -> None:
        for lane in (self._short, self._long):
            lane.keep(lambda given: not given.done())
        while self._idle:
            if self._short:
                self._short.take().set_result(self._idle.popleft())
            elif self._long and self._long_running < self._most_long:
                self._long_running += 1
                self._long.take().set_result(self._idle.popleft())
            else:
                return


async def _admitted(seconds: float) -> None:
    """Admit any recording."""


class _WorkerDiedError(Exception):
    """A process ended before it replied."""


class _ClientGoneError(Exception):
    """An upload was closed before it was read, because its client disconnected."""


class _DecoderProcess:
    """One decoder process; used by one thread at a time."""

    def __init__(self, command: Sequence[str], max_reply_bytes: int) -> None:
        self.stopped = self._ended = False
        self._command, self._max_reply_bytes = command, max_reply_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process unless it runs.

        Raises:
            OSError: the system has too few resources.
            _WorkerDiedError: it was ended, or stopped before it started.
        """
        with self._lock:
            if self._ended or self.stopped:
                raise _WorkerDiedError
            if self._process is not None and self._process.poll() is not None:
                close_pipes(self._process)  # it was killed while idle
                self._process = None
            self._process = self._process or spawn(self._command)
            return self._process

    def decode(self, upload: BinaryIO, request: _Request) -> _Frame:
        """Decode an upload; return the reply.

        Raises:
            _WorkerDiedError: the process ended, or its reply is invalid.
            _ClientGoneError: the upload is closed.
            OSError: the process cannot be started.
        """
        process = self.start()
        try:
            data = upload.read()
        except ValueError as error:  # of a closed file
            raise _ClientGoneError from error
        try:
            write_frame(cast(BinaryIO, process.stdin), request, data)
            reply = read_frame(cast(BinaryIO, process.stdout), self._max_reply_bytes)
        except (OSError, ValueError) as error:
            raise _WorkerDiedError from error
        if reply is None:
            raise _WorkerDiedError
        return reply

    def stop(self) -> None:
        """Kill the process because it takes too long."""
        self.stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> None:
        """Kill the process and wait for its end."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
            close_pipes(process)


def _waveforms(channels: Sequence[dict[str, Any]], data: bytes) -> tuple[Waveform, ...]:
    """Divide the samples of a reply among its channels."""
    ends = np.cumsum([one["samples"] for one in channels])
    samples = np.split(np.frombuffer(data, np.float32), ends[:-1])
    return tuple(
        Waveform(part, tuple(one["warnings"]), one["channel"])
        for part, one in zip(samples, channels, strict=True)
    )


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


def _widen_pipes(process: subprocess.Popen[bytes]) -> None:
    """Let the pipes hold a whole clip; Linux limits the pages of all pipes of a user together."""
    pipes: tuple[Any, Any] = (process.stdin, process.stdout)
    if sys.platform == "linux":
        for stream in pipes:
            with suppress(OSError):  # narrow pipes are slower, and as good
                fcntl(stream.fileno(), F_SETPIPE_SZ, _PIPE_BYTES)


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process that has ended."""
    pipes: tuple[Any, Any] = (process.stdin, process.stdout)
    for stream in pipes:
        try:
            stream.close()
        except BrokenPipeError:
            stream.raw.close()  # discard unsent data


def _retrieve_exception(done: asyncio.Future[_Frame]) -> None:
    """Mark the exception as retrieved: after a cancelled request, nothing else awaits the task."""
    if not done.cancelled():
        done.exception()
