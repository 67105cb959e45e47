"""Memory and time against the length of a recording, from 1 s to 1 h.

    python benchmarks/long_audio.py [LONGEST_SECONDS]     default: 3600

Every length is heard by a process of its own (phonemo predict, one job), from a FLAC file made of
real clips end to end; peak memory is what the system says of that process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import soundfile
from measuring import machine, real_clips

from phonemo.audio import RATE

LENGTHS = (1, 3, 10, 30, 60, 300, 900, 3600)
#: Tells its own peak memory at the end.
SCRIPT = """
import json, resource, sys, time
import phonemo
model = phonemo.load()
began = time.perf_counter()
found = model.predict(sys.argv[1])
print(json.dumps({
    "seconds": time.perf_counter() - began,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "audio": found.seconds, "segments": len(found.segments), "timings": found.timings,
}))
"""


def main(longest: float) -> int:
    """The exit status; prints a row for each length."""
    clips = np.concatenate(real_clips(60))
    print(f"{machine()}\nlength s   peak MB    time s      RTF  segments  decode s  network s")
    peaks = {}
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "long.flac"
        for length in (one for one in LENGTHS if one <= longest):
            write(path, clips, length)
            found = hear(path)
            peaks[length] = found["peak"] / 1e6
            spent = found["timings"]
            print(
                f"{length:>8}{peaks[length]:>10.0f}{found['seconds']:>10.2f}"
                f"{found['seconds'] / found['audio']:>9.4f}{found['segments']:>10}"
                f"{spent['decode']:>10.2f}{spent['network']:>11.2f}",
                flush=True,
            )
    if 60 in peaks:
        last = max(peaks)
        print(f"{last} s against 60 s: {peaks[last] - peaks[60]:+.0f} MB")
    return 0


def write(path: Path, clips: np.ndarray, seconds: int) -> None:
    """The clips again and again, a minute at a time."""
    left, at = seconds * RATE, 0
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left:
            size = min(left, 60 * RATE, len(clips) - at)
            file.write(clips[at : at + size])
            left, at = left - size, (at + size) % len(clips)


def hear(path: Path) -> dict:
    """What a process of its own says."""
    began = perf_counter()
    command = [sys.executable, "-c", SCRIPT, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"wall": perf_counter() - began, **json.loads(done.stdout)}


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else LENGTHS[-1]))
