"""Shared helpers of the benchmarks: real clips, interleaved rounds, ratios with their spread.

Compared functions are timed alternately, round after round, in one run, so that other load on the
machine affects both. The ratio is taken within each round; its median and range are reported.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from phonemo.audio import RATE, load_waveform

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
LANGUAGES = Path(__file__).resolve().parents[2] / "src" / "phonemo" / "runtime" / "phonemes"
PATTERNS = ("emodb/wav/*.flac", "ravdess/Actor_*/*.flac", "nemo/samples/*.ogg")


def real_clips(count: int, seconds: float | None = None) -> list[np.ndarray]:
    """Load recordings spread over three corpora, each (sample,), optionally cut to a length.

    Without the corpora, print a note and exit.
    """
    paths = [
        spread(sorted(CORPORA.glob(pattern)), -(-count // len(PATTERNS))) for pattern in PATTERNS
    ]
    if not all(paths):
        print(f"skipped: needs the real speech of {CORPORA}")
        sys.exit(0)
    mixed = [path for group in zip(*paths, strict=True) for path in group][:count]
    clips = [load_waveform(path).samples for path in mixed]
    if seconds is None:
        return clips
    size = round(seconds * RATE)
    return [np.resize(clip, size) for clip in clips]  # shorter clips are repeated


def decoding_argument(decoding: str) -> str:
    """A decoding for the programs that take a language by its file: JavaScript's and C++'s."""
    language = LANGUAGES / f"{decoding}.json"
    return str(language) if language.exists() else decoding


def spread(items: Sequence[Path], count: int) -> list[Path]:
    """Pick this many items, evenly spread."""
    return [items[place * len(items) // count] for place in range(count)] if items else []


def timed(work: Callable[[], object]) -> float:
    """Measure seconds."""
    began = perf_counter()
    work()
    return perf_counter() - began


def interleaved(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Measure seconds of each function in each round; the first round, a warm-up, is not counted.

    Every second round runs in reverse order, so that no function always follows the same other.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name in list(works)[:: -1 if number % 2 else 1]:
            seconds = timed(works[name])
            if number:
                times[name].append(seconds)
    return times


def ratio(slow: Sequence[float], quick: Sequence[float]) -> str:
    """Format the median of the ratios within the rounds, and their range."""
    shares = sorted(first / second for first, second in zip(slow, quick, strict=True))
    return f"{statistics.median(shares):.2f} ({shares[0]:.2f} to {shares[-1]:.2f})"


def machine() -> str:
    """Describe the machine in one line."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cpus} processors, Python {platform.python_version()}"
