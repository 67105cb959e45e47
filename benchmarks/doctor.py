"""Time of phonemo doctor, beside that of phonemo --version.

    python benchmarks/doctor.py [ROUNDS]             default: 7

Seconds of the wall and of the processor; the latter hardly depends on other load on the machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from measuring import interleaved, machine

COMMANDS = {"phonemo doctor": ["doctor", "--json"], "phonemo --version": ["--version"]}


def main(rounds: int) -> int:
    """Print both times; return the exit status."""
    spent: dict[str, list[float]] = {name: [] for name in COMMANDS}

    def run(name: str) -> None:
        before = os.times()
        command = [sys.executable, "-m", "phonemo", *COMMANDS[name]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        user = after.children_user - before.children_user
        spent[name].append(user + after.children_system - before.children_system)

    walls = interleaved({name: lambda name=name: run(name) for name in COMMANDS}, rounds)
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}; median of {rounds} rounds (range)")
    for name, wall in walls.items():
        print(f"  {name:<18} wall {spread(wall)}, processor {spread(spent[name][1:])}")
    return 0


def spread(seconds: list[float]) -> str:
    """Format the median and the range."""
    median = statistics.median(seconds)
    return f"{median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
