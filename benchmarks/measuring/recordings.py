"""Real clips as files: one by one, and joined to long recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from measuring import real_clips
from phonemo.audio import RATE


def recordings(
    folder: Path, clips: int, long_seconds: float, long_count: int | None = None
) -> tuple[list[Path], list[Path]]:
    """Write clips, and recordings of a length joined from them.

    Args:
        folder: where the files are written.
        clips: number of clips.
        long_seconds: length of a long recording; clips are repeated where they do not fill it.
        long_count: number of long recordings; by default those that the clips fill, at least one.
    """
    voices = real_clips(clips)
    short = [folder / f"short-{number:05d}.flac" for number in range(len(voices))]
    for path, clip in zip(short, voices, strict=True):
        soundfile.write(path, clip, RATE)
    joined, size = np.concatenate(voices), round(long_seconds * RATE)
    count = long_count or max(1, len(joined) // size)
    long = [folder / f"long-{number:03d}.flac" for number in range(count)]
    for number, path in enumerate(long):
        soundfile.write(path, np.resize(joined[number * size :], size), RATE)
    return short, long
