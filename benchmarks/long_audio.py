"""Memory and time by recording length, from 1 s to 1 h.

    python benchmarks/long_audio.py [LONGEST_SECONDS]     default: 3600

Every length runs in a separate process (phonemo predict, one job) on a FLAC file of concatenated
real clips; peak memory is the system's figure for that process.
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

#: 29.9 s is below the length from which windows are used.
LENGTHS = (1, 3, 10, 29.9, 30, 60, 300, 900, 3600)
#: Prints its peak memory at the end.
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
    """Print a row for each length; return the exit status."""
    clips = np.concatenate(real_clips(60))
    print(f"{machine()}\nlength s   peak MB    time s      RTF  segments  decode s  network s")
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.flac"
        for length in (seconds for seconds in LENGTHS if seconds <= longest):
            write(path, clips, length)
            result = measure(path)
            peaks[length] = result["peak"] / 1e6
            timings = result["timings"]
            print(
                f"{length:>8}{peaks[length]:>10.0f}{result['seconds']:>10.2f}"
                f"{result['seconds'] / result['audio']:>9.4f}{result['segments']:>10}"
                f"{timings['decode']:>10.2f}{timings['network']:>11.2f}",
                flush=True,
            )
    if 60 in peaks:
        last = max(peaks)
        print(f"{last} s against 60 s: {peaks[last] - peaks[60]:+.0f} MB")
    return 0


def write(path: Path, clips: np.ndarray, seconds: float) -> None:
    """Write the clips repeatedly, a minute at a time."""
    left, at = round(seconds * RATE), 0
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left:
            size = min(left, 60 * RATE, len(clips) - at)
            file.write(clips[at : at + size])
            left, at = left - size, (at + size) % len(clips)


def measure(path: Path) -> dict:
    """Predict a file in a separate process."""
    began = perf_counter()
    command = [sys.executable, "-c", SCRIPT, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"wall": perf_counter() - began, **json.loads(done.stdout)}


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else LENGTHS[-1]))
