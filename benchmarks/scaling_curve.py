"""The speed of a batch from 1 to 64 workers, simulated from service times measured here.

    python benchmarks/scaling_curve.py --measure            # some minutes: measure, save, simulate
    python benchmarks/scaling_curve.py                      # simulate from the saved measurement
    python benchmarks/scaling_curve.py --picture docs/images/scaling-curve.png

Measured: processor seconds of a worker for a recording and for a second of audio, of a worker's
start, of planning, of the parent for a part, of the first pass; seconds of publishing a part; whole
commands with one and two workers. Assumed, and options: the link to the storage (--link, --delay)
and the lengths of recordings that are not clips (lognormal). Derived: all beyond two workers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from measuring import CORPORA
from scaling_model.service_times import Measured, measure, measured_job
from scaling_model.simulation import STATES, Job, Point, Storage, bend, curve, simulate

WORKERS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)
SAVED = Path(__file__).resolve().parent / "scaling_model" / "service_times.json"
#: 16 bits, 48 kHz, two channels.
WAV_MEGABYTES = 691.2


def main(args: argparse.Namespace) -> int:
    """Print measurement, check and curves; return the exit status."""
    if args.measure:
        if not CORPORA.is_dir():
            print(f"skipped: needs the real speech of {CORPORA}")
            return 0
        measure(args.clips, args.part_files, args.rounds).save(args.times)
    found = Measured.load_file(args.times)
    storage = Storage(args.link, args.delay)
    times = found.times
    print(f"{found.machine}; load {found.load}")
    print("measured, in milliseconds")
    for name, value in vars(times).items():
        unit = {"neighbor": "times", "noise": "(of the logarithm)"}.get(name, "")
        print(f"  {name:<10}{value if unit else value * 1e3:9.3f} {unit}")
    print_check(found, storage)
    curves = {job: curve(job, times, WORKERS, storage, args.runs) for job in jobs(found)}
    for job, points in curves.items():
        print_curve(job, points)
    if args.picture:
        from scaling_model.curve_picture import draw

        drawn = {job: points for job, points in curves.items() if not job.adapt}
        draw(drawn, found, args.picture)
    return 0


def jobs(found: Measured) -> list[Job]:
    """The batches whose curves are shown."""
    lengths = tuple(found.lengths)
    megabytes = found.megabytes
    long = Job("1,000 h in recordings of 10 min", 1000.0, 20, megabytes)
    return [
        Job("20 h in clips", 20.0, 100, megabytes, lengths),
        replace(long, name="100 h in recordings of 10 min", hours=100.0),
        replace(long, name="100 h, 5 in a part", hours=100.0, part_files=5),
        long,
        replace(long, name="1,000 h, with --adapt", adapt=True),
        replace(long, name="1,000 h as WAV, 48 kHz, stereo", megabytes=WAV_MEGABYTES),
    ]


def print_check(found: Measured, storage: Storage) -> None:
    """Compare the simulation with the measured runs, whose files were on this machine's disk."""
    here, job = Storage(1e6, 0.0), measured_job(found)
    print("check: seconds of the whole command, simulated and measured (fastest to slowest round)")
    for run in found.runs:
        one = simulate(job, found.times, run.workers, here)
        clock, busy = one.seconds / run.seconds - 1, one.processor / run.processor - 1
        print(
            f"  {run.workers} workers: by the clock {one.seconds:.1f}, measured "
            f"{run.seconds:.1f} to {run.slowest:.1f}, error {clock:+.1%}; of the processor "
            f"{one.processor:.1f}, measured {run.processor:.1f}, error {busy:+.1%}"
        )


def print_curve(job: Job, points: Sequence[Point]) -> None:
    """A row for each number of workers, and where the curve bends."""
    print(f"\n{job.name} ({job.part_files} in a part, {job.megabytes:.0f} MB an hour)")
    print("  workers  h an hour        95 %  efficiency   link  parent  largest loss")
    for one in points:
        print(
            f"  {one.workers:7d}{one.speed:11,.0f}  +-{one.margin:8,.1f}{one.efficiency:11.0%} "
            f"{one.link:6.0%}{one.parent:8.1%}  {one.loss} {one.shares[one.loss]:.1%}"
        )
    first = bend(points)
    if first is None:
        print(f"  no bend up to {points[-1].workers} workers: efficiency stays at 80 % or more")
        return
    losses = sorted(STATES[1:], key=lambda name: first.shares[name], reverse=True)[:3]
    text = ", ".join(f"{name} {first.shares[name]:.0%}" for name in losses)
    print(f"  bends below 80 % at {first.workers} workers; of their time: {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--times", type=Path, default=SAVED, help="JSON of the measured times")
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--part-files", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=12, help="simulations of each point")
    parser.add_argument("--link", type=float, default=125.0, help="MB/s of the shared storage link")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds of a storage request")
    parser.add_argument("--picture", type=Path, help="draw the curves into this PNG file")
    sys.exit(main(parser.parse_args()))
