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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from phonemo.audio import RATE, AudioLimits, Channels, Waveform, channel_count
from phonemo.audio.containers import HEAD_BYTES, sniff_format
from phonemo.audio.decode import BYTES_PER_SAMPLE, open_audio
from phonemo.audio.each_channel import load_channels
from phonemo.audio.formats.ffmpeg import is_installed
from phonemo.errors import AudioError
from phonemo.files import loads_json
from phonemo.runtime.heap import map_large_blocks, release_memory

#: The first frame that a process writes, once it can decode.
READY = {"ready": True}
_SIZES = struct.Struct("<QQ")
_UNLIMITED = 2**63
#: Uploads of fewer bytes are decoded without a look at their length.
_FEW_BYTES = 2**17
#: A recording without a length in its header is taken for one of so few bytes per second.
_FEWEST_BYTES_PER_SECOND = 2000
_LARGE_BYTES = 2**22

Decode = Callable[[BinaryIO, Channels, AudioLimits], Sequence[Waveform]]


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
    map_large_blocks()
    is_installed()  # imports FFmpeg if it is there, before memory is limited
    apply_rlimits(limits.memory_bytes)
    write_frame(target, READY)
    while (request := read_frame(source)) is not None:
        alarm(limits.alarm_seconds)
        head, data = request
        upload = Upload(data, head["name"])
        if (seconds := _longer_seconds(upload, head, audio)) is not None:
            write_frame(target, {"audio_seconds": seconds})
            del request, data, upload
            continue
        reply, pieces = _reply(upload, head["channels"], audio, decode)
        write_frame(target, reply, *pieces)
        alarm(0)
        large = len(data) + sum(map(len, pieces)) > _LARGE_BYTES
        del request, data, upload, pieces  # an idle process holds no audio
        if large:
            release_memory()


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


def write_frame(stream: BinaryIO, head: dict[str, Any], *data: bytes | memoryview) -> None:
    """Write a frame for ``read_frame``; the pieces of data follow each other."""
    text = json.dumps(head).encode()
    stream.write(_SIZES.pack(len(text), sum(map(len, data))))
    stream.write(text)
    for piece in data:
        stream.write(piece)
    stream.flush()


def _longer_seconds(upload: Upload, head: dict[str, Any], limits: AudioLimits) -> float | None:
    """Seconds of all channels that will be decoded, where they are more than the request takes.

    None where it takes as many, and where the recording cannot be opened: decoding it says why.
    """
    most, size = head.get("most_seconds"), len(upload.getbuffer())
    if most is None or size <= _FEW_BYTES:
        return None
    try:
        with open_audio(upload, None, limits) as audio:
            count = audio.channels if head["channels"] == "split" else 1
            longest = min(limits.max_seconds, size / _FEWEST_BYTES_PER_SECOND)
            seconds = longest if audio.frames is None else audio.frames / audio.rate
    except (AudioError, MemoryError):
        return None
    finally:
        upload.seek(0)
    return count * seconds if count * seconds > most else None


def _reply(
    upload: Upload, channels: Channels, limits: AudioLimits, decode: Decode
) -> tuple[dict[str, Any], list[memoryview]]:
    """Return the description and the samples of the channels, or the error."""
    try:
        waveforms = decode(upload, channels, limits)
    except AudioError as error:
        foreign = error.code == "unsupported_audio" and _is_foreign(upload)
        return {"code": error.code, "message": str(error), "foreign": foreign}, []
    except MemoryError:
        message = f"{upload.name}: decoding takes more memory than allowed; send a shorter file"
        return {"code": "audio_too_large", "message": message, "foreign": False}, []
    described = [
        {"channel": one.channel, "samples": len(one.samples), "warnings": list(one.warnings)}
        for one in waveforms
    ]
    return {"channels": described}, [one.samples.view("B").data for one in waveforms]


def _is_foreign(upload: Upload) -> bool:
    """Whether the upload is of a type that is not read here, as opposed to damaged audio."""
    kind = sniff_format(upload.getvalue()[:HEAD_BYTES])
    return not (kind.audio and (kind.native or is_installed()))


def apply_rlimits(memory_bytes: int) -> None:
    """Let this process allocate so much more memory, and write no files."""
    if sys.platform == "win32":
        return  # the time limit and the limits of the decoder still apply
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # other systems do not enforce it
        with open("/proc/self/statm", encoding="ascii") as pages:
            used = int(pages.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))


def alarm(seconds: float) -> None:
    """End this process after a number of seconds; 0 calls it off."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal ends the process


def _load(stream: BinaryIO, channels: Channels, limits: AudioLimits) -> Sequence[Waveform]:
    """Decode within the limits; all channels together have at most ``max_decoded_bytes``."""
    if channels != "split":
        return load_channels(stream, channels, limits=limits)
    count = channel_count(stream, limits=limits)
    stream.seek(0)
    together = limits.max_decoded_bytes / (count * RATE * BYTES_PER_SAMPLE)
    if together >= limits.max_seconds:
        return load_channels(stream, channels, limits=limits)
    try:
        return load_channels(stream, channels, limits=replace(limits, max_seconds=together))
    except AudioError as error:
        if error.code != "audio_too_long":
            raise
        expected = f"expected at most {together:.0f} s of {count} channels (limits.decoded_bytes)"
        message = f"{stream.name}: {expected}, got more; split it, or send one channel at a time"
        raise AudioError("audio_too_large", message) from error


if __name__ == "__main__":
    serve(DecoderLimits(**json.loads(sys.argv[1])), _load)
