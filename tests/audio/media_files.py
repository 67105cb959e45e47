"""Encode sound with PyAV, as phones and browsers do, and by hand where it has no encoder."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

#: File name -> container, encoder, rate and options of the container.
MEDIA: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "voice.m4a": ("ipod", "aac", 48_000, {}),
    "streamable.m4a": ("ipod", "aac", 44_100, {"movflags": "+faststart"}),
    "safari.mp4": ("mp4", "aac", 48_000, {"movflags": "frag_keyframe+empty_moov"}),
    "lossless.m4a": ("ipod", "alac", 44_100, {}),
    "opus.mp4": ("mp4", "libopus", 48_000, {}),
    "quicktime.mov": ("mov", "pcm_s16le", 48_000, {}),
    "chrome.webm": ("webm", "libopus", 48_000, {"live": "1"}),
    "file.webm": ("webm", "libopus", 48_000, {}),
    "sound.mka": ("matroska", "aac", 48_000, {}),
    "meeting.mkv": ("matroska", "ac3", 48_000, {}),
    "stream.aac": ("adts", "aac", 48_000, {}),
    "windows.wma": ("asf", "wmav2", 44_100, {}),
    "windows1.wma": ("asf", "wmav1", 44_100, {}),
    "voip.wav": ("wav", "g722", 16_000, {}),
    "flac.oga": ("ogg", "flac", 16_000, {}),
}


def encode_media(
    samples: np.ndarray,
    container: str,
    codec: str,
    rate: int,
    options: dict[str, str] | None = None,
    tracks: int = 1,
) -> bytes:
    """Encode (sample,) float samples as one or more audio tracks."""
    import av

    with tempfile.TemporaryDirectory() as folder:  # some options read the file again
        path = Path(folder, "clip")
        with av.open(str(path), "w", format=container, options=options or {}) as output:
            encoders = [output.add_stream(codec, rate=rate) for _ in range(tracks)]
            for encoder in encoders:
                encoder.layout = "mono"
                if codec.startswith("wma"):
                    encoder.bit_rate = 64_000
            for encoder in encoders:
                for packet in _packets(encoder, samples, rate):
                    output.mux(packet)
        return path.read_bytes()


def _packets(encoder: Any, samples: np.ndarray, rate: int) -> Any:
    import av

    frame = av.AudioFrame.from_ndarray(
        np.clip(samples * 32767, -32768, 32767).astype(np.int16)[None], format="s16", layout="mono"
    )
    frame.sample_rate = rate
    frame.pts = 0
    yield from encoder.encode(frame)
    yield from encoder.encode(None)


def media_file(name: str, seconds: float = 1.0, hertz: float = 440.0) -> bytes:
    """A tone with a peak of 0.5 in one of the formats of ``MEDIA``."""
    container, codec, rate, options = MEDIA[name]
    times = np.arange(round(rate * seconds)) / rate
    return encode_media(0.5 * np.sin(2 * np.pi * hertz * times), container, codec, rate, options)


def video_without_sound() -> bytes:
    """An MP4 with a moving picture only."""
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as output:
        encoder = output.add_stream("mpeg4", rate=10)
        encoder.width = encoder.height = 64
        encoder.pix_fmt = "yuv420p"
        for number in range(5):
            picture = np.full((64, 64, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            output.mux(encoder.encode(frame))
        output.mux(encoder.encode(None))
    return stream.getvalue()


def amr(wide: bool = False, seconds: float = 1.0) -> bytes:
    """Random frames of the lowest bit rate, because FFmpeg's wheels have no encoder."""
    random = np.random.default_rng(1)
    head, frame = (b"#!AMR-WB\n", 17) if wide else (b"#!AMR\n", 12)
    return head + b"".join(b"\x04" + random.bytes(frame) for _ in range(round(seconds * 50)))


def in_3gp(data: bytes) -> bytes:
    """An AMR file's frames in the container of phones."""
    import av

    stream = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(stream, "w", format="3gp") as target:
        track = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = track
                target.mux(packet)
    return stream.getvalue()
