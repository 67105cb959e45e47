"""One process that runs batch after batch: what it holds after each, a JSON line for each.

    python parent.py GIVEN   # JSON: files, deadly, home, pause

Begun by soak.py; ends when its home has a file named stop.
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
    """Until it is told to stop."""
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
        told = run_batch(files, batch, "soak")["now"]
        left = sum(1 for _ in output.rglob(".*.part"))
        shutil.rmtree(output)
        number += 1
        time.sleep(given["pause"])
        tell(number, told, len(files), left)


def tell(number: int, told: dict, files: int, left: int) -> None:
    """A line on standard output."""
    folder = Path(tempfile.gettempdir())
    found = held([os.getpid()], folder) | {"children": len(tree(os.getpid())) - 1}
    found |= {"workers": len(multiprocessing.active_children()), "half_files": left}
    found["semaphores"] = Path("/proc/self/maps").read_text().count("/dev/shm/sem.")
    print(json.dumps(found | {"job": number, "files": files, **told_of(told)}), flush=True)


def told_of(told: dict) -> dict:
    """What the batch says of itself."""
    return {"heard": told["files"], "failed": told["failed"]}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
