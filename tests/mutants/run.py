"""Break modules on purpose and see whether their tests notice: ``make mutants ROOM=metrics``.

Needs cosmic-ray, in an environment of its own. A second run continues the first one: sessions lie
under work/mutants. The exit status is 1 while there are survivors that nobody defends.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event

from tests.mutants.rooms import ROOMS
from tests.mutants.sample import wilson
from tests.mutants.session import ROOT, Mutant, Session

_COLUMNS = ("room", "mutants", "killed", "by time", "survived", "defended", "share killed (95 %)")


def main(words: Sequence[str] | None = None) -> int:
    """Run the rooms, and report survivors and the share of killed mutants."""
    parser = _parser()
    options = parser.parse_args(words)
    rooms = options.rooms or list(ROOMS)
    if unknown := [name for name in rooms if name not in ROOMS]:
        parser.error(f"expected rooms among {', '.join(ROOMS)}, got {', '.join(unknown)}")
    if not options.report:
        _run_all(rooms, options)
    return _report(
        {
            name: Session(name, options.python).results(options.sample, options.seed)
            for name in rooms
        }
    )


def _run_all(rooms: Sequence[str], options: argparse.Namespace) -> None:
    """Run some rooms at a time, each in a thread with a session and a test process of its own."""
    end = time.monotonic() + 60 * options.minutes
    stop = Event()
    with ThreadPoolExecutor(options.workers) as pool:
        runs = [pool.submit(_run, name, options, end, stop) for name in rooms]
        try:
            for run in wait(runs, return_when=FIRST_EXCEPTION).done:
                run.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _run(name: str, options: argparse.Namespace, end: float, stop: Event) -> None:
    """Run a room's mutants until all have run; after ``stop`` nothing new is begun."""
    session = Session(name, options.python)
    if options.again:
        session.forget_survivors()
    for mutant in session.run(options.sample, options.seed, end - time.monotonic()):
        print(f"{name}: {_place(mutant)}: {mutant.outcome}", flush=True)
        if stop.is_set():
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__)
    parser.add_argument("rooms", nargs="*", help=f"{', '.join(ROOMS)}; all of them by default")
    parser.add_argument("--python", default=str(ROOT / ".venv" / "bin" / "python"))
    parser.add_argument("--sample", type=int, default=40, help="mutants for each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="rooms at a time")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin nothing new after that")
    parser.add_argument("--again", action="store_true", help="run survivors again")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser


def _report(found: dict[str, list[Mutant]]) -> int:
    survivors = [one for mutants in found.values() for one in mutants if one.outcome == "survived"]
    for mutant in survivors:
        state = f"defended: {mutant.reason}" if mutant.reason else "survived"
        print(f"\n{_place(mutant)}: {state}\n{mutant.diff.rstrip()}")
    print(f"\n| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}")
    for name, mutants in found.items():
        print(_row(name, mutants))
    if len(found) > 1:
        print(_row("all", [mutant for mutants in found.values() for mutant in mutants]))
    return int(any(mutant.reason is None for mutant in survivors))


def _row(name: str, mutants: Sequence[Mutant]) -> str:
    defended = sum(one.outcome == "survived" and one.reason is not None for one in mutants)
    count = Counter(mutant.outcome for mutant in mutants)
    killed, survived = count["killed"] + count["timeout"], count["survived"] - defended
    low, high = wilson(killed, killed + survived)
    share = f"{killed / (killed + survived):.1%} ({low:.1%} to {high:.1%})" if killed else "-"
    cells = (name, len(mutants), count["killed"], count["timeout"], survived, defended, share)
    return f"| {' | '.join(map(str, cells))} |"


def _place(mutant: Mutant) -> str:
    module, (line, column), _, operator, _ = mutant.mutation
    return f"src/phonemo/{module}:{line}:{column + 1} {operator.removeprefix('core/')}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
