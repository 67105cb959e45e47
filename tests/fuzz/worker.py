"""One target in a process: python -m tests.fuzz.worker ENGINE TARGET FOLDER SECONDS SEED.

atheris is libFuzzer with an eye on which lines of phonemo ran; where it has no wheel, hypothesis
draws changed seeds. Both go on after a fault, which is noted (see findings), not raised.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.findings import Findings, bounded
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import Target, spelled, target_of

SEEDS, CRASHES = (Path(__file__).resolve().parent / name for name in ("corpus", "crashes"))
#: After so many by the clock an execution hangs. It is libFuzzer who watches: it needs no Python.
SECONDS, MEMORY = 60, 2 * 2**30
_PACKAGES = ["phonemo", "yaml", "starlette", "python_multipart"]
_ROUND = 500
_OURS = 0.2
#: Below a target's folder: what earlier runs found.
BEFORE = "before"


def seeds_of(name: str) -> list[Path]:
    """The files that a target starts from: its seeds, and what once failed."""
    folders = [folder / name for folder in (SEEDS, CRASHES)]
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def by_atheris(name: str, target: Target, folder: Path, seconds: int, seed: int) -> None:
    """libFuzzer's main loop, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=_PACKAGES):
        run = target.load()
    for part in ("grown", "artifacts"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    options = _options(target, folder) | {"max_total_time": seconds, "seed": seed}
    places = [folder / "grown", SEEDS / name, CRASHES / name, folder / BEFORE]
    line = [f"-{key}={value}" for key, value in options.items()]
    line += [str(one) for one in places if one.is_dir()]
    _limit_memory()
    noted = Findings(run, folder / "findings")
    atheris.Setup([sys.argv[0], *line], noted, custom_mutator=_mutator(name, target, atheris))
    atheris.Fuzz()


def _options(target: Target, folder: Path) -> dict[str, Any]:
    """libFuzzer's, but for the time."""
    words = folder / "words.txt"
    words.write_text("".join(f"{_quoted(one)}\n" for one in target.words), "ascii")
    return {
        "max_len": target.max_len,
        "timeout": SECONDS,
        "report_slow_units": SECONDS,
        "rss_limit_mb": 2048,
        "artifact_prefix": f"{folder / 'artifacts'}/",
        "print_final_stats": 1,
        "close_fd_mask": 2,  # libmpg123 complains there
        **({"dict": words} if target.words else {}),
    }


def _mutator(name: str, target: Target, atheris: Any) -> Callable[[bytes, int, int], bytes]:
    """libFuzzer's changes, and now and then ours, whose words may be long."""
    seeds = [path.read_bytes() for path in seeds_of(name)]

    def change(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < _OURS:
            return mutated(data, seeds, target.words, random)[:most]
        return bytes(atheris.Mutate(data, most))

    return change


def by_hypothesis(name: str, target: Target, folder: Path, seconds: int, seed: int) -> None:
    """Rounds of drawn inputs until the time is over; says how many there were."""
    noted = Findings(_watched(target.load()), folder / "findings")
    earlier = sorted((folder / BEFORE).glob("*"))
    seeds = [path.read_bytes() for path in (*seeds_of(name), *earlier)] or [b""]
    end, count = time.monotonic() + seconds, 0
    for data in seeds:
        noted(data)
        count += 1
    while time.monotonic() < end:
        count += _round(noted, target, seeds, seed + count, end)
        sys.stdout.write(f"executions {count}\n")
        sys.stdout.flush()


def _round(noted: Findings, target: Target, seeds: list[bytes], seed: int, end: float) -> int:
    import hypothesis
    from hypothesis import strategies

    random = strategies.randoms(use_true_random=False)
    changed = strategies.builds(
        lambda data, drawn: mutated(data, seeds, target.words, Random(drawn.getrandbits(64))),
        strategies.sampled_from(seeds),
        random,
    )
    runs = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=_ROUND, deadline=None, database=None, phases=[hypothesis.Phase.generate]
    )
    @hypothesis.given(strategies.one_of(changed, changed, strategies.binary(max_size=200)))
    def one(data: bytes) -> None:
        nonlocal runs
        if time.monotonic() < end:
            runs += 1
            noted(data[: target.max_len])

    one()
    return runs


def _watched(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def watched(data: bytes) -> None:
        with bounded(SECONDS, MEMORY):
            run(data)

    return watched


def _limit_memory() -> None:
    """As bounded does, once for all: an array that is too large is then a MemoryError."""
    import resource

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _quoted(word: str) -> str:
    """A word as libFuzzer's dictionaries have it, which are short."""
    return '"' + "".join(f"\\x{one:02x}" for one in spelled(word)[:60]) + '"'


def main() -> None:
    """Run until the time is over."""
    engine, name, folder, seconds, seed = sys.argv[1:]
    warnings.simplefilter("error")
    run = by_atheris if engine == "atheris" else by_hypothesis
    run(name, target_of(name), Path(folder), int(seconds), int(seed))


if __name__ == "__main__":
    main()
