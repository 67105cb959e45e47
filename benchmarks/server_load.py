"""Overload the server: 200 clients for a minute with a queue of 16.

    python benchmarks/server_load.py [--clients 200] [--seconds 60] [--impatient]
    python benchmarks/server_load.py --source OLD/src --source src --rounds 3    # trees in turn

Each client sends 3 s clips one after the other. After a 429 it waits for Retry-After, or with
--impatient not at all. The clients are one process; a second one requests /health/live twenty times
a second; the server and its decoders are a third. All share this machine's CPUs. Before and after,
predict_many processes the same bytes in one process. "Processor" is time of all processors for one
clip that was recognized, refusals and probes included: it depends less on other programs than the
clips per second do.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
from measuring import machine, real_clips
from measuring.http import Connection, get, post_file

from phonemo.audio import RATE

CLIPS, SECONDS = 24, 3.0
PROBE_SECONDS, LIBRARY_SECONDS = 0.05, 20.0


def main(args: argparse.Namespace) -> int:
    """Print the results of each source tree, in turn; return the exit status."""
    clips = [encoded(clip) for clip in real_clips(CLIPS, SECONDS)]
    print(f"{machine()}; {args.clients} clients for {args.seconds:g} s, clips of {SECONDS:g} s")
    sources = args.source or [""]
    for number in range(args.rounds):
        for source in sources[:: -1 if number % 2 else 1]:
            print(f"round {number + 1}{source and ', ' + source}")
            measure(args, clips, source)
    return 0


def measure(args: argparse.Namespace, clips: list[bytes], source: str) -> None:
    """Print the results of one run of one source tree."""
    before = library(clips, source)
    with Server(source) as server:
        idle, began = server.megabytes(), server.processor_seconds()
        load = start("load", server.port, args)
        probe = start("probe", server.port, args)
        memory = server.watch(args.seconds)
        results, delays = json.loads(load.communicate()[0]), json.loads(probe.communicate()[0])
        spent = server.processor_seconds() - began
    after = library(clips, source)
    print_results(results, delays, args.seconds, (before.rate, after.rate))
    print_processor(spent, results, delays, before, after)
    print(f"  memory of the server and its decoders, MB: idle {idle:.0f}, at each tenth of the run")
    print("    " + " ".join(f"{value:.0f}" for value in memory))


def print_processor(
    server: float, results: dict, delays: dict, before: Library, after: Library
) -> None:
    """Print processor time for a recognized clip, of each program."""
    count = max(1, results["statuses"].get("200", 0))
    served = 1000 * server / count
    sent = 1000 * (results["processor"] + delays["processor"]) / count
    alone = (before.milliseconds + after.milliseconds) / 2
    print(f"  processor, ms a clip: server {served:.1f}, clients {sent:.1f}, library {alone:.1f}; "
          f"library / server {alone / served:.2f}, with clients "
          f"{alone / (served + sent):.2f}")  # fmt: skip


def print_results(
    results: dict, delays: dict, seconds: float, library: tuple[float, float]
) -> None:
    """Print statuses, delays and throughput."""
    print(f"  statuses {results['statuses']}; errors of connections {results['broken']}")
    answered = results["statuses"].get("200", 0) / seconds
    for name, values in (("200", results["answered"]), ("429", results["refused"])):
        print(f"  {name:<14}{quantiles(values)}")
    print(f"  /health/live  {quantiles(delays['delays'])}; statuses {delays['statuses']}")
    mean = sum(library) / 2
    print(f"  server {answered:.1f} clips a second; library {library[0]:.1f} before, "
          f"{library[1]:.1f} after; ratio {answered / mean:.2f}")  # fmt: skip


def quantiles(values: list[float]) -> str:
    """Format quantiles in milliseconds."""
    if not values:
        return "none"
    marks = np.quantile(values, [0.5, 0.95, 0.99, 1]) * 1000
    names = ("p50", "p95", "p99", "max")
    text = ", ".join(f"{name} {value:.1f}" for name, value in zip(names, marks, strict=True))
    return f"{len(values)} times, ms: {text}"


def encoded(samples: np.ndarray) -> bytes:
    """Encode as FLAC."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


@dataclass(frozen=True)
class Library:
    """How fast predict_many is."""

    rate: float
    """Clips per second."""
    milliseconds: float
    """Processor time of a clip."""


