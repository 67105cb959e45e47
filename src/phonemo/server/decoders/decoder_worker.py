"""A decoder process: encoded bytes on standard input, samples on standard output.

    python -m phonemo.server.decoders.decoder_worker '{"max_seconds": 600, ...}'

A malicious upload can harm only this process: the operating system limits its memory and time, it
cannot write files and opens none, and the parent replaces a process that ends.
"""

from __future__ import annotations

import io
import json
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from phonemo.audio import AudioLimits, Waveform, load_waveform
from phonemo.audio.containers import HEAD_BYTES, UNKNOWN, sniff_format
from phonemo.audio.formats.ffmpeg import is_installed
from phonemo.errors import AudioError
from phonemo.files import loads_json

_SIZES = struct.Struct("<QQ")
_UNLIMITED = 2**63

Decode = Callable[[BinaryIO, AudioLimits], Waveform]


@dataclass(frozen=True)
class DecoderLimits:
    """Limits of one upload."""

    max_seconds: float
    max_decoded_bytes: int
    memory_bytes: int
    """In addition to what the process uses at its start."""
    alarm_seconds: float
    """After which the process ends, even if its parent is gone."""

    def to_json(self) -> str:
        """Return the command-line argument of the process."""
        return json.dumps(asdict(self))


class Upload(io.BytesIO):
    """The content of an upload, with its name for messages."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def serve(limits: DecoderLimits, decode: Decode) -> None:
    """Decode one upload after another until the end of standard input."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    audio = AudioLimits(limits.max_seconds, limits.max_decoded_bytes)
    is_installed()  # imports FFmpeg, so that the limit on memory is in addition to its libraries
    _apply_rlimits(limits.memory_bytes)
    while (request := read_frame(source)) is not None:
        _alarm(limits.alarm_seconds)
        write_frame(target, *_reply(Upload(request[1], request[0]["name"]), audio, decode))
        _alarm(0)
        del request  # an idle process holds no audio


def read_frame(
    stream: BinaryIO, max_bytes: int = _UNLIMITED
) -> tuple[dict[str, Any], bytes] | None:
    """Read a JSON head and the bytes that follow it; None at the end of the stream.

    Raises:
        ValueError: the frame is larger than ``max_bytes``, or the head is not a JSON object.
    """
    sizes = stream.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        return None
    head_bytes, data_bytes = _SIZES.unpack(sizes)
    if head_bytes + data_bytes > max_bytes:
        raise ValueError(f"expected at most {max_bytes} bytes, got {head_bytes + data_bytes}")
    head, data = stream.read(head_bytes), stream.read(data_bytes)
    if len(head) < head_bytes or len(data) < data_bytes:
        return None
    fields = loads_json(head)
    if not isinstance(fields, dict):
        raise ValueError("expected a JSON object as head")
    return fields, data


def write_frame(stream: BinaryIO, head: dict[str, Any], data: bytes | memoryview = b"") -> None:
    """Write a frame for ``read_frame``."""
    text = json.dumps(head).encode()
    stream.write(_SIZES.pack(len(text), len(data)))
    stream.write(text)
    stream.write(data)
    stream.flush()


def _reply(
    upload: Upload, limits: AudioLimits, decode: Decode
) -> tuple[dict[str, Any], bytes | memoryview]:
    try:
        waveform = decode(upload, limits)
    except AudioError as error:
        foreign = error.code == "unsupported_audio" and _is_foreign(upload)
        return {"code": error.code, "message": str(error), "foreign": foreign}, b""
    except MemoryError:
        message = f"{upload.name}: decoding takes more memory than allowed; send a shorter file"
        return {"code": "audio_too_large", "message": message, "foreign": False}, b""
    return {"warnings": list(waveform.warnings)}, waveform.samples.view("B").data


def _is_foreign(upload: Upload) -> bool:
    """Whether the upload is another type of file, as opposed to damaged audio.

    So is a video without sound, and what the extra ``media`` decodes if it is not installed.
    """
    kind = sniff_format(upload.getvalue()[:HEAD_BYTES])
    return kind.name != UNKNOWN and not (kind.audio and kind.native)


def _apply_rlimits(memory_bytes: int) -> None:
    if sys.platform == "win32":
        return  # the time limit and the limits of the decoder still apply
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # other systems do not enforce it
        with open("/proc/self/statm", encoding="ascii") as pages:
            used = int(pages.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))


def _alarm(seconds: float) -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal ends the process


def _load(stream: BinaryIO, limits: AudioLimits) -> Waveform:
    return load_waveform(stream, limits=limits)


if __name__ == "__main__":
    serve(DecoderLimits(**json.loads(sys.argv[1])), _load)
