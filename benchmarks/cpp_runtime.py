"""The C++ command against Python: labels, scores, phoneme spans, size, time to the first answer.

    make cpp && python benchmarks/cpp_runtime.py [CLIPS] [ROUNDS] [DECODING]   default: 200, 10

Clips of three corpora are decoded by Python to WAV files of 16 kHz, and some of them to 44.1 or
48 kHz too, to compare the two resamplers. Both recognize the files with the shipped model.
DECODING of phonemes is best-path, beam-search or english.
Times are those of new processes in turn, on one 3 s recording; processor seconds are given too,
since they depend less on what else runs.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from measuring import decoding_argument, interleaved, machine, ratio, real_clips

from phonemo.audio import RATE

COMMAND = Path(__file__).resolve().parents[1] / "build" / "cpp" / "phonemo-cpp"
RATES = (44_100, 48_000)
#: One clip of so many is resampled, too.
RESAMPLED = 4
#: A frame of the shipped network.
FRAME_SECONDS = 0.02
Row = dict[str, Any]


def main(clips: int, rounds: int, *decoding: str) -> int:
    """Print all measures; return the exit status."""
    if not COMMAND.exists():
        print(f"skipped: needs {COMMAND.name}; run make cpp")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        speech = real_clips(clips)
        groups = {
            "16 kHz": write_waves(Path(folder), speech, (RATE,)),
            "44.1 and 48 kHz": write_waves(Path(folder), speech[::RESAMPLED], RATES),
        }
        print(f"{machine()}, load {os.getloadavg()[0]:.1f}")
        for group, waves in groups.items():
            chosen = [f"--decoding={name}" for name in decoding]
            expected = rows_of(python("--jobs", "1", "-q", "--phonemes", *chosen, *waves))
            print(f"{len(waves)} clips of three corpora, {group}")
            known = [f"--decoding={decoding_argument(name)}" for name in decoding]
            for options in (known, [*known, "--fast-start"]):
                rows = rows_of([str(COMMAND), "--phonemes", *options, *waves])
                report_rows(" ".join(("phonemo-cpp", *options)), rows, expected)
        print(f"  size of {COMMAND.name}: {COMMAND.stat().st_size / 2**20:.2f} MB")
        wave = str(Path(folder) / "three.wav")
        soundfile.write(wave, real_clips(3, 3.0)[0], RATE)
        report_times(wave, rounds)
    return 0


def write_waves(folder: Path, clips: list[np.ndarray], rates: tuple[int, ...]) -> list[str]:
    """Write each clip at one of the rates; return the paths."""
    waves = []
    for number, clip in enumerate(clips):
        rate = rates[number // 3 % len(rates)]
        samples = clip if rate == RATE else soxr.resample(clip, RATE, rate)
        waves.append(str(folder / f"{number:03d}-{rate}.wav"))
        soundfile.write(waves[-1], samples, rate, "PCM_16")
    return waves


def python(*words: str) -> list[str]:
    """Return the command of the Python package."""
    return [sys.executable, "-m", "phonemo", "predict", "--format", "jsonl", *words]


def rows_of(command: list[str]) -> list[Row]:
    """Run a command; return its rows."""
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def report_rows(name: str, rows: list[Row], expected: list[Row]) -> None:
    """Print how far the rows of a command differ."""
    pairs = list(zip(rows, expected, strict=True))
    labels = sum(one["label"] == other["label"] for one, other in pairs)
    scores = [
        max(abs(one["scores"][label] - score) for label, score in other["scores"].items())
        for one, other in pairs
    ]
    equal, count = (sum(part) for part in zip(*map(equal_spans, rows, expected), strict=True))
    print(
        f"  {name}: same label {labels / len(pairs):.1%}, spans within a frame {equal / count:.2%}"
    )
    print(f"    difference of a score: largest {max(scores):.1e}, median {np.median(scores):.1e}")


def equal_spans(row: Row, expected: Row) -> tuple[int, int]:
    """Number of the expected phonemes that are found within a frame, and of all."""
    left = list(row["spans"])
    found = 0
    for span in expected["spans"]:
        same = [one for one in left if is_equal(one, span)]
        found += bool(same)
        left = [one for one in left if one is not (same or [None])[0]]
    return found, len(expected["spans"])


def is_equal(one: Row, other: Row) -> bool:
    """Whether two phonemes have the same symbol and times within a frame."""
    edges = max(abs(one[key] - other[key]) for key in ("start", "end"))
    return bool(one["symbol"] == other["symbol"] and edges <= FRAME_SECONDS + 1e-9)


def report_times(wave: str, rounds: int) -> None:
    """Print the time from the start of a process to its row."""
    used: dict[str, list[float]] = {}
    commands = {
        "python": python(wave),
        "phonemo-cpp": [str(COMMAND), wave],
        "phonemo-cpp --fast-start": [str(COMMAND), "--fast-start", wave],
    }
    works = {name: timed_run(name, command, used) for name, command in commands.items()}
    seconds = interleaved(works, rounds)
    print(f"first answer on 3 s, {rounds} rounds in turn, load {os.getloadavg()[0]:.1f}")
    for name, times in seconds.items():
        spread = f"({min(times):.2f} to {max(times):.2f})"
        processor = float(np.median(used[name]))
        print(f"  {name:<26}{np.median(times):6.2f} s {spread}, processor {processor:.2f} s")
        if name != "python":
            print(f"    python / {name}: {ratio(seconds['python'], times)}")


def timed_run(name: str, command: list[str], used: dict[str, list[float]]) -> Callable[[], object]:
    """Return a function that runs a command and notes its processor seconds."""

    def work() -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        used.setdefault(name, []).append(seconds)

    return work


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:3]]
    sys.exit(main(*numbers, *(200, 10)[len(numbers) :], *sys.argv[3:4]))
