"""Time and memory by corpus size: the same recordings 1, 4 and 16 times.

    python benchmarks/scaling.py [--clips 128] [--stages read,train] [--threads 1]

The copies of a clip are the same file under other ids. Each stage and size runs in a separate
process. Seconds exclude imports and preparation; memory is the peak of the whole process, resident
and its anonymous part (benchmarks/measuring/memory.py). "Each" is the anonymous memory per
additional utterance, from 1x to 16x; "held" tells whether both kinds stay within BAR at 16x. The
stage "read" keeps every row, so its memory grows with them. With fewer clips than a cache shard
holds (64), the shard itself would grow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time

from measuring import CORPORA, machine, spread
from measuring.memory import PeakMemory

from phonemo.audio import audio_seconds
from phonemo.corpora.manifest import (
    ManifestStream,
    Utterance,
    read_manifest,
    stream_manifest,
    write_manifest,
)
from phonemo.corpora.prepare import prepare

CORPUS = "emodb"
BACKBONE = CORPORA.parent / "backbone"
TIMES = (1, 4, 16)
BAR = 0.2
LABELS = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")

#: (manifest, folder of this size, threads) -> the function that is timed.
Stage = Callable[[Path, Path, int], Callable[[], object]]


@dataclass(frozen=True)
class Cost:
    """Time and memory of a stage; memory in megabytes."""

    seconds: float
    processor: float
    """CPU seconds, less affected by other load on the machine."""
    resident: float
    own: float


@dataclass(frozen=True)
class Size:
    """The corpus repeated a number of times."""

    times: int
    manifest: Path
    home: Path
    utterances: int
    hours: float


def main(args: argparse.Namespace) -> int:
    """Print a row for each stage and size; return the exit status."""
    if not (CORPORA / CORPUS).is_dir() or not BACKBONE.is_dir():
        print(f"skipped: needs the real speech of {CORPORA} and the backbone beside it")
        return 0
    with tempfile.TemporaryDirectory() as home:
        sizes = list(repeated(Path(home), args.clips))
        print(f"{machine()}; {args.threads} of them used; {args.clips} clips of {CORPUS}")
        print(
            f"{'stage':<10}{'size':>5}{'clips':>7}{'hours':>7}{'s':>8}{'s/hour':>8}{'ratio':>7}"
            f"{'cpu s/hour':>12}{'ratio':>7}{'resident MB':>13}{'ratio':>7}"
            f"{'own MB':>8}{'ratio':>7}{'each kB':>9}  held"
        )
        for stage in args.stages:
            costs = [measured(stage, size, args.threads) for size in sizes]
            print_rows(stage, sizes, costs)
    return 0


def repeated(home: Path, clips: int) -> Iterator[Size]:
    """Write manifests of repeated clips; ids start with the copy's number, so shards are alike."""
    whole = home / f"{CORPUS}.jsonl"
    prepare(CORPUS, CORPORA / CORPUS, whole)
    source = read_manifest(whole)
    chosen = spread(source.utterances, clips)
    seconds = sum(audio_seconds(source.audio_path(row)) for row in chosen)
    for times in TIMES:
        folder = home / f"{times}x"
        rows = (
            row.model_copy(update={"id": f"{copy:02d}/{row.id}"})
            for copy in range(times)
            for row in chosen
        )
        write_manifest(folder / "manifest.jsonl", source.header, rows)
        count = times * len(chosen)
        yield Size(times, folder / "manifest.jsonl", folder, count, times * seconds / 3600)


def measured(stage: str, size: Size, threads: int) -> Cost:
    """Measure a stage in a separate process."""
    words = ["--one", stage, str(size.manifest), str(size.home), str(threads)]
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def one(stage: str, manifest: str, home: str, threads: str) -> int:
    """Run a stage in this process and print its cost."""
    with PeakMemory() as memory:
        work = STAGES[stage](Path(manifest), Path(home), int(threads))
        began, busy = perf_counter(), process_time()
        kept = work()
        seconds, processor = perf_counter() - began, process_time() - busy
        del kept
    print(json.dumps(asdict(Cost(seconds, processor, memory.resident, memory.own))))
    return 0


def print_rows(stage: str, sizes: list[Size], costs: list[Cost]) -> None:
    """Print a row per size, with ratios to the first; the last tells whether memory held."""
    first, hours = costs[0], sizes[0].hours
    for size, cost in zip(sizes, costs, strict=True):
        row = (
            f"{stage:<10}{size.times:>4}x{size.utterances:>7}{size.hours:>7.2f}{cost.seconds:>8.2f}"
            f"{cost.seconds / size.hours:>8.2f}"
            f"{cost.seconds / size.hours / (first.seconds / hours):>7.2f}"
            f"{cost.processor / size.hours:>12.2f}"
            f"{cost.processor / size.hours / (first.processor / hours):>7.2f}"
            f"{cost.resident:>13.0f}{cost.resident / first.resident:>7.2f}"
            f"{cost.own:>8.0f}{cost.own / first.own:>7.2f}"
        )
        if size.times == TIMES[-1]:
            each = (cost.own - first.own) / (size.utterances - sizes[0].utterances)
            held = max(cost.resident / first.resident, cost.own / first.own) <= 1 + BAR
            row += f"{each * 1e3:>9.2f}  {'yes' if held else 'NO'}"
        print(row, flush=True)


