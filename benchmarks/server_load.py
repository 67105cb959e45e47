"""The server under more than it can do: 200 clients for a minute against a queue of 16.

    python benchmarks/server_load.py [--clients 200] [--seconds 60] [--impatient]

Each client sends clips of 3 s one after the other. Told 429, it waits as long as Retry-After says,
or with --impatient not at all. Clients are one process, a second one asks /health/live twenty
times a second, and the server is a third with its decoders; all share this machine's processors.
Before and after, the library hears the same bytes in one process: predict_many.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import subprocess
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
from measuring import machine, real_clips
from measuring.http import Connection, get, post_file

from phonemo.audio import RATE

CLIPS, SECONDS = 24, 3.0
PROBE_SECONDS, LIBRARY_SECONDS = 0.05, 20.0


def main(asked: argparse.Namespace) -> int:
    """The exit status; prints what happened."""
    clips = [encoded(one) for one in real_clips(CLIPS, SECONDS)]
    print(f"{machine()}; {asked.clients} clients for {asked.seconds:g} s, clips of {SECONDS:g} s")
    before = library_rate(clips)
    with Server() as server:
        idle = server.megabytes()
        load = start("load", server.port, asked)
        probe = start("probe", server.port, asked)
        memory = server.watch(asked.seconds)
        found, delays = json.loads(load.communicate()[0]), json.loads(probe.communicate()[0])
    after = library_rate(clips)
    tell(found, delays, asked.seconds, (before, after))
    print(f"  memory of the server and its decoders, MB: idle {idle:.0f}, at each tenth of the run")
    print("    " + " ".join(f"{one:.0f}" for one in memory))
    return 0


def tell(found: dict, delays: dict, seconds: float, library: tuple[float, float]) -> None:
    """Statuses, delays, throughput."""
    print(f"  statuses {found['statuses']}; errors of connections {found['broken']}")
    answered = found["statuses"].get("200", 0) / seconds
    for name, values in (("200", found["answered"]), ("429", found["refused"])):
        print(f"  {name:<14}{quantiles(values)}")
    print(f"  /health/live  {quantiles(delays['delays'])}; statuses {delays['statuses']}")
    mean = sum(library) / 2
    print(f"  server {answered:.1f} clips a second; library {library[0]:.1f} before, "
          f"{library[1]:.1f} after; ratio {answered / mean:.2f}")  # fmt: skip


def quantiles(values: list[float]) -> str:
    """In milliseconds."""
    if not values:
        return "none"
    marks = np.quantile(values, [0.5, 0.95, 0.99, 1]) * 1000
    names = ("p50", "p95", "p99", "max")
    told = ", ".join(f"{name} {value:.1f}" for name, value in zip(names, marks, strict=True))
    return f"{len(values)} times, ms: {told}"


def encoded(samples: np.ndarray) -> bytes:
    """A FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def library_rate(clips: list[bytes]) -> float:
    """Clips a second of predict_many on the same bytes, in a process of its own."""
    code = (
        "import sys, time, itertools, phonemo\n"
        "clips = [sys.stdin.buffer.read(int(size)) for size in sys.argv[2:]]\n"
        "model = phonemo.load()\n"
        "list(model.predict_many(clips))\n"
        "began, count = time.perf_counter(), 0\n"
        "for _ in model.predict_many(itertools.cycle(clips)):\n"
        "    count += 1\n"
        "    if time.perf_counter() - began > float(sys.argv[1]): break\n"
        "print(count / (time.perf_counter() - began))\n"
    )
    sizes = [str(len(one)) for one in clips]
    command = [sys.executable, "-c", code, str(LIBRARY_SECONDS), *sizes]
    found = subprocess.run(command, input=b"".join(clips), capture_output=True, check=True)
    return float(found.stdout)


class Server:
    """phonemo serve, on a free port."""

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", "phonemo", "serve", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--set", "limits.queue=16"], stderr=subprocess.PIPE, text=True
        )
        line = self._process.stderr.readline()
        self.port = int(re.search(r":(\d+)/", line)[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        print(f"  server left with status {self._process.returncode}")

    def watch(self, seconds: float) -> list[float]:
        """Megabytes at each tenth of a time."""
        found = []
        for _ in range(10):
            time.sleep(seconds / 10)
            found.append(self.megabytes())
        return found

    def megabytes(self) -> float:
        """Proportional set size of the server and its decoders: shared pages are counted once."""
        pids = [self._process.pid, *children(self._process.pid)]
        return sum(pss(pid) for pid in pids) / 1024


def children(pid: int) -> list[int]:
    """Of a process and all its threads."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(one) for path in found for one in path.read_text().split()]


def pss(pid: int) -> int:
    """In kilobytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])


def start(mode: str, port: int, asked: argparse.Namespace) -> subprocess.Popen:
    """This script again, as clients."""
    command = [sys.executable, __file__, "--as", mode, "--port", str(port)]
    command += ["--clients", str(asked.clients), "--seconds", str(asked.seconds)]
    command += ["--impatient"] * asked.impatient
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def load(asked: argparse.Namespace) -> dict:
    """All clients; what happened to them."""
    requests = [post_file("/v1/audio/emotions", encoded(one)) for one in real_clips(CLIPS, SECONDS)]
    told = {"statuses": Counter(), "broken": Counter(), "answered": [], "refused": []}
    until = time.perf_counter() + asked.seconds
    clients = [
        client(asked, cycle(requests[number % CLIPS :] + requests[: number % CLIPS]), until, told)
        for number in range(asked.clients)
    ]
    await asyncio.gather(*clients)
    return told


async def client(asked: argparse.Namespace, requests, until: float, told: dict) -> None:
    """One after the other."""
    connection = Connection(asked.port)
    while (began := time.perf_counter()) < until:
        try:
            reply = await connection.ask(next(requests))
        except (OSError, EOFError) as error:
            told["broken"][type(error).__name__] += 1
            connection.close()
            continue
        told["statuses"][str(reply.status)] += 1
        told["answered" if reply.status == 200 else "refused"].append(time.perf_counter() - began)
        if reply.status == 429 and not asked.impatient:
            left = until - time.perf_counter()
            await asyncio.sleep(min(max(0.0, left), reply.retry_after))
    connection.close()


async def probe(asked: argparse.Namespace) -> dict:
    """Ask for health, on a fresh connection every time as a load balancer does."""
    told: dict = {"statuses": Counter(), "delays": []}
    until = time.perf_counter() + asked.seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        connection = Connection(asked.port)
        reply = await connection.ask(get("/health/live"))
        connection.close()
        told["statuses"][str(reply.status)] += 1
        told["delays"].append(time.perf_counter() - began)
        await asyncio.sleep(PROBE_SECONDS)
    return told


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--impatient", action="store_true")
    parser.add_argument("--as", dest="role", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    if not given.role:
        sys.exit(main(given))
    work = load(given) if given.role == "load" else probe(given)
    print(json.dumps(asyncio.run(work)))
