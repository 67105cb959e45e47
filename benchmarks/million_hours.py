"""Estimate the cost of a million hours of audio from measurements here and given prices.

    python benchmarks/million_hours.py [--clips 300] [--core-price 0.04] [--gpu-price 0.80] ...

Measured: audio hours per hour of one worker (short clips, and ten-minute recordings), bytes of
output per hour of audio, seconds and bytes of planning, seconds of the first pass of --adapt, and
network operations per second of audio. Times of a worker are by the clock: run it on an idle
machine. Derived, and marked so: all prices, and all figures for a GPU, whose speed is a share of
the peak in its data sheet. Nothing was run on a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from measuring import CORPORA, machine
from measuring.recordings import recordings

from phonemo.audio import RATE, load_waveform
from phonemo.batch.adaptation import LONGEST_SECONDS, SAMPLE, vectors_of_item
from phonemo.batch.inputs import items_of
from phonemo.loader import load_model

LONG_SECONDS = 600.0
PLANNED = 100_000
HOURS = 1_000_000
MODEL = "models/phonemo-small"


@dataclass(frozen=True)
class Throughput:
    """Throughput and output size of a batch with one worker."""

    per_hour: float
    """Hours of audio per hour."""
    bytes_per_hour: float
    """Output bytes per hour of audio."""


@dataclass(frozen=True)
class Measured:
    """The measurements that the estimates start from."""

    worker: float
    """Hours of audio per hour of one worker."""
    decoded: float
    """Hours of audio decoded per hour of one core."""
    stored: float
    """Megabytes of FLAC per hour of audio."""
    operations: float
    """Network operations per second of audio."""
    sampled: float
    """Seconds of one core for the first pass over one recording."""


def main(args: argparse.Namespace) -> int:
    """Print the measurements, then the estimates; return the exit status."""
    if not CORPORA.is_dir():
        print(f"skipped: needs the real speech of {CORPORA}")
        return 0
    print(f"{machine()}\n\nmeasured")
    with tempfile.TemporaryDirectory() as folder:
        short, long = recordings(Path(folder), args.clips, LONG_SECONDS)
        worker = print_throughput(Path(folder), short, long)
        decoded, stored = decoding(long)
        print(f"  decoding FLAC: {decoded:,.0f} h an hour of one core; {stored:.1f} MB an hour")
        seconds, plan_bytes = planning(Path(folder))
    print(
        f"  planning: {seconds * 1e6 / PLANNED:.1f} s and {plan_bytes * 1e6 / PLANNED / 1e6:.0f} MB"
    )
    print("    for a million recordings")
    with tempfile.TemporaryDirectory() as folder:
        sampled = first_pass(recordings(Path(folder), args.clips, LONG_SECONDS)[1])
    print(
        f"  first pass of --adapt: {sampled * SAMPLE:.0f} s of one core for {SAMPLE} recordings of "
        f"{LONGEST_SECONDS:g} s and more"
    )
    operations = flops_per_second()
    print(f"  network: {operations / 1e9:.2f} Gflop for a second of audio (forward, fp32)")
    print_estimates(args, Measured(worker, decoded, stored, operations, sampled))
    return 0


def print_throughput(folder: Path, short: list[Path], long: list[Path]) -> float:
    """Print throughput by kind of recording; return the slower one, hours per hour."""
    speeds = []
    for name, files, options in (
        ("clips, JSON lines", short, []),
        ("clips, Parquet", short, ["--format", "parquet"]),
        ("clips, Parquet, --phonemes", short, ["--format", "parquet", "--phonemes"]),
        ("ten minutes, JSON lines", long, []),
    ):
        result = batch(folder, files, options)
        print(
            f"  {name:<28} {result.per_hour:6.1f} h an hour of one worker, "
            f"{result.bytes_per_hour / 1e3:8.1f} kB an hour of audio"
        )
        if not options:
            speeds.append(result.per_hour)
    return min(speeds)


def batch(home: Path, files: list[Path], options: list[str]) -> Throughput:
    """Run one worker over files; times are the batch's own, without startup."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        list_file, output = Path(folder) / "list.txt", Path(folder) / "out"
        list_file.write_text("".join(f"{path}\n" for path in files), encoding="utf-8")
        words = ["batch", str(list_file), "-o", str(output), "-j", "1", "-q", *options]
        program = str(Path(sys.executable).with_name("phonemo"))
        subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in (output / "parts").iterdir())
    return Throughput(summary["audio_hours_per_worker_hour"], size / summary["audio_hours"])