def stream(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Iterate over a manifest."""

    def work() -> None:
        deque(stream_manifest(manifest), maxlen=0)

    return work


def read(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Read a manifest and keep it."""
    return lambda: read_manifest(manifest)


def write(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Write a manifest from another."""
    source: ManifestStream = stream_manifest(manifest)
    rows: Iterator[Utterance] = iter(source)
    return lambda: write_manifest(home / "again.jsonl", source.header, rows)


def extract(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Cache the output of the frozen layers, also for training."""
    import torch

    from phonemo.model.pretrained import build_network
    from phonemo.train.experiments.experiment_data import prepare_experiment
    from phonemo.train.feature_cache import build_cache
    from phonemo.train.freezing import frozen_depth

    torch.set_num_threads(threads)
    experiment = prepare_experiment(config(manifest, home, threads))
    inventory = experiment.targets.inventory
    symbols = None if inventory is None else inventory.to_json()
    model = build_network(experiment.config.model, experiment.targets.labels, symbols)
    where = frozen_depth(model, experiment.config.train)
    utterances = list(experiment.utterances.values())
    return lambda: build_cache(home / "cache", model, experiment.manifest, utterances, where)


def train(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Train one fold for one epoch from the cache, with validation, test and files."""
    from phonemo.train.experiments.experiment_data import prepare_experiment
    from phonemo.train.experiments.training_run import run

    settings = config(manifest, home, threads)
    if not (home / "cache").is_dir():
        extract(manifest, home, threads)()
    fold = prepare_experiment(settings).split.folds[0].name
    return lambda: run(settings, "benchmarks/scaling.py", [fold])


def batch(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Run ``phonemo batch`` with one worker: this process lists, plans and sums up."""
    from phonemo.batch.job import BatchOptions, ExecutorOptions
    from phonemo.batch.run import Batch, run_batch
    from phonemo.loader import model_digest

    request = Batch(
        str(home / "batch"), BatchOptions(model_sha256=model_digest()), ExecutorOptions(workers=1)
    )
    return lambda: run_batch([str(manifest)], request, "benchmarks/scaling.py")


def recognize(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Run the worker's part in this process: every part of the plan."""
    from phonemo.batch.inputs import items_of
    from phonemo.batch.job import BatchOptions, PlanSummary
    from phonemo.batch.plan import plan
    from phonemo.batch.stores import open_store
    from phonemo.batch.worker import PartWorker, WorkerSpec
    from phonemo.loader import model_digest

    folder = str(home / "recognized")
    planned = plan(open_store(folder), items_of([str(manifest)]), PlanSummary(), 32)
    worker = PartWorker(WorkerSpec(folder, BatchOptions(model_sha256=model_digest())))

    def work() -> None:
        for part in range(planned.parts):
            worker.recognize(part)

    return work


def config(manifest: Path, home: Path, threads: int):
    """Build the config of configs/emodb.yaml for one epoch."""
    from phonemo.config import RunConfig

    return RunConfig.model_validate(
        {
            "name": "scaling",
            "manifest": str(manifest),
            "output": str(home / "run"),
            "labels": {"names": LABELS},
            "protocol": {"name": "speaker", "validation_units": 2},
            "model": {
                "backbone": str(BACKBONE),
                "layers": 3,
                "pooling": "attentive_statistics",
                "auxiliary": {"inventory": "phonemes", "alphabet": "ipa"},
            },
            "train": {"strategy": "frozen", "epochs": 1, "batch_size": 8},
            "threads": threads,
        }
    )


STAGES: dict[str, Stage] = {
    "stream": stream,
    "read": read,
    "write": write,
    "extract": extract,
    "train": train,
    "batch": batch,
    "recognize": recognize,
}


def names(text: str) -> list[str]:
    """Parse stages separated by commas."""
    unknown = set(text.split(",")) - set(STAGES)
    if unknown:
        raise argparse.ArgumentTypeError(f"no stage {min(unknown)!r}; stages: {', '.join(STAGES)}")
    return text.split(",")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.exit(one(*sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--stages", type=names, default=list(STAGES))
    parser.add_argument("--threads", type=int, default=1)
    sys.exit(main(parser.parse_args()))
