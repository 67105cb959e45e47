"""What the benchmarks share: real clips, interleaved rounds, ratios with their spread.

Two things that are compared are timed in turn, round after round, in one run: what else the machine
does then meets both. The ratio is taken within each round; its median and its range are told.
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
PATTERNS = ("emodb/wav/*.flac", "ravdess/Actor_*/*.flac", "nemo/samples/*.ogg")


def real_clips(count: int, seconds: float | None = None) -> list[np.ndarray]:
    """Recordings spread over three corpora, each (sample,); cut to a length where one is given.

    Where the corpora are absent the script ends, and says so.
    """
    paths = [spread(sorted(CORPORA.glob(one)), -(-count // len(PATTERNS))) for one in PATTERNS]
    if not all(paths):
        print(f"skipped: needs the real speech of {CORPORA}")
        sys.exit(0)
    mixed = [path for together in zip(*paths, strict=True) for path in together][:count]
    clips = [load_waveform(path).samples for path in mixed]
    if seconds is None:
        return clips
    size = round(seconds * RATE)
    return [np.resize(clip, size) for clip in clips]  # repeated where it is shorter


def spread(items: Sequence[Path], count: int) -> list[Path]:
    """So many, evenly over all."""
    return [items[place * len(items) // count] for place in range(count)] if items else []


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = perf_counter()
    work()
    return perf_counter() - began


def interleaved(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each piece of work in each round; the first, which warms up, is not counted.

    Every second round runs them backwards, so that none always follows the same other.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name in list(works)[:: -1 if number % 2 else 1]:
            seconds = timed(works[name])
            if number:
                found[name].append(seconds)
    return found


def ratio(slow: Sequence[float], quick: Sequence[float]) -> str:
    """Median of the ratios within the rounds, and their range."""
    shares = sorted(one / other for one, other in zip(slow, quick, strict=True))
    return f"{statistics.median(shares):.2f} ({shares[0]:.2f} to {shares[-1]:.2f})"


def machine() -> str:
    """One line on what this ran on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cpus} processors, Python {platform.python_version()}"
