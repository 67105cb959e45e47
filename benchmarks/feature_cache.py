"""Time saved by caching frozen layers in an ablation: arms of the paper with and without cache.

    python benchmarks/feature_cache.py [ABLATION.yaml [ARM...]]    default: some of paper.yaml

Trains and tests one fold, one seed and one epoch of each arm, alternating with and without cache,
REPEATS times each, after a first round that fills the cache and is timed separately. Times are for
one process with one thread.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from phonemo.config import RunConfig
from phonemo.errors import PhonemoError
from phonemo.train.experiments.ablation_config import arm_config, load_ablation_config
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run

ABLATION = Path("configs/ablations/paper.yaml")
ARMS = ("multi-task", "top-2", "transformer")
REPEATS = 3
EPOCHS = 1


def main(path: Path, arms: Sequence[str]) -> int:
    """Print one line per arm; return the exit status."""
    ablation = load_ablation_config(path)
    if not Path(arm_config(ablation, arms[0]).manifest).is_file():
        print(f"{path}: its manifest is missing; prepare the corpus first (docs/data.md)")
        return 0
    print(f"{'arm':<16}{'filling':>9}{'with':>8}{'without':>9}   without / with (spread)")
    with tempfile.TemporaryDirectory() as folder:
        for arm in arms:
            print_arm(arm, measure(ablation, arm, Path(folder)))
    return 0


def measure(ablation, arm: str, folder: Path) -> tuple[float, list[float], list[float]]:
    """Measure seconds of filling the cache, and with and without it, alternating."""
    changes = {"train.epochs": EPOCHS, "train.patience": EPOCHS, "seeds": [1], "threads": 1}
    configs = {
        cached: arm_config(ablation, arm, changes | {"train.cache": cached}).model_copy(
            update={"output": str(folder / f"{arm}-{cached}")}
        )
        for cached in (True, False)
    }
    fold = prepare_experiment(configs[True]).split.folds[0].name
    first = seconds(configs[True], fold)
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(REPEATS):
        for cached in (True, False) if number % 2 == 0 else (False, True):
            times[cached].append(seconds(configs[cached], fold))
    return first - statistics.median(times[True]), times[True], times[False]


def seconds(config: RunConfig, fold: str) -> float:
    """Time one fold and seed from an empty run folder, next to the cache."""
    shutil.rmtree(config.output, ignore_errors=True)
    began = time.perf_counter()
    run(config, "benchmarks/feature_cache.py", [fold])
    return time.perf_counter() - began


def print_arm(arm: str, times: tuple[float, list[float], list[float]]) -> None:
    """Print seconds, and the ratios of the pairs."""
    filling, cached, computed = times
    ratios = sorted(slow / quick for quick, slow in zip(cached, computed, strict=True))
    middle = [statistics.median(values) for values in (cached, computed, ratios)]
    print(
        f"{arm:<16}{filling:>9.1f}{middle[0]:>8.1f}{middle[1]:>9.1f}   {middle[2]:.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


if __name__ == "__main__":
    try:
        given = sys.argv[1:]
        sys.exit(main(Path(given[0]) if given else ABLATION, given[1:] or ARMS))
    except PhonemoError as error:
        sys.exit(f"{error}")
