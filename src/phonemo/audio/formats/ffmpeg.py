"""FFmpeg through PyAV (the extra ``media``), guarded.

FFmpeg reads only the file object that it is given: the demuxer is the one detected from the first
bytes, demuxers and decoders are on white lists, no protocol is allowed, and a file that names
another file is not followed. One thread decodes, and FFmpeg logs nothing.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np

from phonemo.audio.arrays import Block
from phonemo.audio.containers import Kind
from phonemo.errors import AudioError, MissingExtraError, safe_name, safe_text

#: Decoders, as FFmpeg names them; video and subtitles are never decoded.
DECODERS = (
    *("aac", "alac", "flac", "mp2float", "mp3float", "opus", "vorbis", "speex"),
    *("amrnb", "amrwb", "g722", "g726", "g726le", "gsm", "gsm_ms"),
    *("wmav1", "wmav2", "wmapro", "wmavoice", "wmalossless", "ac3", "eac3"),
    *("adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_yamaha", "adpcm_g722"),
    *("pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le"),
    *("pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
)

#: WAV's codecs that libsndfile decodes.
_COMMON_TAGS = (0, 1, 2, 3, 6, 7, 0x11, 0x31, 0xFFFE)
#: Bytes that FFmpeg may examine before it decodes: of a file, and of a live stream.
_PROBE_BYTES, _LIVE_PROBE_BYTES = 2**18, 2**11
_READ_BYTES, _LIVE_READ_BYTES = 2**15, 2**12
_MOST_STREAMS = 32
#: Damaged packets in a row after which the rest is given up.
_MOST_DAMAGED = 200
#: Planes of a frame from which on PyAV does not count them rightly.
_UNCOUNTED_PLANES = 8
_SCALES = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}


class ByteReader(Protocol):
    """What FFmpeg reads from; with ``seek`` and ``tell`` it is seekable."""

    def read(self, count: int) -> bytes:
        """Read at most ``count`` bytes; none at the end."""


def is_installed() -> bool:
    """Whether the extra ``media`` is installed; imports it, so that its memory is counted now."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def has_uncommon_codec(head: bytes) -> bool:
    """Whether a WAV, CAF or Ogg, given by its first bytes, names a codec that libsndfile lacks."""
    if head[:4] == b"OggS":
        return any(mark in head[:128] for mark in (b"\x7fFLAC", b"Speex   "))
    if head[:4] == b"caff":
        return head[28:32] not in (b"", bytes(4), b"lpcm", b"alac", b"ulaw", b"alaw", b"ima4")
    at = head.find(b"fmt ")
    tag = int.from_bytes(head[at + 8 : at + 10], "big" if head[:4] == b"RIFX" else "little")
    return at >= 0 and len(head) >= at + 24 and tag not in _COMMON_TAGS


def open_container(name: str, source: ByteReader, kind: Kind, live: bool = False) -> Any:
    """Open a container for reading.

    Args:
        name: the source's name in messages.
        source: encoded bytes.
        kind: the format, which has a demuxer.
        live: the bytes are still arriving; start with as few as possible.

    Raises:
        AudioError: unsupported_audio, without the extra or if FFmpeg cannot read the header.
    """
    if not is_installed():
        what = f"{kind.name} with this codec" if kind.native else kind.name
        message = str(MissingExtraError(f"{name}: {what}", "media"))
        raise AudioError("unsupported_audio", message)
    import av

    options = {
        "format_whitelist": str(kind.demuxer),
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(DECODERS),
        "max_streams": str(_MOST_STREAMS),
        "probesize": str(_LIVE_PROBE_BYTES if live else _PROBE_BYTES),
    }
    # tags that are not UTF-8 are no reason to refuse a file; from 19 on none is
    strict = int(av.__version__.split(".")[0]) < 19
    lenient: dict[str, Any] = {"metadata_errors": "replace"} if strict else {}
    try:
        return av.open(
            source,
            mode="r",
            format=kind.demuxer,
            container_options=options | ({"analyzeduration": "0"} if live else {}),
            **lenient,
            buffer_size=_LIVE_READ_BYTES if live else _READ_BYTES,
            io_open=_refuse_other_files,
        )
    except (av.FFmpegError, ValueError) as error:
        message = f"{name}: cannot be decoded ({_reason(error)}); convert it to WAV or FLAC"
        raise AudioError("unsupported_audio", message) from error


def first_audio(name: str, container: Any) -> Any:
    """Return the first audio stream that can be decoded.

    Raises:
        AudioError: unsupported_audio, if there is none, or none with a codec on the white list.
    """
    streams = container.streams.audio
    if not streams:
        has = "video only" if container.streams.video else "no stream that can be decoded"
        message = f"{name}: expected audio, got no audio stream ({has}); send one with sound"
        raise AudioError("unsupported_audio", message)
    codecs = [stream.codec_context.name if stream.codec_context else "none" for stream in streams]
    usable = [stream for stream, codec in zip(streams, codecs, strict=True) if codec in DECODERS]
    if not usable:
        message = f"{name}: audio in {codecs[0]} is not supported; convert it to WAV or FLAC"
        raise AudioError("unsupported_audio", message)
    usable[0].codec_context.thread_count = 1
    return usable[0]


def frames(container: Any, stream: Any, damaged: Callable[[], None]) -> Generator[Any, None, None]:
    """Yield a stream's decoded frames; ``damaged`` is called for each part that is not decoded."""
    import av

    failures = 0
    packets, readable = container.demux(stream), _Interleaver()
    while failures < _MOST_DAMAGED:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, ValueError):
            damaged()
            return
        if packet is None:
            return
        if packet.is_corrupt:
            damaged()
        try:
            decoded = [part for frame in packet.decode() for part in readable.frames_of(frame)]
            failures = 0
        except EOFError:
            return
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise
            decoded = []
            failures += 1
            damaged()
        yield from decoded


def samples_of(frame: Any) -> Block:
    """Return a frame's samples as float32 with a full scale of 1: (sample, channel)."""
    array = frame.to_ndarray()  # (channel, sample), or (1, sample * channel) if interleaved
    if not frame.format.is_planar:
        array = array.reshape(-1, len(frame.layout.channels)).T
    scale = _SCALES.get(array.dtype.str[1:], 1.0)
    middle = np.float32(scale if array.dtype == np.uint8 else 0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # detected later as infinity or NaN
        block: Block = (array.T.astype(np.float32) - middle) / np.float32(scale)
    return block


class _Interleaver:
    """Interleaves the samples of frames with many planes; other frames stay as they are.

    PyAV counts planes up to a null pointer, which none follows from the eighth on: it would read
    memory of others as samples (PyAV 17.1 to 18.1).
    """

    def __init__(self) -> None:
        self._kind: tuple[Any, ...] = ()
        self._resampler: Any = None

    def frames_of(self, frame: Any) -> list[Any]:
        """The frame, or what has its samples; one FFmpeg graph serves all frames of a kind."""
        if not frame.format.is_planar or frame.layout.nb_channels < _UNCOUNTED_PLANES:
            return [frame]
        if not frame.samples:  # FFmpeg takes it for too little memory
            return []
        import av

        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._resampler = av.AudioResampler(
                frame.format.packed, frame.layout, frame.sample_rate
            )
            self._kind = kind
        interleaved: list[Any] = self._resampler.resample(frame)
        return interleaved


def _refuse_other_files(url: str, flags: int, options: dict[str, str]) -> Any:
    raise OSError("the file refers to another file")


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return safe_name(safe_text(text).strip().rstrip(".").lower())
