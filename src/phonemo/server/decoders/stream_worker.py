"""A process that decodes one live stream of WebM, Ogg, MP4 or AAC, while it arrives.

    python -m phonemo.server.decoders.stream_worker '{"max_seconds": 600, ...}'

Each frame on standard input is a message of the client; the reply holds all samples that can be
decoded so far: mono float32 at 16 kHz. The guards are those of ``decoder_worker``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import soxr

from phonemo.audio import RATE
from phonemo.audio.formats.ffmpeg import is_installed
from phonemo.audio.media import open_pipe
from phonemo.errors import AudioError
from phonemo.server.decoders.decoder_worker import (
    READY,
    alarm,
    apply_rlimits,
    read_frame,
    write_frame,
)

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StreamLimits:
    """Limits of one message of a stream."""

    max_seconds: float
    """Longest audio that one message may hold."""
    memory_bytes: int
    """In addition to what the process uses at its start."""
    alarm_seconds: float
    """Time to decode a message, after which the process ends."""

    def to_json(self) -> str:
        """Return the command-line argument of the process."""
        return json.dumps(asdict(self))


class MessageReader:
    """The messages as one stream of bytes; each is answered when the next is needed."""

    def __init__(self, answer: Callable[[], None], alarm_seconds: float) -> None:
        self.ended = False
        self._answer, self._alarm_seconds = answer, alarm_seconds
        self._message = memoryview(b"")
        self._begun = False

    def read(self, count: int) -> bytes:
        """Return at least one byte, at most ``count``; none after the last message."""
        while not self._message and not self.ended:
            self._receive()
        data, self._message = self._message[:count], self._message[count:]
        return bytes(data)

    def _receive(self) -> None:
        if self._begun:
            self._answer()
        alarm(0)
        frame = read_frame(sys.stdin.buffer)
        alarm(self._alarm_seconds)
        self._begun = True
        self.ended = frame is None or "finish" in frame[0]
        self._message = memoryview(b"" if frame is None else frame[1])


class Outbox:
    """Decoded samples that wait for the next reply."""

    def __init__(self, max_seconds: float) -> None:
        self._max_samples = int(max_seconds * RATE)
        self._pieces: list[Samples] = []
        self._samples = 0
        self._rate = RATE
        self._resampler: Any = None

    def add(self, rate: int, samples: Samples) -> None:
        """Add mono samples; the rate may change, which no recorder does on purpose.

        Raises:
            AudioError: one message holds too much audio.
        """
        if rate != self._rate:
            self.flush()
            self._rate = rate
            self._resampler = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1)
        self._keep(samples if self._resampler is None else self._resampler.resample_chunk(samples))
        if self._samples > self._max_samples:
            seconds = self._max_samples / RATE
            message = f"stream: expected at most {seconds:g} s of audio in a message, got more; "
            raise AudioError("audio_too_long", message + "send it in smaller messages")

    def flush(self) -> None:
        """Add the last samples of the resampler."""
        if self._resampler is not None:
            end = np.zeros(0, dtype=np.float32)
            self._keep(self._resampler.resample_chunk(end, last=True))
            self._resampler = None

    def send(self) -> None:
        """Write the samples as a reply."""
        pieces = [piece.view("B").data for piece in self._pieces]
        write_frame(sys.stdout.buffer, {"samples": self._samples}, *pieces)
        self._pieces, self._samples = [], 0

    def _keep(self, samples: Samples) -> None:
        if len(samples):
            self._pieces.append(samples)
            self._samples += len(samples)


def serve(limits: StreamLimits) -> None:
    """Decode the stream until the message that says finish, or the end of standard input."""
    is_installed()  # imports FFmpeg if it is there, before memory is limited
    apply_rlimits(limits.memory_bytes)
    write_frame(sys.stdout.buffer, READY)
    outbox = Outbox(limits.max_seconds)
    reader = MessageReader(outbox.send, limits.alarm_seconds)
    try:
        _decode(reader, outbox)
    except AudioError as error:
        write_frame(sys.stdout.buffer, {"code": error.code, "message": str(error)})
    except MemoryError:
        message = "stream: decoding takes more memory than allowed; send smaller messages"
        write_frame(sys.stdout.buffer, {"code": "audio_too_large", "message": message})


def _decode(reader: MessageReader, outbox: Outbox) -> None:
    for rate, samples in open_pipe(cast(BinaryIO, reader)):
        outbox.add(rate, samples)
    if not reader.ended:
        message = "stream: no more audio can be decoded from it; start a new stream"
        raise AudioError("invalid_audio", message)
    outbox.flush()
    outbox.send()


if __name__ == "__main__":
    serve(StreamLimits(**json.loads(sys.argv[1])))