def library(clips: list[bytes], source: str) -> Library:
    """Measure predict_many on the same bytes, in a separate process."""
    code = (
        "import sys, time, itertools, phonemo\n"
        "clips = [sys.stdin.buffer.read(int(size)) for size in sys.argv[2:]]\n"
        "model = phonemo.load()\n"
        "list(model.predict_many(clips))\n"
        "began, spent, count = time.perf_counter(), time.process_time(), 0\n"
        "for _ in model.predict_many(itertools.cycle(clips)):\n"
        "    count += 1\n"
        "    if time.perf_counter() - began > float(sys.argv[1]): break\n"
        "print(count / (time.perf_counter() - began))\n"
        "print(1000 * (time.process_time() - spent) / count)\n"
    )
    sizes = [str(len(clip)) for clip in clips]
    command = [sys.executable, "-c", code, str(LIBRARY_SECONDS), *sizes]
    result = subprocess.run(
        command, input=b"".join(clips), capture_output=True, check=True, env=with_source(source)
    )
    return Library(*map(float, result.stdout.split()))


def with_source(source: str) -> dict[str, str]:
    """The environment for a source tree; the present one for none."""
    return os.environ | ({"PYTHONPATH": str(Path(source).resolve())} if source else {})


class Server:
    """phonemo serve on a free port."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", "phonemo", "serve", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--set", "limits.queue=16"],
            stderr=subprocess.PIPE,
            text=True,
            env=with_source(self._source),
        )
        while "warming up" in (line := self._process.stderr.readline()):
            continue
        self.port = int(re.search(r":(\d+)/", line)[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        print(f"  server exited with status {self._process.returncode}")

    def watch(self, seconds: float) -> list[float]:
        """Measure megabytes at each tenth of a duration."""
        memory = []
        for _ in range(10):
            time.sleep(seconds / 10)
            memory.append(self.megabytes())
        return memory

    def megabytes(self) -> float:
        """Proportional set size of the server and its decoders: shared pages are counted once."""
        pids = [self._process.pid, *children(self._process.pid)]
        return sum(pss(pid) for pid in pids) / 1024

    def processor_seconds(self) -> float:
        """Processor time of the server and its decoders so far."""
        pids = [self._process.pid, *children(self._process.pid)]
        return sum(processor_seconds(pid) for pid in pids)


def children(pid: int) -> list[int]:
    """List the child processes of a process and its threads."""
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(pid) for path in paths for pid in path.read_text().split()]


def pss(pid: int) -> int:
    """Read the proportional set size in kilobytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])


def processor_seconds(pid: int) -> float:
    """Read the processor time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(mode: str, port: int, args: argparse.Namespace) -> subprocess.Popen:
    """Start this script again, as clients."""
    command = [sys.executable, __file__, "--as", mode, "--port", str(port)]
    command += ["--clients", str(args.clients), "--seconds", str(args.seconds)]
    command += ["--impatient"] * args.impatient
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def load(args: argparse.Namespace) -> dict:
    """Run all clients and collect the results."""
    requests = [
        post_file("/v1/audio/emotions", encoded(clip)) for clip in real_clips(CLIPS, SECONDS)
    ]
    results = {"statuses": Counter(), "broken": Counter(), "answered": [], "refused": []}
    until = time.perf_counter() + args.seconds
    clients = [
        client(args, cycle(requests[number % CLIPS :] + requests[: number % CLIPS]), until, results)
        for number in range(args.clients)
    ]
    await asyncio.gather(*clients)
    return results


async def client(args: argparse.Namespace, requests, until: float, results: dict) -> None:
    """Send requests one after the other."""
    connection = Connection(args.port)
    while (began := time.perf_counter()) < until:
        try:
            reply = await connection.ask(next(requests))
        except (OSError, EOFError) as error:
            results["broken"][type(error).__name__] += 1
            connection.close()
            continue
        results["statuses"][str(reply.status)] += 1
        results["answered" if reply.status == 200 else "refused"].append(
            time.perf_counter() - began
        )
        if reply.status == 429 and not args.impatient:
            left = until - time.perf_counter()
            await asyncio.sleep(min(max(0.0, left), reply.retry_after))
    connection.close()


async def probe(args: argparse.Namespace) -> dict:
    """Request health, on a new connection each time, as a load balancer does."""
    results: dict = {"statuses": Counter(), "delays": []}
    until = time.perf_counter() + args.seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        connection = Connection(args.port)
        reply = await connection.ask(get("/health/live"))
        connection.close()
        results["statuses"][str(reply.status)] += 1
        results["delays"].append(time.perf_counter() - began)
        await asyncio.sleep(PROBE_SECONDS)
    return results


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--impatient", action="store_true")
    parser.add_argument("--source", action="append", help="a folder with phonemo; default: this")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--as", dest="role", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given, started = arguments(), time.process_time()
    if not given.role:
        sys.exit(main(given))
    outcome = asyncio.run(load(given) if given.role == "load" else probe(given))
    print(json.dumps(outcome | {"processor": time.process_time() - started}))