def decoding(files: list[Path]) -> tuple[float, float]:
    """Measure hours of audio decoded per hour, and megabytes per hour of audio."""
    began = perf_counter()
    hours = sum(load_waveform(path).seconds for path in files) / 3600
    seconds = perf_counter() - began
    return hours / (seconds / 3600), sum(path.stat().st_size for path in files) / hours / 1e6


def planning(folder: Path) -> tuple[float, float]:
    """Measure seconds and bytes of planning a list of nonexistent recordings."""
    from phonemo.batch.job import PlanSummary
    from phonemo.batch.plan import plan
    from phonemo.batch.stores import open_store

    list_file = folder / "many.txt"
    list_file.write_text("".join(f"/data/{n % 97}/{n:09d}.flac\n" for n in range(PLANNED)))
    began = perf_counter()
    plan(open_store(str(folder / "planned")), items_of([str(list_file)]), PlanSummary(), 1000)
    seconds = perf_counter() - began
    return seconds, sum(path.stat().st_size for path in (folder / "planned" / "plan").iterdir())


def first_pass(files: list[Path]) -> float:
    """Measure processor seconds of a recording of the sample: its first minute."""
    recognizer = load_model(threads=1)
    items = list(items_of([str(path) for path in files]))
    vectors_of_item(recognizer, items[0])
    began = process_time()
    for item in items:
        vectors_of_item(recognizer, item)
    return (process_time() - began) / len(items)


def flops_per_second() -> float:
    """Count network operations per second of audio, a multiply-add as two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from phonemo.train.model_folder import load_trained

    model, length = load_trained(MODEL).model, 10
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        model(input_values=torch.zeros(1, length * RATE))
    return counter.get_total_flops() / length


def print_estimates(args: argparse.Namespace, measured: Measured) -> None:
    """Print the estimates for a million hours, with the given prices."""
    print("\nderived, for a million hours")
    core_hours = HOURS / measured.worker
    operations = measured.operations
    print(
        f"  cores: {core_hours:,.0f} core hours; {core_hours / args.cores / 24:.1f} days on "
        f"{args.cores:,} cores; {core_hours * args.core_price:,.0f} at {args.core_price} an hour"
    )
    passes = args.folders * SAMPLE * measured.sampled / 3600
    print(
        f"  with --adapt in {args.folders:,} folders: {passes:,.0f} core hours more "
        f"({passes / core_hours:.1%}); {passes * args.core_price:,.0f}"
    )
    print("  GPU figures are calculated from a data sheet, not measured:")
    gpu = args.gpu_tflops * 1e12 * args.gpu_share / operations
    print(
        f"  a GPU at {args.gpu_share:.0%} of {args.gpu_tflops:g} Tflop/s: {gpu:,.0f} h of audio "
        f"an hour; {HOURS / gpu:,.0f} GPU hours; {HOURS / gpu * args.gpu_price:,.0f} at "
        f"{args.gpu_price} an hour, if {gpu / measured.decoded:,.0f} cores decode for it"
    )
    training = 3 * operations * 3600 * HOURS  # forward once, backward twice
    hours = training / (args.gpu_tflops * 1e12 * args.gpu_share) / 3600
    print(
        f"  an epoch of training all of it: {hours:,.0f} GPU hours; {hours * args.gpu_price:,.0f}"
    )
    for name, rate in (("FLAC, 16 kHz", measured.stored), ("Opus, 24 kbit/s", 10.8)):
        stored = HOURS * rate / 1e6
        print(
            f"  {name}: {stored:,.1f} TB; {stored * 1000 * args.storage_price:,.0f} a month; "
            f"{stored * 1e6 / (core_hours / args.cores * 3600):,.0f} MB/s to feed those cores"
        )
    for seconds in (6, 600, 3600):
        objects = HOURS * 3600 / seconds
        print(
            f"  in recordings of {seconds:,} s: {objects / 1e6:,.1f} million objects; "
            f"{objects * args.get_price / 1000:,.0f} for their GETs; "
            f"{objects / (core_hours / args.cores * 3600):,.1f} opened a second"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Estimate the cost of a million hours of audio.")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--cores", type=int, default=1000)
    parser.add_argument(
        "--folders", type=int, default=600, help="each with a profile of its own (--adapt)"
    )
    parser.add_argument("--core-price", type=float, default=0.04, help="per core hour")
    parser.add_argument("--gpu-price", type=float, default=0.80, help="per GPU hour")
    parser.add_argument("--gpu-tflops", type=float, default=121.0, help="peak, fp16 dense")
    parser.add_argument(
        "--gpu-share", type=float, default=0.25, help="share of the peak that is reached"
    )
    parser.add_argument("--storage-price", type=float, default=0.023, help="per GB and month")
    parser.add_argument("--get-price", type=float, default=0.0004, help="per 1,000 requests")
    sys.exit(main(parser.parse_args()))
