"""The process that decodes uploads: bytes in on standard input, samples out on standard output.

    python -m phonemo.server.decoders.decoder_worker '{"max_seconds": 600, ...}'

Whatever an upload does to a decoder, it does it here: memory and time have limits that the system
holds, no file can be written, and the parent replaces a process that ends. It opens no file.
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
from phonemo.errors import AudioError
from phonemo.files import loads_json

_SIZES = struct.Struct("<QQ")
_UNLIMITED = 2**63

Decode = Callable[[BinaryIO, AudioLimits], Waveform]


@dataclass(frozen=True)
class DecoderLimits:
    """What one upload may take."""

    max_seconds: float
    max_decoded_bytes: int
    memory_bytes: int
    """Beyond what the process has when it starts."""
    alarm_seconds: float
    """After which the process ends by itself, where nobody is left to end it."""

    def to_json(self) -> str:
        """The argument of the process."""
        return json.dumps(asdict(self))


class Upload(io.BytesIO):
    """The bytes of an upload under the name that messages give it."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def serve(limits: DecoderLimits, decode: Decode) -> None:
    """Answer one upload after another until standard input ends."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    audio = AudioLimits(limits.max_seconds, limits.max_decoded_bytes)
    _apply_rlimits(limits.memory_bytes)
    while (request := read_frame(source)) is not None:
        _alarm(limits.alarm_seconds)
        write_frame(target, *_answer(Upload(request[1], request[0]["name"]), audio, decode))
        _alarm(0)
        del request  # an idle process keeps nobody's audio


def read_frame(
    stream: BinaryIO, most_bytes: int = _UNLIMITED
) -> tuple[dict[str, Any], bytes] | None:
    """A head and the bytes that follow it; None where the stream ends.

    Raises:
        ValueError: more bytes are announced than may come, or the head is no JSON.
    """
    sizes = stream.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        return None
    head_bytes, data_bytes = _SIZES.unpack(sizes)
    if head_bytes + data_bytes > most_bytes:
        raise ValueError(f"{head_bytes + data_bytes} bytes announced; {most_bytes} may come")
    head, data = stream.read(head_bytes), stream.read(data_bytes)
    if len(head) < head_bytes or len(data) < data_bytes:
        return None
    told = loads_json(head)
    if not isinstance(told, dict):
        raise ValueError("the head is no object")
    return told, data


def write_frame(stream: BinaryIO, head: dict[str, Any], data: bytes | memoryview = b"") -> None:
    """The counterpart of ``read_frame``."""
    text = json.dumps(head).encode()
    stream.write(_SIZES.pack(len(text), len(data)))
    stream.write(text)
    stream.write(data)
    stream.flush()


def _answer(
    upload: Upload, limits: AudioLimits, decode: Decode
) -> tuple[dict[str, Any], bytes | memoryview]:
    try:
        waveform = decode(upload, limits)
    except AudioError as error:
        foreign = error.code == "unsupported_audio" and _is_foreign(upload)
        return {"code": error.code, "message": str(error), "foreign": foreign}, b""
    except MemoryError:
        message = f"{upload.name}: decoding takes more memory than allowed; send a shorter one"
        return {"code": "audio_too_large", "message": message, "foreign": False}, b""
    return {"warnings": list(waveform.warnings)}, waveform.samples.view("B").data


def _is_foreign(upload: Upload) -> bool:
    """Whether the bytes are of another kind of file, as opposed to audio that is broken."""
    kind = sniff_format(upload.getvalue()[:HEAD_BYTES])
    return not kind.audio and kind.name != UNKNOWN


def _apply_rlimits(memory_bytes: int) -> None:
    if sys.platform == "win32":
        return  # there, the time limit and the caps while decoding remain
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # others do not hold it
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
