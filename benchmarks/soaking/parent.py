"""One process that runs batch after batch, and prints its resources as a JSON line after each.

    python parent.py GIVEN   # JSON: files, deadly, home, pause

Started by soak.py; ends when its home has a file named stop.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from processes import held, tree

from phonemo.batch.job import BatchOptions, ExecutorOptions
from phonemo.batch.run import Batch, run_batch
from phonemo.loader import model_digest

DEADLY_EVERY = 8


def main(given: dict) -> None:
    """Run batches until the stop file exists."""
    home, draw, number = Path(given["home"]), random.Random(3), 0
    while not (home / "stop").exists():
        files = draw.sample(given["good"], 6) + draw.sample(given["bad"], 2)
        if number % DEADLY_EVERY == DEADLY_EVERY - 1:
            files.append(given["deadly"])
        output = home / f"out{number}"
        engine = ExecutorOptions("local", 2)
        batch = Batch(
            str(output), BatchOptions(model_sha256=model_digest(None)), engine, part_files=3
        )
        summary = run_batch(files, batch, "soak")["now"]
        left = sum(1 for _ in output.rglob(".*.part"))
        shutil.rmtree(output)
        number += 1
        time.sleep(given["pause"])
        print_row(number, summary, len(files), left)


def print_row(number: int, summary: dict, files: int, left: int) -> None:
    """Print a line to standard output."""
    folder = Path(tempfile.gettempdir())
    row = held([os.getpid()], folder) | {"children": len(tree(os.getpid())) - 1}
    row |= {"workers": len(multiprocessing.active_children()), "half_files": left}
    row["semaphores"] = Path("/proc/self/maps").read_text().count("/dev/shm/sem.")
    print(json.dumps(row | {"job": number, "files": files, **counts_of(summary)}), flush=True)


def counts_of(summary: dict) -> dict:
    """Extract the counts from a batch's summary."""
    return {"heard": summary["files"], "failed": summary["failed"]}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
