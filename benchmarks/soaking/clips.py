"""The recordings of the soak test: real speech in several lengths and containers."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from measuring import real_clips

from phonemo.audio import RATE

#: Name, libsndfile's format and subtype.
CONTAINERS = (
    ("wav", "WAV", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus.ogg", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("aiff", "AIFF", "PCM_16"),
)
#: Seconds, and the weight of recordings of that length.
LENGTHS = ((0.7, 4), (3.0, 8), (8.0, 4), (45.0, 1))
#: Just below the limit of one pass, where memory peaks.
WHOLE_SECONDS, LONG_SECONDS, MINUTES_SECONDS = 28.0, 200.0, 480.0
TOO_LONG_SECONDS = 620.0
WIDE_RATE = 48_000
WHOLE, MINUTES = "whole.flac", "minutes.flac"


@dataclass(frozen=True)
class Clip:
    """A recording as a file."""

    name: str
    data: bytes
    weight: float = 1.0


def good_clips() -> list[Clip]:
    """Clips of each length and container; wide ones and a long one exceed 1 MiB."""
    voices = real_clips(len(LENGTHS) + 2)
    clips = [
        Clip(f"{seconds:g}.{ending}", encoded(cut(voice, seconds), kind, subtype), weight)
        for voice, (seconds, weight) in zip(voices, LENGTHS, strict=False)
        for ending, kind, subtype in CONTAINERS
    ]
    wide = np.repeat(cut(voices[-2], 5.0), WIDE_RATE // RATE)
    stereo = np.stack([wide, wide], axis=1)
    clips.append(Clip("wide.wav", encoded(stereo, "WAV", "FLOAT", WIDE_RATE), 6))
    for name, seconds, weight in (
        (WHOLE, WHOLE_SECONDS, 1.0),
        ("long.flac", LONG_SECONDS, 0.5),
        (MINUTES, MINUTES_SECONDS, 0.0),  # sent by several_long only
    ):
        clips.append(Clip(name, encoded(cut(voices[-1], seconds), "FLAC", "PCM_16"), weight))
    return clips


def too_long() -> bytes:
    """A recording longer than the server accepts, in few bytes."""
    return encoded(np.zeros(round(TOO_LONG_SECONDS * RATE), np.float32), "FLAC", "PCM_16")


def cut(samples: np.ndarray, seconds: float) -> np.ndarray:
    """Cut to a length; shorter clips are repeated."""
    return np.resize(samples, round(seconds * RATE))


def pcm(seconds: float = 4.0) -> bytes:
    """16-bit samples for a live stream."""
    return np.round(cut(real_clips(1)[0], seconds) * (2**15 - 1)).astype("<i2").tobytes()


def encoded(samples: np.ndarray, kind: str, subtype: str, rate: int = RATE) -> bytes:
    """Encode as a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def flipped(data: bytes, draw: random.Random) -> bytes:
    """Flip some bits, sometimes in the header, sometimes truncating the file."""
    damaged = bytearray(data)
    reach = len(damaged) if draw.random() < 0.5 else min(200, len(damaged))
    for _ in range(draw.randint(1, 60)):
        damaged[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    return bytes(damaged[: draw.randint(1, len(damaged))] if draw.random() < 0.3 else damaged)


def fresh(pcm: bytes, draw: random.Random) -> bytes:
    """A recording of a random length, like most real ones."""
    samples = np.frombuffer(pcm, "<i2")
    return encoded(samples[: draw.randint(RATE // 2, len(samples))], "WAV", "PCM_16")


def folder_of(folder: Path, clips: list[Clip]) -> tuple[list[str], list[str]]:
    """Write the files for batches; return the good and the bad ones."""
    folder.mkdir()
    draw = random.Random(7)
    few = [clip for clip in clips if clip.weight > 1]
    bad = {"empty.wav": b"", "words.wav": b"these are words\n" * 20, "none.flac": b"fLaC"}
    bad |= {"noise.mp3": draw.randbytes(4000), "list.ogg": b"#EXTM3U\nhttp://127.0.0.1/a.ogg\n"}
    for clip in few:
        (folder / clip.name).write_bytes(clip.data)
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    return [str(folder / clip.name) for clip in few], [str(folder / name) for name in bad]
