"""A batch of 1,000 recordings, 3 % of them bad, that is killed twice.

    python benchmarks/batch_survival.py [--files 1000] [--engine local] [--corpus emodb] [--adapt]

The command and all its processes are killed (SIGKILL) when a third, and again when two thirds, of
the parts are there. The last run must do what is missing, and nothing else. With --adapt it is
killed once more before that, in the first pass, and at the end all rows are compared with those of
a run that was not killed, over the same recordings in reverse order, in other parts, by one worker.
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


def main(asked: argparse.Namespace) -> int:
    """The exit status: 1 where a recording is missing, doubled or heard again."""
    if not CORPORA.is_dir():
        print(f"skipped: needs the real speech of {CORPORA}")
        return 0
    with tempfile.TemporaryDirectory() as home:
        files = named(Path(home), asked.files, CORPORA / asked.corpus)
        listed, output = Path(home) / "list.txt", Path(home) / "out"
        listed.write_text("\n".join(files) + "\n", encoding="utf-8")
        parts = -(-len(files) // PART_FILES)
        print(f"{machine()}; engine {asked.engine}; {len(files)} recordings in {parts} parts")
        typed = [*command(listed, output, asked), "--part-files", str(PART_FILES)]
        if asked.adapt:
            killed_in_first_pass(typed, output)
        for share in (1 / 3, 2 / 3):
            killed(typed, output, round(share * parts))
        before = stamps(output)
        ended = subprocess.run(typed, stdout=subprocess.PIPE, text=True, check=False)
        print(ended.stdout.strip())
        wrong = checked(output, files, before)
        return compared(Path(home), asked, output) or wrong if asked.adapt else wrong


def named(home: Path, count: int, corpora: Path) -> list[str]:
    """Real recordings, and bad ones among them: empty, cut, no audio at all, noise."""
    draw = np.random.default_rng(0)
    bad = round(BAD_SHARE * count)
    good = spread([name for name, _ in inside(str(corpora))], count - bad)
    head = Path(good[0]).read_bytes()[:60]
    kinds = (b"", head, b"these are words\n" * 20, draw.bytes(4000))
    for number in range(bad):
        path = home / f"bad-{number}.flac"
        path.write_bytes(kinds[number % len(kinds)])
        good.append(str(path))
    return [good[place] for place in draw.permutation(len(good))]


def command(listed: Path, output: Path, asked: argparse.Namespace) -> list[str]:
    """What is typed."""
    program = str(Path(sys.executable).with_name("phonemo"))
    options = ["--engine", asked.engine, "--quiet", *(["--adapt"] if asked.adapt else [])]
    options += ["--model", asked.model] if asked.model else []
    return [program, "batch", str(listed), "--output", str(output), *options]


def killed_in_first_pass(typed: list[str], output: Path) -> None:
    """Begin it, and end it and all that it began while the profile is made."""
    running = subprocess.Popen(typed, start_new_session=True)
    while not (output / "plan").is_dir():
        if running.poll() is not None:
            raise SystemExit("it ended before it could be killed")
        time.sleep(0.02)
    time.sleep(3)  # its processes start and decode the first recordings
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    if (output / "profile.json").exists():
        raise SystemExit("the first pass was over before it could be killed: take more recordings")
    print("killed in the first pass, before there was a profile")


def killed(typed: list[str], output: Path, parts: int) -> None:
    """Begin it, and end it and all that it began when so many parts are there."""
    running = subprocess.Popen(typed, start_new_session=True)
    while len(stamps(output)) < parts:
        if running.poll() is not None:
            raise SystemExit("it ended before it could be killed: take more recordings")
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    time.sleep(2)  # what has left the group, as Ray's processes, notices that its parent is gone
    begun = sum(1 for _ in (output / "begun").iterdir())
    print(f"killed with {len(stamps(output))} parts there and {begun} begun")


def stamps(output: Path) -> dict[str, int]:
    """When each part was written."""
    folder = output / "parts"
    found = folder.glob("part-*.jsonl") if folder.is_dir() else ()
    return {path.name: path.stat().st_mtime_ns for path in found}


def checked(output: Path, files: list[str], before: dict[str, int]) -> int:
    """What came out of it."""
    after, rows = stamps(output), rows_of(output)
    times = Counter(row["file"] for row in rows)
    again = sum(after.get(name) != stamp for name, stamp in before.items())
    failed = Counter(row["code"] for row in rows if "error" in row)
    missing, doubled = len(set(files) - set(times)), sum(count > 1 for count in times.values())
    print(f"rows {len(rows)}; missing {missing}; more than once {doubled}; errors {dict(failed)}")
    print(f"parts before the last run {len(before)}, written again {again}; after it {len(after)}")
    half = [path.name for path in output.rglob(".*.part")]
    print(f"half files left: {half or 'none'}")
    return int(bool(missing or doubled or again or half or sorted(times) != sorted(files)))


def rows_of(output: Path) -> list[dict[str, Any]]:
    """All rows, in the order of the parts."""
    return [
        json.loads(line)
        for name in sorted(stamps(output))
        for line in (output / "parts" / name).read_text(encoding="utf-8").splitlines()
    ]


def compared(home: Path, asked: argparse.Namespace, output: Path) -> int:
    """Whether every row is that of a run that was not killed, in another order and other parts."""
    listed, whole = home / "reversed.txt", home / "whole"
    names = (home / "list.txt").read_text(encoding="utf-8").splitlines()
    listed.write_text("\n".join(reversed(names)) + "\n", encoding="utf-8")
    typed = [*command(listed, whole, asked), "--part-files", str(3 * PART_FILES), "-j", "1"]
    subprocess.run(typed, stdout=subprocess.DEVNULL, check=False)
    found, wanted = ({row["file"]: row for row in rows_of(one)} for one in (output, whole))
    other = sum(found[name] != row for name, row in wanted.items())
    profiles = [(one / "profile.json").read_bytes() for one in (output, whole)]
    print(
        f"beside a run that was not killed: {len(wanted)} rows, {other} of them other; "
        f"profiles {'equal' if profiles[0] == profiles[1] else 'OTHER'}"
    )
    return int(bool(other) or len(found) != len(wanted) or profiles[0] != profiles[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A batch that is killed twice.")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--corpus", default="", help="Recordings of this one alone.")
    parser.add_argument("--adapt", action="store_true", help="With a profile of a sample.")
    parser.add_argument("--model", default="", help="Another one than ships.")
    sys.exit(main(parser.parse_args()))
