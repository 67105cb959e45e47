"""A batch of 1,000 recordings, 3 % of them bad, that is killed twice.

    python benchmarks/batch_survival.py [--files 1000] [--engine local] [--corpus emodb] [--adapt]

The command and all its processes are killed (SIGKILL) after a third and after two thirds of the
parts are finished. The last run must process what is missing and nothing else. With --adapt it is
killed once more before that, in the first pass, and at the end all rows are compared with those of
an uninterrupted run over the same recordings in reverse order, in other parts, with one worker.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CORPORA, machine, spread

from phonemo.files import inside

PART_FILES = 20
BAD_SHARE = 0.03


def main(args: argparse.Namespace) -> int:
    """Return the exit status: 1 if a recording is missing, duplicated or processed again."""
    if not CORPORA.is_dir():
        print(f"skipped: needs the real speech of {CORPORA}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        files = make_inputs(Path(folder), args.files, CORPORA / args.corpus)
        list_file, output = Path(folder) / "list.txt", Path(folder) / "out"
        list_file.write_text("\n".join(files) + "\n", encoding="utf-8")
        parts = -(-len(files) // PART_FILES)
        print(f"{machine()}; engine {args.engine}; {len(files)} recordings in {parts} parts")
        words = [*command(list_file, output, args), "--part-files", str(PART_FILES)]
        if args.adapt:
            kill_in_first_pass(words, output)
        for share in (1 / 3, 2 / 3):
            kill_after(words, output, round(share * parts))
        before = stamps(output)
        ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
        print(ended.stdout.strip())
        wrong = check(output, files, before)
        return compare(Path(folder), args, output) or wrong if args.adapt else wrong


def make_inputs(folder: Path, count: int, corpora: Path) -> list[str]:
    """List real recordings mixed with bad ones: empty, truncated, text, noise."""
    draw = np.random.default_rng(0)
    bad = round(BAD_SHARE * count)
    good = spread([name for name, _ in inside(str(corpora))], count - bad)
    head = Path(good[0]).read_bytes()[:60]
    kinds = (b"", head, b"these are words\n" * 20, draw.bytes(4000))
    for number in range(bad):
        path = folder / f"bad-{number}.flac"
        path.write_bytes(kinds[number % len(kinds)])
        good.append(str(path))
    return [good[place] for place in draw.permutation(len(good))]


def command(list_file: Path, output: Path, args: argparse.Namespace) -> list[str]:
    """Build the command line."""
    program = str(Path(sys.executable).with_name("phonemo"))
    options = ["--engine", args.engine, "--quiet", *(["--adapt"] if args.adapt else [])]
    options += ["--model", args.model] if args.model else []
    return [program, "batch", str(list_file), "--output", str(output), *options]


def kill_in_first_pass(words: list[str], output: Path) -> None:
    """Start the command and kill its process group while the profile is computed."""
    running = subprocess.Popen(words, start_new_session=True)
    while not (output / "plan").is_dir():
        if running.poll() is not None:
            raise SystemExit("the batch ended before it could be killed")
        time.sleep(0.02)
    time.sleep(3)  # its processes start and decode the first recordings
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    if (output / "profile.json").exists():
        raise SystemExit("the first pass ended before it could be killed; use more recordings")
    print("killed in the first pass, before the profile was written")


def kill_after(words: list[str], output: Path, parts: int) -> None:
    """Start the command and kill its process group when this many parts are finished."""
    running = subprocess.Popen(words, start_new_session=True)
    while len(stamps(output)) < parts:
        if running.poll() is not None:
            raise SystemExit("the batch ended before it could be killed; use more recordings")
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    time.sleep(2)  # processes outside the group, such as Ray's, notice that their parent is gone
    started = sum(1 for _ in (output / "begun").iterdir())
    print(f"killed with {len(stamps(output))} parts finished and {started} started")


def stamps(output: Path) -> dict[str, int]:
    """Read when each part was written."""
    folder = output / "parts"
    parts = folder.glob("part-*.jsonl") if folder.is_dir() else ()
    return {path.name: path.stat().st_mtime_ns for path in parts}


def check(output: Path, files: list[str], before: dict[str, int]) -> int:
    """Check and print the result; return the exit status."""
    after, rows = stamps(output), rows_of(output)
    times = Counter(row["file"] for row in rows)
    again = sum(after.get(name) != stamp for name, stamp in before.items())
    failed = Counter(row["code"] for row in rows if "error" in row)
    missing, doubled = len(set(files) - set(times)), sum(count > 1 for count in times.values())
    print(f"rows {len(rows)}; missing {missing}; more than once {doubled}; errors {dict(failed)}")
    print(f"parts before the last run {len(before)}, written again {again}; after it {len(after)}")
    partial = [path.name for path in output.rglob(".*.part")]
    print(f"partial files left: {partial or 'none'}")
    return int(bool(missing or doubled or again or partial or sorted(times) != sorted(files)))


def rows_of(output: Path) -> list[dict[str, Any]]:
    """Read all rows, in the order of the parts."""
    return [
        json.loads(line)
        for name in sorted(stamps(output))
        for line in (output / "parts" / name).read_text(encoding="utf-8").splitlines()
    ]


def compare(home: Path, args: argparse.Namespace, output: Path) -> int:
    """Compare the rows with those of an uninterrupted run in another order and other parts."""
    list_file, whole = home / "reversed.txt", home / "whole"
    names = (home / "list.txt").read_text(encoding="utf-8").splitlines()
    list_file.write_text("\n".join(reversed(names)) + "\n", encoding="utf-8")
    words = [*command(list_file, whole, args), "--part-files", str(3 * PART_FILES), "-j", "1"]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=False)
    rows, expected = ({row["file"]: row for row in rows_of(folder)} for folder in (output, whole))
    other = sum(rows[name] != row for name, row in expected.items())
    profiles = [(folder / "profile.json").read_bytes() for folder in (output, whole)]
    print(
        f"compared with an uninterrupted run: {len(expected)} rows, {other} of them differ; "
        f"profiles {'equal' if profiles[0] == profiles[1] else 'DIFFERENT'}"
    )
    return int(bool(other) or len(rows) != len(expected) or profiles[0] != profiles[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A batch that is killed twice.")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--corpus", default="", help="Use only this corpus.")
    parser.add_argument("--adapt", action="store_true", help="Adapt with a profile of a sample.")
    parser.add_argument("--model", default="", help="A model other than the default.")
    sys.exit(main(parser.parse_args()))
