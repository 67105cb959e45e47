"""A batch of 1,000 recordings, 3 % of them bad, that is killed twice.

    python benchmarks/batch_survival.py [--files 1000] [--engine local]

The command and all its processes are killed (SIGKILL) when a third, and again when two thirds, of
the parts are there. The third run must do what is missing, and nothing else.
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

import numpy as np
from measuring import CORPORA, machine, spread

from phonemo.recordings import inside

PART_FILES = 20
BAD_SHARE = 0.03


def main(asked: argparse.Namespace) -> int:
    """The exit status: 1 where a recording is missing, doubled or heard again."""
    if not CORPORA.is_dir():
        print(f"skipped: needs the real speech of {CORPORA}")
        return 0
    with tempfile.TemporaryDirectory() as home:
        files = named(Path(home), asked.files)
        listed, output = Path(home) / "list.txt", Path(home) / "out"
        listed.write_text("\n".join(files) + "\n", encoding="utf-8")
        parts = -(-len(files) // PART_FILES)
        print(f"{machine()}; engine {asked.engine}; {len(files)} recordings in {parts} parts")
        for share in (1 / 3, 2 / 3):
            killed(command(listed, output, asked.engine), output, round(share * parts))
        before = stamps(output)
        ended = subprocess.run(
            command(listed, output, asked.engine), stdout=subprocess.PIPE, text=True, check=False
        )
        print(ended.stdout.strip())
        return checked(output, files, before)


def named(home: Path, count: int) -> list[str]:
    """Real recordings, and bad ones among them: empty, cut, no audio at all, noise."""
    draw = np.random.default_rng(0)
    bad = round(BAD_SHARE * count)
    good = spread([name for name, _ in inside(str(CORPORA))], count - bad)
    head = Path(good[0]).read_bytes()[:60]
    kinds = (b"", head, b"these are words\n" * 20, draw.bytes(4000))
    for number in range(bad):
        path = home / f"bad-{number}.flac"
        path.write_bytes(kinds[number % len(kinds)])
        good.append(str(path))
    return [good[place] for place in draw.permutation(len(good))]


def command(listed: Path, output: Path, engine: str) -> list[str]:
    """What is typed."""
    program = str(Path(sys.executable).with_name("phonemo"))
    options = ["--engine", engine, "--part-files", str(PART_FILES), "--quiet"]
    return [program, "batch", str(listed), "--output", str(output), *options]


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
    after = stamps(output)
    rows = [
        json.loads(line)
        for name in sorted(after)
        for line in (output / "parts" / name).read_text(encoding="utf-8").splitlines()
    ]
    times = Counter(row["file"] for row in rows)
    again = sum(after.get(name) != stamp for name, stamp in before.items())
    failed = Counter(row["code"] for row in rows if "error" in row)
    missing, doubled = len(set(files) - set(times)), sum(count > 1 for count in times.values())
    print(f"rows {len(rows)}; missing {missing}; more than once {doubled}; errors {dict(failed)}")
    print(f"parts before the last run {len(before)}, written again {again}; after it {len(after)}")
    half = [path.name for path in output.rglob(".*.part")]
    print(f"half files left: {half or 'none'}")
    return int(bool(missing or doubled or again or half or sorted(times) != sorted(files)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A batch that is killed twice.")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    sys.exit(main(parser.parse_args()))
