"""Time and memory against the size of a corpus: the same recordings 1, 4 and 16 times.

    python benchmarks/scaling.py [--clips 128] [--stages read,train] [--threads 1]

The copies of a clip are the same file under other ids. Each stage of each size runs in a process of
its own. Seconds are of the work alone, without imports and preparations; memory is that of the
whole process at its peak, all that is resident and its own part (benchmarks/measuring/memory.py).
"Each" is the own memory that one more utterance costs, from 1x to 16x; "held" says whether both
kinds stay within BAR at 16x. The stage "read" holds every row, and so grows with them. Fewer clips
than a shard of the cache holds (64) would make the shard itself grow.
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

#: Prepares a stage, given a manifest, a folder for its size alone and a number of threads; what it
#: returns is timed.
Stage = Callable[[Path, Path, int], Callable[[], object]]


@dataclass(frozen=True)
class Cost:
    """What a stage took; memory in megabytes."""

    seconds: float
    processor: float
    """Seconds of processor time, which tell more where the machine does other things too."""
    resident: float
    own: float


@dataclass(frozen=True)
class Size:
    """The corpus so many times."""

    times: int
    manifest: Path
    home: Path
    utterances: int
    hours: float


def main(asked: argparse.Namespace) -> int:
    """The exit status; prints a row for each stage and size."""
    if not (CORPORA / CORPUS).is_dir() or not BACKBONE.is_dir():
        print(f"skipped: needs the real speech of {CORPORA} and the backbone beside it")
        return 0
    with tempfile.TemporaryDirectory() as home:
        sizes = list(repeated(Path(home), asked.clips))
        print(f"{machine()}; {asked.threads} of them used; {asked.clips} clips of {CORPUS}")
        print(
            f"{'stage':<10}{'size':>5}{'clips':>7}{'hours':>7}{'s':>8}{'s/hour':>8}{'ratio':>7}"
            f"{'cpu s/hour':>12}{'ratio':>7}{'resident MB':>13}{'ratio':>7}"
            f"{'own MB':>8}{'ratio':>7}{'each kB':>9}  held"
        )
        for stage in asked.stages:
            costs = [measured(stage, size, asked.threads) for size in sizes]
            tell(stage, sizes, costs)
    return 0


def repeated(home: Path, clips: int) -> Iterator[Size]:
    """Manifests of the same clips; ids begin with the copy's number, so that shards are alike."""
    whole = home / f"{CORPUS}.jsonl"
    prepare(CORPUS, CORPORA / CORPUS, whole)
    source = read_manifest(whole)
    chosen = spread(source.utterances, clips)
    seconds = sum(audio_seconds(source.audio_path(one)) for one in chosen)
    for times in TIMES:
        folder = home / f"{times}x"
        rows = (
            one.model_copy(update={"id": f"{copy:02d}/{one.id}"})
            for copy in range(times)
            for one in chosen
        )
        write_manifest(folder / "manifest.jsonl", source.header, rows)
        count = times * len(chosen)
        yield Size(times, folder / "manifest.jsonl", folder, count, times * seconds / 3600)


def measured(stage: str, size: Size, threads: int) -> Cost:
    """What a process of its own says."""
    asked = ["--one", stage, str(size.manifest), str(size.home), str(threads)]
    done = subprocess.run([sys.executable, __file__, *asked], check=True, stdout=subprocess.PIPE)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def one(stage: str, manifest: str, home: str, threads: str) -> int:
    """In that process: run a stage, and print what it took."""
    with PeakMemory() as memory:
        work = STAGES[stage](Path(manifest), Path(home), int(threads))
        began, busy = perf_counter(), process_time()
        kept = work()
        seconds, processor = perf_counter() - began, process_time() - busy
        del kept
    print(json.dumps(asdict(Cost(seconds, processor, memory.resident, memory.own))))
    return 0


def tell(stage: str, sizes: list[Size], costs: list[Cost]) -> None:
    """A row a size, with ratios to the first; the last one says whether memory held."""
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
    """Go through a manifest."""

    def work() -> None:
        deque(stream_manifest(manifest), maxlen=0)

    return work


def read(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Read a manifest and hold it."""
    return lambda: read_manifest(manifest)


def write(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Write a manifest from another."""
    source: ManifestStream = stream_manifest(manifest)
    rows: Iterator[Utterance] = iter(source)
    return lambda: write_manifest(home / "again.jsonl", source.header, rows)


def extract(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """Keep the output of the frozen layers; it stays for the training."""
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
    """One fold for one epoch, from what ``extract`` kept; with its validation, test and files."""
    from phonemo.train.experiments.experiment_data import prepare_experiment
    from phonemo.train.experiments.training_run import run

    settings = config(manifest, home, threads)
    if not (home / "cache").is_dir():
        extract(manifest, home, threads)()
    fold = prepare_experiment(settings).split.folds[0].name
    return lambda: run(settings, "benchmarks/scaling.py", [fold])


def batch(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """``phonemo batch`` with one worker: this process lists, plans and adds up; that one hears."""
    from phonemo.batch.job import BatchOptions, ExecutorOptions
    from phonemo.batch.run import Batch, run_batch
    from phonemo.loader import model_digest

    asked = Batch(
        str(home / "batch"), BatchOptions(model_sha256=model_digest()), ExecutorOptions(workers=1)
    )
    return lambda: run_batch([str(manifest)], asked, "benchmarks/scaling.py")


def hear(manifest: Path, home: Path, threads: int) -> Callable[[], object]:
    """What its worker does, in this process: every part of the plan."""
    from phonemo.batch.inputs import items_of
    from phonemo.batch.job import BatchOptions, PlanSummary
    from phonemo.batch.plan import plan
    from phonemo.batch.stores import open_store
    from phonemo.batch.worker import PartWorker, WorkerSpec
    from phonemo.loader import model_digest

    folder = str(home / "heard")
    planned = plan(open_store(folder), items_of([str(manifest)]), PlanSummary(), 32)
    hearer = PartWorker(WorkerSpec(folder, BatchOptions(model_sha256=model_digest())))

    def work() -> None:
        for part in range(planned.parts):
            hearer.recognize(part)

    return work


def config(manifest: Path, home: Path, threads: int):
    """As configs/emodb.yaml, for one epoch."""
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
    "hear": hear,
}


def names(text: str) -> list[str]:
    """Stages, with commas between."""
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
