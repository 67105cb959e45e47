"""Measure what the simulation starts from, on this machine.

Processor time is taken wherever a step computes, since other programs inflate the time by the
clock; where a step waits for the disk, the median by the clock. The runs of the whole command, with
which the simulation is compared, are by the clock: the fastest of several rounds.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from measuring import machine
from measuring.recordings import recordings

from phonemo.audio import audio_seconds
from phonemo.batch.adaptation import vectors_of_item
from phonemo.batch.inputs import items_of
from phonemo.batch.job import BatchOptions, PlanSummary
from phonemo.batch.plan import plan
from phonemo.batch.stores import open_store
from phonemo.batch.worker import PartWorker, WorkerSpec
from phonemo.loader import model_digest
from phonemo.runtime.workers import WorkerPool
from scaling_model.simulation import Job, Times

LONG_SECONDS = 120.0
_PLANNED = 20_000
_POOL_JOBS = 400
_START = (
    "from phonemo.batch.worker import open_recognizer\n"
    "from phonemo.batch.job import BatchOptions\n"
    "open_recognizer(BatchOptions(model_sha256={digest!r}))\n"
)


@dataclass(frozen=True)
class MeasuredRun:
    """The whole command with some workers."""

    workers: int
    seconds: float
    """By the clock, the fastest round."""
    slowest: float
    processor: float
    """Processor seconds of the command and its workers, the lowest round."""


@dataclass(frozen=True)
class Measured:
    """The content of the JSON file."""

    machine: str
    load: float
    """Of the machine during the measurement, as a mean over a minute."""
    times: Times
    lengths: tuple[float, ...]
    """Seconds of the clips, in the order of the measured runs."""
    part_files: int
    megabytes: float
    """Of FLAC per hour of audio."""
    runs: tuple[MeasuredRun, ...]

    def save(self, path: Path) -> None:
        """Write it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load_file(cls, path: Path) -> Measured:
        """Read it."""
        data = json.loads(path.read_text(encoding="utf-8"))
        times, runs = Times(**data.pop("times")), [MeasuredRun(**one) for one in data.pop("runs")]
        return cls(times=times, runs=tuple(runs), lengths=tuple(data.pop("lengths")), **data)


def measured_job(found: Measured) -> Job:
    """The batch of the measured runs."""
    lengths, parts = tuple(found.lengths), found.part_files
    hours = sum(lengths) / 3600
    return Job("measured", hours, parts, found.megabytes, lengths, exact=True)


def measure(clips: int, part_files: int, rounds: int) -> Measured:
    """All of it, in some minutes."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        short, long = recordings(folder, clips, LONG_SECONDS, long_count=2)
        _note("recognizing")
        worker = _worker_times(folder, short, part_files)
        long_cost = _long_cost(folder, long, worker["each"])
        _note("starting, planning and publishing")
        start = _start_seconds()
        one = _command(folder, short[:1], 1, 1)
        command = one.processor - start - worker["each"] - worker["short"] * _length(short[0])
        lengths = tuple(_length(path) for path in short)
        times = Times(
            command=max(0.1, command),
            start=start,
            plan=_plan_seconds(folder),
            parent=_parent_seconds(),
            publish=worker["publish"],
            each=worker["each"],
            short=worker["short"],
            long=long_cost,
            vectors=_vectors_cost(short),
            neighbor=_neighbor(folder, short, part_files, rounds),
            noise=worker["noise"],
        )
        _note("whole commands")
        runs = tuple(_runs(folder, short, part_files, rounds))
        size = sum(path.stat().st_size for path in short) / 1e6
    return Measured(
        machine(), round(max(load, os.getloadavg()[0]), 1), times, lengths, part_files,
        round(size / (sum(lengths) / 3600), 1), runs,
    )  # fmt: skip


def _note(text: str) -> None:
    print(f"  measuring: {text}", file=sys.stderr, flush=True)


def _length(path: Path) -> float:
    seconds = audio_seconds(path)
    return float(seconds or 0.0)


# A worker -----------------------------------------------------------------------------------------


def _worker_times(folder: Path, files: Sequence[Path], part_files: int) -> dict[str, float]:
    """Cost of a recording and a second, a part's publishing, and the noise of parts."""
    costs, publishing = _work(folder / "alone", files, part_files)
    lengths = np.array([_length(path) for path in files])
    design = np.stack([np.ones_like(lengths), lengths], axis=1)
    each, second = np.linalg.lstsq(design, np.array(costs), rcond=None)[0]
    if each < 0:  # what a recording costs beside its seconds cannot be told from nothing
        each, second = 0.0, sum(costs) / float(lengths.sum())
    parts = [slice(first, first + part_files) for first in range(0, len(files), part_files)]
    ratios = [
        math.log(sum(costs[part]) / float(each * len(lengths[part]) + second * lengths[part].sum()))
        for part in parts
    ]
    return {
        "each": float(each),
        "short": float(second),
        "publish": statistics.median(publishing),
        "noise": statistics.stdev(ratios) if len(ratios) > 1 else 0.0,
    }


