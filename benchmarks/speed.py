"""Speed of phonemo compared with transformers on the same clips.

    python benchmarks/speed.py [ROUNDS]              default: 7

Throughput of 24 clips of 3 s: phonemo-small (the bundle in the package), and a network with the
shape of wav2vec2-base in phonemo and in transformers' pipeline with torch. Latency of one clip at a
time. All CPUs are used; decoding is excluded.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from measuring import interleaved, machine, ratio, real_clips, timed
from measuring.networks import base_folder, base_pipeline, phonemo_base

from phonemo.audio import RATE
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.export.export import export

CLIPS, SECONDS, LATENCIES = 24, 3.0, 60


def main(rounds: int) -> int:
    """Print three tables; return the exit status."""
    clips = real_clips(CLIPS, SECONDS)
    print(f"{machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        works = engines(Path(folder), clips)
        print_throughput(interleaved(works, rounds))
        print_latency(Path(folder), clips)
    return 0


def engines(folder: Path, clips: list[np.ndarray]) -> dict[str, object]:
    """Build the engines: name -> a function that predicts all clips."""
    pipe = base_pipeline(base_folder(folder / "base"))
    phonemo_base(folder / "model")
    works = {}
    for size in (1, 8):
        works[f"pipeline, wav2vec2-base, batch {size}"] = lambda size=size: list(
            pipe([{"raw": clip, "sampling_rate": RATE} for clip in clips], batch_size=size)
        )
    network = pipe.model.eval()

    def eager() -> None:
        with torch.inference_mode():
            for clip in clips:
                network(torch.from_numpy(clip)[None])

    works["torch eager, wav2vec2-base"] = eager
    for precision in ("fp32", "int8"):
        export(folder / "model", folder / precision, precision)
        works[f"phonemo {precision}, wav2vec2-base"] = many(
            OnnxRecognizer.load(folder / precision), clips
        )
    works["phonemo-small int8"] = many(OnnxRecognizer.load(), clips)
    return works


def many(model: OnnxRecognizer, clips: list[np.ndarray]) -> object:
    """Predict all clips with predict_many."""
    return lambda: list(model.predict_many(clips, RATE))


def print_throughput(seconds: dict[str, list[float]]) -> None:
    """Print clips per second, and ratios."""
    rounds = len(next(iter(seconds.values())))
    print(f"\nthroughput, {CLIPS} clips of {SECONDS:g} s, median of {rounds} rounds")
    for name, times in seconds.items():
        print(f"  {name:<36}{CLIPS / float(np.median(times)):8.1f} clips a second")
    pipes = [name for name in seconds if name.startswith("pipeline")]
    best = min(pipes, key=lambda name: float(np.median(seconds[name])))
    for slow, quick in (
        (best, "phonemo-small int8"),
        ("torch eager, wav2vec2-base", "phonemo int8, wav2vec2-base"),
        ("torch eager, wav2vec2-base", "phonemo fp32, wav2vec2-base"),
    ):
        print(f"  {quick} is quicker than {slow}: {ratio(seconds[slow], seconds[quick])} times")


def print_latency(folder: Path, clips: list[np.ndarray]) -> None:
    """Print median and 95th percentile for one clip, alternating."""
    pipe, model = base_pipeline(folder / "base"), OnnxRecognizer.load()
    works = {
        "pipeline, wav2vec2-base": lambda clip: pipe({"raw": clip, "sampling_rate": RATE}),
        "phonemo-small int8": lambda clip: model.predict(clip, RATE),
        "phonemo-small int8, with shares": lambda clip: model.predict(clip, RATE, shares=True),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(LATENCIES):
        for name, ask in works.items():
            times[name].append(timed(lambda ask=ask, n=number: ask(clips[n % len(clips)])))
    print(f"\nlatency of a clip of {SECONDS:g} s, {LATENCIES - 3} times in turn")
    for name, values in times.items():
        p50, p95 = np.percentile(np.array(values[3:]) * 1000, [50, 95])
        print(f"  {name:<36}p50 {p50:7.1f} ms   p95 {p95:7.1f} ms")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
