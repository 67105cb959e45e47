"""Run a server and batches for an hour with good and bad requests, and check that nothing grows.

    python benchmarks/soak.py --minutes 60 [--plot soak.png]

A few clients send requests to ``phonemo serve``; they also send damaged audio, playlists and
invalid forms, disconnect early, stall, and occasionally kill a decoder. Meanwhile ``phonemo batch``
runs repeatedly, and one process calls run_batch repeatedly, with some bad files and one that kills
its worker. The processes are measured every few seconds. At intervals the clients pause, and then
descriptors, processes and temporary files must be as many as before. The first sixth is warm-up; of
the rest, the last tenth is compared with the first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from measuring import machine
from soaking.asking import ask
from soaking.batches import Commands, Parent, scratch_folder
from soaking.clips import folder_of
from soaking.flatness import MEMORY_BAR, Curve, curve, line, plotted
from soaking.mix import KINDS, Target
from soaking.processes import held, tree
from soaking.serving import PATIENCE_SECONDS, Client, Outcomes, Server

import phonemo

CLIENTS, LOOK_SECONDS, SETTLE_SECONDS = 3, 3.0, 1.5
COMMAND_PAUSE_SECONDS, PARENT_PAUSE_SECONDS = 10.0, 5.0
KEPT = Path(__file__).resolve().parents[1] / "work" / "soak.json"
#: These fluctuate under load; they are compared while the server is quiet.
COUNTS = ("fds", "processes", "threads", "temporary")
PARENT_COUNTS = ("fds", "threads", "children", "workers", "semaphores", "temporary", "half_files")


def main(args: argparse.Namespace) -> int:
    """Return the exit status: 1 if something grew, or a response was wrong."""
    print(f"{machine()}; {args.minutes:g} minutes; {Path(phonemo.__file__).parent}", flush=True)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a shell's background jobs ignore Ctrl-C by default
        signal.signal(number, signal.default_int_handler)
    with scratch_folder() as folder, Server(Path(folder)) as server:
        soak = Soak(server, Path(folder), args)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                soak.run()
        finally:
            soak.stop()
        server.stop()
        return soak.tell()


def curves(
    looks: list[dict[str, Any]], commands: list[dict[str, Any]], parent: list[dict[str, Any]]
) -> list[Curve]:
    """Curves of the server, the commands and the process of many batches."""
    quiet = [one for one in looks if one["quiet"]]
    plain = [one for one in commands if not one["deadly"]]
    memory = {"share": MEMORY_BAR, "unit": "MB"}
    return [
        curve("server, Pss", looks, "pss", **memory),
        curve("server, anonymous", looks, "anonymous", **memory),
        curve("server without decoders, anonymous", looks, "main", **memory),
        *(curve(f"server, {name}", quiet, name, unit="server, quiet") for name in COUNTS),
        curve("a command's peak, Pss", plain, "pss", **memory),
        *(curve(f"after a command, {name}", commands, name, unit="left by commands")
          for name in ("left", "half_files", "temporary")),
        curve("parent of batches, anonymous", parent, "anonymous", **memory),
        *(curve(f"parent of batches, {name}", parent, name, unit="parent of batches")
          for name in PARENT_COUNTS),
    ]  # fmt: skip


def plot_again(path: str) -> int:
    """Judge and plot the measurements of the last run, which may still go on."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    found = curves(kept["looks"], kept["commands"], kept["parent"])
    for one in found:
        print(line(one.judged(kept["seconds"])))
    return int(not plotted(found, kept["seconds"], path))