def _work(folder: Path, files: Sequence[Path], part_files: int) -> tuple[list[float], list[float]]:
    """Processor seconds of each recording, and seconds from a part's last recording to its end."""
    store = open_store(str(folder))
    items = items_of([str(path) for path in files])
    planned = plan(store, items, PlanSummary(), part_files)
    marks = list[float]()
    options = BatchOptions(model_sha256=model_digest(None))
    worker = PartWorker(WorkerSpec(str(folder), options), lambda: marks.append(process_time()))
    worker.recognize(0)  # the first recordings also warm the network up
    costs, publishing = list[float](), list[float]()
    for part in range(planned.parts):
        marks[:] = [process_time()]
        ticks = len(marks)
        worker.recognize(part)
        costs += [after - before for before, after in pairwise(marks)]
        publishing.append(process_time() - marks[-1] + _disk_seconds(store) * (ticks == 1))
    return costs, publishing


def _disk_seconds(store: Any) -> float:
    """Seconds that the three small files of a part wait for the disk; by the clock."""
    began, busy = perf_counter(), process_time()
    for name in ("tally/probe.json", "begun/probe", "parts/probe.jsonl"):
        store.write(name, "probe\n")
    waited = perf_counter() - began - (process_time() - busy)
    for name in ("tally/probe.json", "begun/probe", "parts/probe.jsonl"):
        store.remove(name)
    return max(0.0, waited)


def _long_cost(folder: Path, files: Sequence[Path], each: float) -> float:
    costs, _ = _work(folder / "long", files, len(files))
    return (sum(costs) - each * len(files)) / (LONG_SECONDS * len(files))


def _vectors_cost(files: Sequence[Path]) -> float:
    """Processor seconds per second of audio in the first pass."""
    from phonemo.loader import load_model

    recognizer = load_model(threads=1)
    items = list(items_of([str(path) for path in files[:40]]))
    vectors_of_item(recognizer, items[0])
    began = process_time()
    for item in items:
        vectors_of_item(recognizer, item)
    return (process_time() - began) / sum(_length(path) for path in files[:40])


def _neighbor(folder: Path, files: Sequence[Path], part_files: int, rounds: int) -> float:
    """Processor time beside another worker against alone: caches and memory are shared."""
    chosen, ratios = list(files[: 4 * part_files]), list[float]()
    context = get_context("spawn")
    for number in range(rounds):
        places = [folder / f"pair-{number}-{side}" for side in "abc"]
        with context.Pool(2) as pool:
            alone = pool.apply(_total, (places[0], chosen, part_files))
            pair = [pool.apply_async(_total, (one, chosen, part_files)) for one in places[1:]]
            ratios.append(statistics.fmean(one.get() for one in pair) / alone)
    return max(1.0, statistics.median(ratios))


def _total(folder: Path, files: Sequence[Path], part_files: int) -> float:
    return sum(_work(folder, files, part_files)[0])


# The parent, and the whole command ----------------------------------------------------------------


def _start_seconds() -> float:
    code = _START.format(digest=model_digest(None))
    return min(_processor(lambda: _run([sys.executable, "-c", code])) for _ in range(5))


def _plan_seconds(folder: Path) -> float:
    list_file = folder / "many.txt"
    list_file.write_text("".join(f"/data/{n % 97}/{n:09d}.flac\n" for n in range(_PLANNED)))
    began = process_time()
    plan(open_store(str(folder / "planned")), items_of([str(list_file)]), PlanSummary(), 100)
    return (process_time() - began) / _PLANNED


def _parent_seconds() -> float:
    """Processor seconds of the parent for a job of its pool."""
    with WorkerPool(abs, 2, None, ()) as pool:
        pool.start()
        began = process_time()
        for _ in pool.completed(range(_POOL_JOBS), 1.0):
            pass
        return (process_time() - began) / _POOL_JOBS


def _runs(
    folder: Path, files: Sequence[Path], part_files: int, rounds: int
) -> Iterator[MeasuredRun]:
    found: dict[int, list[MeasuredRun]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers in found:
            found[workers].append(_command(folder, files, workers, part_files))
    for workers, runs in found.items():
        seconds = [one.seconds for one in runs]
        processor = min(one.processor for one in runs)
        yield MeasuredRun(workers, min(seconds), max(seconds), processor)


def _command(folder: Path, files: Sequence[Path], workers: int, part_files: int) -> MeasuredRun:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        list_file = Path(place) / "list.txt"
        list_file.write_text("".join(f"{path}\n" for path in files), encoding="utf-8")
        words = ["batch", str(list_file), "-o", str(Path(place) / "out"), "-q"]
        words += ["-j", str(workers), "--part-files", str(part_files)]
        began = perf_counter()
        busy = _processor(lambda: _run([sys.executable, "-m", "phonemo", *words]))
        seconds = perf_counter() - began
    return MeasuredRun(workers, seconds, seconds, busy)


def _run(words: Sequence[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def _processor(work: Callable[[], None]) -> float:
    """Processor seconds of the processes that are started and ended meanwhile."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
