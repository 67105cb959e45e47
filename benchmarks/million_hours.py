"""What a million hours of audio would take, from what is measured here and prices that you give.

    python benchmarks/million_hours.py [--clips 300] [--core-price 0.04] [--gpu-price 0.80] ...

Measured: audio hours that one worker hears in an hour (short clips, and recordings of ten minutes),
bytes of answers for an hour of audio, seconds and bytes of planning, operations of the network for
a second of audio. Derived, and said to be: all that has a price, and all about a GPU, whose speed
is taken as a share of the peak that its data sheet has. Nothing was run on a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import soundfile
from measuring import CORPORA, machine, real_clips

from phonemo.audio import RATE, load_waveform

LONG_SECONDS = 600.0
PLANNED = 100_000
HOURS = 1_000_000
MODEL = "models/phonemo-small"


@dataclass(frozen=True)
class Heard:
    """A batch of one worker."""

    per_hour: float
    """Hours of audio that it hears in an hour."""
    bytes_per_hour: float
    """Of its answers, for an hour of audio."""


@dataclass(frozen=True)
class Measured:
    """What the derived numbers start from."""

    worker: float
    """Hours of audio that one heard in an hour."""
    decoded: float
    """Hours of audio that one core decodes in an hour."""
    stored: float
    """Megabytes of FLAC for an hour of audio."""
    operations: float
    """Of the network, for a second of audio."""


def main(asked: argparse.Namespace) -> int:
    """The exit status; prints what was measured, then what follows."""
    if not CORPORA.is_dir():
        print(f"skipped: needs the real speech of {CORPORA}")
        return 0
    print(f"{machine()}\n\nmeasured")
    with tempfile.TemporaryDirectory() as home:
        short, long = recordings(Path(home), asked.clips)
        worker = tell_hearing(Path(home), short, long)
        decoded, stored = decoding(long)
        print(f"  decoding FLAC: {decoded:,.0f} h an hour of one core; {stored:.1f} MB an hour")
        seconds, plan_bytes = planning(Path(home))
    print(
        f"  planning: {seconds * 1e6 / PLANNED:.1f} s and {plan_bytes * 1e6 / PLANNED / 1e6:.0f} MB"
    )
    print("    for a million recordings")
    operations = flops_per_second()
    print(f"  network: {operations / 1e9:.2f} Gflop for a second of audio (forward, fp32)")
    derived(asked, Measured(worker, decoded, stored, operations))
    return 0


def recordings(home: Path, clips: int) -> tuple[list[Path], list[Path]]:
    """Real clips as files, and the same end to end in recordings of ten minutes."""
    found = real_clips(clips)
    short = []
    for number, clip in enumerate(found):
        short.append(home / f"short-{number:05d}.flac")
        soundfile.write(short[-1], clip, RATE)
    joined = np.concatenate(found)
    size = round(LONG_SECONDS * RATE)
    long = []
    for number in range(max(1, len(joined) // size)):
        long.append(home / f"long-{number:03d}.flac")
        soundfile.write(long[-1], np.resize(joined[number * size :], size), RATE)
    return short, long


def tell_hearing(home: Path, short: list[Path], long: list[Path]) -> float:
    """The slower of both kinds of recordings: hours heard in an hour of one worker."""
    speeds = []
    for name, files, options in (
        ("clips, JSON lines", short, []),
        ("clips, Parquet", short, ["--format", "parquet"]),
        ("clips, Parquet, --phonemes", short, ["--format", "parquet", "--phonemes"]),
        ("ten minutes, JSON lines", long, []),
    ):
        found = batch(home, files, options)
        print(
            f"  {name:<28} {found.per_hour:6.1f} h an hour of one worker, "
            f"{found.bytes_per_hour / 1e3:8.1f} kB an hour of audio"
        )
        if not options:
            speeds.append(found.per_hour)
    return min(speeds)


def batch(home: Path, files: list[Path], options: list[str]) -> Heard:
    """One worker over some files; its own clock, without its start."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        listed, output = Path(folder) / "list.txt", Path(folder) / "out"
        listed.write_text("".join(f"{path}\n" for path in files), encoding="utf-8")
        typed = ["batch", str(listed), "-o", str(output), "-j", "1", "-q", *options]
        program = str(Path(sys.executable).with_name("phonemo"))
        subprocess.run([program, *typed], check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in (output / "parts").iterdir())
    return Heard(summary["audio_hours_per_worker_hour"], size / summary["audio_hours"])


