"""Pool of decoder processes: one upload per process at a time; lost processes are replaced."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, BinaryIO, TypeVar

import numpy as np

from phonemo.audio import RATE, Channels, Waveform
from phonemo.audio.decode import BYTES_PER_SAMPLE
from phonemo.errors import AudioError
from phonemo.server.api_errors import ApiError, client_closed, service_unavailable
from phonemo.server.decoders.decoder_process import (
    HEAD_BYTES,
    START_SECONDS,
    ClientGoneError,
    DecoderProcess,
    NeverReadyError,
    WorkerDiedError,
)
from phonemo.server.decoders.decoder_worker import DecoderLimits
from phonemo.server.fairness.client_turns import FairQueue
from phonemo.server.fairness.clients import CLIENT
from phonemo.server.refusals.client_texts import text_for_clients

#: Python arguments that start a decoder; tests replace them with one that crashes or hangs.
PROGRAM = ("-m", "phonemo.server.decoders.decoder_worker")

#: Longer recordings are decoded in a lane of their own.
SHORT_SECONDS = 30.0

Admit = Callable[[float], Awaitable[None]]
_Request = dict[str, Any]
_Frame = tuple[dict[str, Any], bytes]
_Result = TypeVar("_Result")


class DecoderPool:
    """Decoder processes; none runs before ``start``.

    Args:
        count: number of processes.
        limits: limits of one upload.
        seconds: time to decode an upload, without the start of its process, which is then killed
            and replaced.
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
        self._max_reply_bytes = HEAD_BYTES + max(one_channel, limits.max_decoded_bytes)
        self.patient = False
        """Whether uploads have no time limit, as at the start of a busy machine's server."""
        self._seconds, self._replaced = seconds, replaced
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")
        self._desk = _Desk(count)
        self._all: set[DecoderProcess] = set()
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
        process = DecoderProcess(self._command, self._max_reply_bytes)
        self._all.add(process)
        self._threads.submit(process.start)  # a failed start is repeated on use
        self._desk.add(process)

    async def _decode_with_retry(self, upload: BinaryIO, request: _Request, long: bool) -> _Frame:
        """Retry once after a lost process: it may have been killed from outside."""
        try:
            return await self._decode_once(upload, request, long)
        except WorkerDiedError:
            upload.seek(0)
        try:
            return await self._decode_once(upload, request, long)
        except NeverReadyError as error:
            message = "decoder processes end before they are ready; try again later"
            raise service_unavailable("no_decoder", message) from error
        except WorkerDiedError as error:
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
        self, process: DecoderProcess, upload: BinaryIO, request: _Request, long: bool
    ) -> _Frame:
        reusable = False
        try:
            if not process.is_open:
                await self._within(START_SECONDS, process, process.open)
            work = partial(process.decode, upload, request)
            reply = await self._within(self._seconds, process, work)
            reusable = True
            return reply
        except ClientGoneError as error:
            reusable = True
            raise client_closed() from error
        except WorkerDiedError as error:
            if process.stopped:
                raise self._timeout_error(process, request["name"]) from error
            raise
        except OSError as error:
            message = f"no decoder process ({error}); try again later"
            raise service_unavailable("no_decoder", message) from error
        finally:
            self._release(process, reusable and not process.stopped, long)

    async def _within(
        self, seconds: float, process: DecoderProcess, work: Callable[[], _Result]
    ) -> _Result:
        """Run work of a process in a thread; the process is killed after so many seconds."""
        loop = asyncio.get_running_loop()
        timer = None if self.patient else loop.call_later(seconds, process.stop)
        try:
            return await loop.run_in_executor(self._threads, work)
        finally:
            if timer is not None:
                timer.cancel()

    def _release(self, process: DecoderProcess, reusable: bool, long: bool) -> None:
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

    def _timeout_error(self, process: DecoderProcess, name: str) -> ApiError:
        if not process.was_ready:
            message = f"no decoder process was ready within {START_SECONDS:g} s; try again later"
            return service_unavailable("no_decoder", message)
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
        self._idle: deque[DecoderProcess] = deque()
        self._short: FairQueue[asyncio.Future[DecoderProcess]] = FairQueue()
        self._long: FairQueue[asyncio.Future[DecoderProcess]] = FairQueue()

    async def take(self, long: bool) -> DecoderProcess:
        """Wait for a process."""
        given: asyncio.Future[DecoderProcess] = asyncio.get_running_loop().create_future()
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

    def add(self, process: DecoderProcess) -> None:
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


def _waveforms(channels: Sequence[dict[str, Any]], data: bytes) -> tuple[Waveform, ...]:
    """Divide the samples of a reply among its channels."""
    ends = np.cumsum([one["samples"] for one in channels])
    samples = np.split(np.frombuffer(data, np.float32), ends[:-1])
    return tuple(
        Waveform(part, tuple(one["warnings"]), one["channel"])
        for part, one in zip(samples, channels, strict=True)
    )


def _retrieve_exception(done: asyncio.Future[_Frame]) -> None:
    """Mark the exception as retrieved: after a cancelled request, nothing else awaits the task."""
    if not done.cancelled():
        done.exception()
