"""Decodes a live stream of WebM, Ogg, MP4 or AAC in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Timer
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE
from phonemo.audio.decode import BYTES_PER_SAMPLE
from phonemo.errors import AudioError
from phonemo.server.api_errors import service_unavailable
from phonemo.server.decoders.decoder_process import (
    START_SECONDS,
    NeverReadyError,
    end_process,
    spawn,
    wait_until_ready,
)
from phonemo.server.decoders.decoder_worker import read_frame, write_frame
from phonemo.server.decoders.stream_worker import StreamLimits

#: Python arguments that start the process.
PROGRAM = ("-m", "phonemo.server.decoders.stream_worker")
_HEAD_BYTES = 2**16
_SLACK_SECONDS = 5.0

Samples = npt.NDArray[np.float32]


class MediaStreamDecoder:
    """Decodes messages as MediaRecorder sends them; a message may end anywhere.

    Its methods block, and are called by one thread at a time.

    Args:
        limits: limits of one message.
        program: Python arguments that start the process; tests replace it.
    """

    rate = RATE
    """Of the returned samples, whatever that of the stream is."""

    def __init__(self, limits: StreamLimits, program: Sequence[str] = PROGRAM) -> None:
        self._limits = limits
        self._command = [sys.executable, *program, limits.to_json()]
        max_samples = int((limits.max_seconds + 1) * RATE)
        self._max_reply_bytes = _HEAD_BYTES + max_samples * BYTES_PER_SAMPLE
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._closed = self._ready = False

    @property
    def is_open(self) -> bool:
        """Whether the process was ready once."""
        return self._ready

    def push(self, data: bytes) -> Samples:
        """Return the samples that can be decoded now, mono float32 at 16 kHz.

        Raises:
            AudioError: the stream is not in a supported format, is damaged, or holds too much audio
                in a message; it cannot be continued.
            ApiError: there is no decoder (503).
        """
        return self._exchange({}, data)

    def finish(self) -> Samples:
        """Return the last samples; errors are those of ``push``."""
        return self._exchange({"finish": True}, b"")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            end_process(process)

    def _exchange(self, head: dict[str, Any], data: bytes) -> Samples:
        process = self.open()
        seconds = self._limits.alarm_seconds + _SLACK_SECONDS
        try:
            with _killed_after(seconds, process):
                write_frame(cast(BinaryIO, process.stdin), head, data)
                reply = read_frame(cast(BinaryIO, process.stdout), self._max_reply_bytes)
        except (OSError, ValueError):
            reply = None
        if reply is None:
            message = "stream: it crashes the decoder, or takes too long; send PCM instead"
            raise AudioError("invalid_audio", message)
        described, samples = reply
        if "code" in described:
            raise AudioError(described["code"], described["message"])
        return np.frombuffer(samples, np.float32)

    def open(self) -> subprocess.Popen[bytes]:
        """Start the process unless it runs, and wait until it is ready; errors are as for push."""
        try:
            process = self._started()
            if not self._ready:
                with _killed_after(START_SECONDS, process):
                    wait_until_ready(process)
                self._ready = True
        except (OSError, NeverReadyError) as error:
            message = "no decoder process could be started; try again later, or send PCM"
            raise service_unavailable("no_decoder", message) from error
        return process

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise AudioError("invalid_audio", "stream: it is closed; open a new one")
            self._process = self._process or spawn(self._command)
            return self._process


@contextmanager
def _killed_after(seconds: float, process: subprocess.Popen[bytes]) -> Iterator[None]:
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