def decoding(files: list[Path]) -> tuple[float, float]:
    """Hours of audio decoded in an hour, and megabytes of an hour of audio."""
    began = perf_counter()
    hours = sum(load_waveform(path).seconds for path in files) / 3600
    seconds = perf_counter() - began
    return hours / (seconds / 3600), sum(path.stat().st_size for path in files) / hours / 1e6


def planning(home: Path) -> tuple[float, float]:
    """Seconds and bytes for a list of recordings, which need not be there."""
    from phonemo.batch.inputs import items_of
    from phonemo.batch.job import PlanSummary
    from phonemo.batch.plan import plan
    from phonemo.batch.stores import open_store

    listed = home / "many.txt"
    listed.write_text("".join(f"/data/{n % 97}/{n:09d}.flac\n" for n in range(PLANNED)))
    began = perf_counter()
    plan(open_store(str(home / "planned")), items_of([str(listed)]), PlanSummary(), 1000)
    seconds = perf_counter() - began
    return seconds, sum(path.stat().st_size for path in (home / "planned" / "plan").iterdir())


def flops_per_second() -> float:
    """Operations of the network for a second of audio, a multiply-add as two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from phonemo.train.model_folder import load_trained

    model, length = load_trained(MODEL).model, 10
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        model(input_values=torch.zeros(1, length * RATE))
    return counter.get_total_flops() / length


def derived(asked: argparse.Namespace, found: Measured) -> None:
    """What a million hours take, with the prices that were given."""
    print("\nderived, for a million hours")
    core_hours = HOURS / found.worker
    operations = found.operations
    print(
        f"  cores: {core_hours:,.0f} core hours; {core_hours / asked.cores / 24:.1f} days on "
        f"{asked.cores:,} cores; {core_hours * asked.core_price:,.0f} at {asked.core_price} an hour"
    )
    gpu = asked.gpu_tflops * 1e12 * asked.gpu_share / operations
    print(
        f"  a GPU at {asked.gpu_share:.0%} of {asked.gpu_tflops:g} Tflop/s: {gpu:,.0f} h of audio "
        f"an hour; {HOURS / gpu:,.0f} GPU hours; {HOURS / gpu * asked.gpu_price:,.0f} at "
        f"{asked.gpu_price} an hour, if {gpu / found.decoded:,.0f} cores decode for it"
    )
    training = 3 * operations * 3600 * HOURS  # forward once, backward twice
    hours = training / (asked.gpu_tflops * 1e12 * asked.gpu_share) / 3600
    print(
        f"  an epoch of training all of it: {hours:,.0f} GPU hours; {hours * asked.gpu_price:,.0f}"
    )
    for name, rate in (("FLAC, 16 kHz", found.stored), ("Opus, 24 kbit/s", 10.8)):
        stored = HOURS * rate / 1e6
        print(
            f"  {name}: {stored:,.1f} TB; {stored * 1000 * asked.storage_price:,.0f} a month; "
            f"{stored * 1e6 / (core_hours / asked.cores * 3600):,.0f} MB/s to feed those cores"
        )
    for seconds in (6, 600, 3600):
        objects = HOURS * 3600 / seconds
        print(
            f"  in recordings of {seconds:,} s: {objects / 1e6:,.1f} million objects; "
            f"{objects * asked.get_price / 1000:,.0f} for their GETs; "
            f"{objects / (core_hours / asked.cores * 3600):,.1f} opened a second"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a million hours of audio would take.")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--cores", type=int, default=1000)
    parser.add_argument("--core-price", type=float, default=0.04, help="a core and an hour")
    parser.add_argument("--gpu-price", type=float, default=0.80, help="a GPU and an hour")
    parser.add_argument("--gpu-tflops", type=float, default=121.0, help="peak, fp16 dense")
    parser.add_argument("--gpu-share", type=float, default=0.25, help="of the peak that is reached")
    parser.add_argument("--storage-price", type=float, default=0.023, help="a GB and a month")
    parser.add_argument("--get-price", type=float, default=0.0004, help="1,000 requests")
    sys.exit(main(parser.parse_args()))
