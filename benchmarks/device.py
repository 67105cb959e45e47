"""Throughput and scores of a model on the processor and on a CUDA card, in one run.

    python benchmarks/device.py [MODEL] [ROUNDS]     default: phonemo-small, 7

The clips are synthetic, 3 s and 20 s. Without a card it prints a line and exits with 0. Models that
ship are int8; compare them with an fp32 bundle (phonemo export --precision fp32): onnxruntime runs
operators without a CUDA kernel on the processor, and copies their data there and back.
"""

from __future__ import annotations

import sys

import numpy as np
from measuring import interleaved, machine, ratio

import phonemo
from phonemo.audio import RATE
from phonemo.errors import DeviceError

DEVICES, CLIPS, LENGTHS = ("cpu", "cuda"), 24, (3.0, 20.0)


def main(model: str | None, rounds: int) -> int:
    """Print the throughput of both devices; return the exit status."""
    try:
        opened = {device: phonemo.load(model, device=device) for device in DEVICES}
    except DeviceError as error:
        print(f"skipped: no CUDA card to measure ({error})")
        return 0
    print(f"{machine()}; {model or 'phonemo-small'}, {CLIPS} clips, median of {rounds} rounds")
    for seconds in LENGTHS:
        clips = [buzz(seconds, seed) for seed in range(CLIPS)]
        print_length(opened, clips, seconds, rounds)
    return 0


def print_length(opened: dict, clips: list[np.ndarray], seconds: float, rounds: int) -> None:
    """Print both throughputs, their ratio and the largest difference of a score."""
    scores = {
        name: np.array([list(one.predict(clip, RATE).scores.values()) for clip in clips])
        for name, one in opened.items()
    }
    works = {
        name: lambda one=one: list(one.predict_many(clips, RATE)) for name, one in opened.items()
    }
    times = interleaved(works, rounds)
    for name, spent in times.items():
        print(f"  {seconds:g} s on {name}: {CLIPS * seconds / np.median(spent):.0f} x real time")
    largest = np.abs(scores["cpu"] - scores["cuda"]).max()
    print(f"  cuda is {ratio(times['cpu'], times['cuda'])} x as fast; scores within {largest:.5f}")


def buzz(seconds: float, seed: int) -> np.ndarray:
    """A voiced sound in syllables, with noise: (sample,)."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = random.uniform(90, 250) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))
    voice = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * time)
    return (0.1 * voice * syllables + random.normal(0, 0.005, len(time))).astype(np.float32)


if __name__ == "__main__":
    arguments = [*sys.argv[1:3], None, None]
    sys.exit(main(arguments[0], int(arguments[1] or 7)))
