"""Compare the engines of a batch: Ray with two actors and with one, and local processes.

    python benchmarks/batch_engines.py [--files 3000] [--rounds 3]
    python benchmarks/batch_engines.py --files 20000 --two-workers    # repeats the recordings

Each run is the command `phonemo batch`, including startup and shutdown, over the same recordings
into a new folder. The runs of a round follow one another, so that a slowdown of the machine affects
all. "Inside" excludes the startup of Ray, processes and models: it is measured from the first
finished part to the last, without the recordings of the first parts. "Fixed" are the seconds that
the command takes beside its recordings at the inside speed. Every worker uses one thread. With more
files than there are recordings, these are listed again under other names (links).
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

PART_FILES = 100  # the command's default
#: Name -> engine and workers.
RUNS = {"ray 2": ("ray", 2), "ray 1": ("ray", 1), "local 2": ("local", 2), "local 1": ("local", 1)}
#: Compared runs, and the expected ratio.
RATIOS = (("ray 2", "ray 1", 1.7), ("ray 2", "local 2", 0.9), ("local 2", "local 1", None))
#: The size for which the ratio of the whole commands is derived.
LARGE = 20_000


@dataclass(frozen=True)
class Speed:
    """Recordings per second."""

    whole: float
    inside: float
    fixed: float
    """Seconds beside the recordings."""

    def seconds(self, files: int) -> float:
        """Derive the time of a run over so many recordings."""
        return self.fixed + files / self.inside


def main(args: argparse.Namespace) -> int:
    """Print each run's speed and the ratios over all rounds; return the exit status."""
    files = [name for name, _ in inside(str(CORPORA))] if CORPORA.is_dir() else []
    if not files:
        print(f"skipped: needs the real speech of {CORPORA}")
        return 0
    runs = {name: run for name, run in RUNS.items() if run[1] == 2 or not args.two_workers}
    speeds: dict[str, list[Speed]] = {name: [] for name in runs}
    print(f"{machine()}; {args.files} recordings, {args.rounds} rounds; recordings a second")
    with tempfile.TemporaryDirectory() as folder:
        chosen = chosen_files(files, args.files, Path(folder) / "again")
        list_file = Path(folder) / "list.txt"
        list_file.write_text("\n".join(chosen) + "\n", encoding="utf-8")
        for number in range(args.rounds):
            for name, (engine, workers) in runs.items():
                speed = run_command(
                    list_file, Path(folder) / f"{engine}-{workers}-{number}", engine, workers
                )
                speeds[name].append(speed)
                print(
                    f"  {name:<8} {speed.whole:6.1f} whole {speed.inside:6.1f} inside "
                    f"{speed.fixed:6.1f} s fixed",
                    flush=True,
                )
    for upper, lower, bar in RATIOS:
        if upper in runs and lower in runs:
            print_ratios(f"{upper} against {lower}", speeds[upper], speeds[lower], bar)
    print_derived(speeds["ray 2"], speeds["local 2"])
    return 0


def chosen_files(files: list[str], count: int, links: Path) -> list[str]:
    """Choose recordings evenly; those that are needed more than once are linked."""
    chosen = spread(files, min(count, len(files)))
    for number in range(count - len(chosen)):
        source = Path(files[number % len(files)])
        link = links / str(number // len(files)) / f"{number % len(files):06d}{source.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
        chosen.append(str(link))
    return chosen


def print_derived(upper: list[Speed], lower: list[Speed]) -> None:
    """Print the ratio of the whole commands that these runs give for many more recordings."""
    pairs = zip(upper, lower, strict=True)
    ratios = [slow.seconds(LARGE) / fast.seconds(LARGE) for fast, slow in pairs]
    middle = statistics.median(ratios)
    print(f"ray 2 against local 2, whole, derived for {LARGE}: {middle:.2f}")


def run_command(list_file: Path, output: Path, engine: str, workers: int) -> Speed:
    """Run the command once and measure its speed."""
    command = [str(Path(sys.executable).with_name("phonemo")), "batch", str(list_file)]
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
    inside = ended[-1] - ended[workers - 1]  # from the time when each worker had finished a part
    rate = (files - workers * PART_FILES) / inside
    return Speed(files / seconds, rate, seconds - files / rate)


def print_ratios(what: str, upper: list[Speed], lower: list[Speed], bar: float | None) -> None:
    """Print the median and range of the ratios, whole and inside."""
    pairs = list(zip(upper, lower, strict=True))
    for kind in ("whole", "inside"):
        ratios = [getattr(first, kind) / getattr(second, kind) for first, second in pairs]
        middle = statistics.median(ratios)
        verdict = "" if bar is None else f"; bar {bar}: {'met' if middle >= bar else 'MISSED'}"
        print(f"{what}, {kind}: {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}){verdict}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare the engines of phonemo batch.")
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--two-workers", action="store_true", help="no run with one worker")
    sys.exit(main(parser.parse_args()))
