"""Time from starting the command to the first prediction, compared with transformers' pipeline.

    python benchmarks/cold_start.py [ROUNDS]         default: 5

Both run as new processes, in turn, on one 3 s recording. Both models are on disk and in the page
cache.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from measuring import interleaved, machine, ratio, real_clips
from measuring.networks import base_folder

from phonemo.audio import RATE

#: A minimal script with transformers.
SCRIPT = """
import sys, soundfile
from transformers import pipeline
pipe = pipeline("audio-classification", model=sys.argv[1], device="cpu")
samples, rate = soundfile.read(sys.argv[2], dtype="float32")
print(pipe({"raw": samples, "sampling_rate": rate})[0])
"""


def main(rounds: int) -> int:
    """Print both times and their ratio; return the exit status."""
    clip = real_clips(3, 3.0)[0]
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "clip.wav"
        soundfile.write(wave, clip, RATE)
        model = base_folder(Path(folder) / "base")
        command = [str(Path(sys.executable).with_name("phonemo")), "predict", str(wave)]
        script = [sys.executable, "-c", SCRIPT, str(model), str(wave)]
        works = {"pipeline": lambda: run(script), "phonemo": lambda: run(command)}
        seconds = interleaved(works, rounds)
    print(f"{machine()}\ncold start to the first prediction, {rounds} rounds in turn")
    for name, times in seconds.items():
        print(
            f"  {name:<12}{float(np.median(times)):6.2f} s ({min(times):.2f} to {max(times):.2f})"
        )
    print(f"  phonemo / pipeline: {ratio(seconds['phonemo'], seconds['pipeline'])}")
    return 0


def run(command: list[str]) -> None:
    """Run a command; raise if it fails."""
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
