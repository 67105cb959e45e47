"""The engines of a batch beside each other: ray with two actors against one, ray against local.

    python benchmarks/batch_engines.py [--files 3000] [--rounds 3]

Each run is the command `phonemo batch` with its start and its end, over the same recordings into a
new folder; the runs of a round follow one another, so that a machine that slows down slows all.
"Inside" leaves out the start of Ray, of the processes and of the models: it counts from the first
part that is there to the last one, without the first parts' recordings. Every worker hears in one
thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from measuring import CORPORA, machine, spread

from phonemo.files import inside

PART_FILES = 100  # what the command takes by itself
#: Name -> engine and workers.
RUNS = {"ray 2": ("ray", 2), "ray 1": ("ray", 1), "local 2": ("local", 2), "local 1": ("local", 1)}
#: Against one another, and what is wanted.
RATIOS = (("ray 2", "ray 1", 1.7), ("ray 2", "local 2", 0.8), ("local 2", "local 1", None))


@dataclass(frozen=True)
class Speed:
    """Recordings a second."""

    whole: float
    inside: float


def main(asked: argparse.Namespace) -> int:
    """The exit status; prints each run's speed and the ratios over all rounds."""
    files = [name for name, _ in inside(str(CORPORA))] if CORPORA.is_dir() else []
    if not files:
        print(f"skipped: needs the real speech of {CORPORA}")
        return 0
    chosen = spread(files, min(asked.files, len(files)))
    found: dict[str, list[Speed]] = {name: [] for name in RUNS}
    print(f"{machine()}; {len(chosen)} recordings, {asked.rounds} rounds; recordings a second")
    with tempfile.TemporaryDirectory() as home:
        listed = Path(home) / "list.txt"
        listed.write_text("\n".join(chosen) + "\n", encoding="utf-8")
        for number in range(asked.rounds):
            for name, (engine, workers) in RUNS.items():
                speed = heard(listed, Path(home) / f"{engine}-{workers}-{number}", engine, workers)
                found[name].append(speed)
                print(
                    f"  {name:<8} {speed.whole:6.1f} whole {speed.inside:6.1f} inside", flush=True
                )
    for upper, lower, bar in RATIOS:
        tell(f"{upper} against {lower}", found[upper], found[lower], bar)
    return 0


def heard(listed: Path, output: Path, engine: str, workers: int) -> Speed:
    """Run the command once."""
    command = [str(Path(sys.executable).with_name("phonemo")), "batch", str(listed)]
    command += ["--output", str(output), "--engine", engine, "--workers", str(workers), "--quiet"]
    began = perf_counter()
    subprocess.run(
        [*command, "--part-files", str(PART_FILES)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = perf_counter() - began
    ended = sorted(path.stat().st_mtime for path in (output / "parts").iterdir())
    files = json.loads((output / "summary.json").read_text())["files"]["planned"]
    inside = ended[-1] - ended[workers - 1]  # from when each worker had a part behind it
    return Speed(files / seconds, (files - workers * PART_FILES) / inside)


def tell(what: str, upper: list[Speed], lower: list[Speed], bar: float | None) -> None:
    """The ratio of each round, whole and inside."""
    pairs = list(zip(upper, lower, strict=True))
    for kind in ("whole", "inside"):
        ratios = [getattr(one, kind) / getattr(other, kind) for one, other in pairs]
        middle = statistics.median(ratios)
        verdict = "" if bar is None else f"; bar {bar}: {'met' if middle >= bar else 'MISSED'}"
        print(f"{what}, {kind}: {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}){verdict}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Engines of phonemo batch beside each other.")
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    sys.exit(main(parser.parse_args()))