class Soak:
    """All parts that run concurrently."""

    def __init__(self, server: Server, home: Path, asked: argparse.Namespace) -> None:
        self.server, self.asked, self.seconds = server, asked, asked.minutes * 60
        self.target = Target(server.port, server.process.pid)
        self.outcomes = Outcomes(asked.loaded)
        self.looks: list[dict[str, Any]] = []
        good, bad = folder_of(home / "recordings", self.target.clips)
        self.commands = Commands(home / "commands", good, bad, COMMAND_PAUSE_SECONDS)
        self.parent = Parent(home / "parent", good, bad, PARENT_PAUSE_SECONDS)
        self.clients = [Client(one, self.target, self.outcomes) for one in range(CLIENTS)]
        self.began = time.monotonic()

    @property
    def at(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def run(self) -> None:
        """Run for the requested time, or until Ctrl-C."""
        for one in (self.commands, self.parent, *self.clients):
            one.start()
        every = min(30.0, max(5.0, self.seconds / 30))
        quiet, minute = every, 60.0
        while self.at < self.seconds and self.server.process.poll() is None:
            if self.at >= quiet:
                self._quiet_look()
                quiet = self.at + every
            self._look(quiet=False)
            if self.at >= minute:
                minute += 60
                self._progress()
            time.sleep(min(LOOK_SECONDS, every / 3))

    def stop(self) -> None:
        """Stop the clients, then the batches."""
        self.seconds = min(self.seconds, self.at)
        for one in self.clients:
            one.over.set()
        for one in self.clients:
            one.join(PATIENCE_SECONDS)
        for one in (self.commands, self.parent):
            one.over.set()
        for one in (self.commands, self.parent):
            one.stop()

    def _look(self, quiet: bool) -> None:
        pid = self.server.process.pid
        look = held(tree(pid), self.server.temporary) | {"at": round(self.at, 2), "quiet": quiet}
        look["main"] = held([pid], self.server.temporary)["anonymous"]
        self.looks.append(look)

    def _quiet_look(self) -> None:
        """Measure while the clients pause and the server is idle."""
        with contextlib.ExitStack() as turns:
            for one in self.clients:
                turns.enter_context(one.turn)
            if not self._is_idle():
                self.server.faults.append("work stayed in flight without clients")
            time.sleep(SETTLE_SECONDS)
            self._look(quiet=True)

    def _is_idle(self) -> bool:
        """Wait until nothing is in flight; return whether that happened."""
        until = time.monotonic() + PATIENCE_SECONDS
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                if b"phonemo_in_flight 0.0" in ask(self.server.port, "/metrics")[1]:
                    return True
                time.sleep(0.2)
        return False

    def _progress(self) -> None:
        last = self.looks[-1]
        shown = " ".join(f"{name} {last[name]:.0f}" for name in ("pss", "anonymous", *COUNTS))
        asked = f"{self.outcomes.total} requests, {len(self.outcomes.odd)} odd"
        batches = f"{len(self.commands.told)} commands, {len(self.parent.told)} run_batch"
        print(f"{self.at / 60:5.1f} min: {asked}; {batches}; server: {shown}", flush=True)
        self._keep({})

    def curves(self) -> list[Curve]:
        """The curves that must be flat."""
        return curves(self.looks, self.commands.told, self.parent.told)

    def faults(self) -> list[str]:
        """All faults other than growth."""
        answers = (*self.target.answers.others, *self.commands.answers.others)
        found = [f"response differs from the first: {one}" for one in answers]
        found += [f"odd: {one}" for one in self.outcomes.odd]
        for part in (self.server, self.commands, self.parent):
            found += [f"{type(part).__name__}: {one}" for one in part.faults]
        return found

    def tell(self) -> int:
        """Print and store everything; return the exit status."""
        curves, faults = self.curves(), self.faults()
        judged = [one.judged(self.seconds) for one in curves]
        self._keep({"judged": judged, "faults": faults})
        self._tell_requests()
        print(f"after a warm-up of {self.seconds / 360:.1f} minutes, medians of each tenth")
        for one in judged:
            print(line(one))
        print(f"faults: {len(faults) or 'none'}", *faults, sep="\n  ")
        if self.asked.plot and plotted(curves, self.seconds, self.asked.plot):
            print(f"plotted: {self.asked.plot}")
        return int(bool(faults) or any(one["flat"] is False for one in judged))

    def _tell_requests(self) -> None:
        print(f"{self.outcomes.total} requests in {self.seconds / 60:.1f} minutes")
        told = self.outcomes.counts()
        for name in (kind.__name__ for kind, *_ in KINDS):
            ends = [f"{how}: {count}" for kind, how, count in told if kind == name]
            print(f"  {name:<16}{', '.join(ends)}")
        for name, one in (("server", self.target.answers), ("batch", self.commands.answers)):
            print(f"  answers of the {name}: {one.compared} compared with the first to the same "
                  f"question, at most {one.worst:.5f} apart, {len(one.others)} differ")  # fmt: skip
        killed = sum(one["deadly"] for one in self.commands.told)
        print(f"{len(self.commands.told)} commands, {killed} of them with a file that kills; "
              f"{len(self.parent.told)} times run_batch in one process")  # fmt: skip

    def _keep(self, more: dict[str, Any]) -> None:
        KEPT.parent.mkdir(exist_ok=True)
        kept = {"seconds": self.at, "machine": machine(), "requests": self.outcomes.counts()}
        kept["odd"] = self.outcomes.odd
        kept |= {"looks": self.looks, "commands": self.commands.told, "parent": self.parent.told}
        KEPT.write_text(json.dumps(kept | more), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument(
        "--loaded", action="store_true", help="other programs run: refusals as busy are right"
    )
    parser.add_argument("--plot", help="a PNG; needs matplotlib")
    parser.add_argument(
        "--again", action="store_true", help="only plot the last run's measurements"
    )
    args = parser.parse_args()
    sys.exit(plot_again(args.plot or "soak.png") if args.again else main(args))
