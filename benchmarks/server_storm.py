"""Attack the server from two addresses, and measure how it answers a third one and what it keeps.

    python benchmarks/server_storm.py [--slow 66] [--long 12] [--clips 50] [--rounds 3] [--idle 180]

In each round, clients of 127.0.0.2 send bodies of 5 MB at 1200 bytes per second, renewed as they
are refused; one of 127.0.0.3 sends recordings of eight minutes, all at once; and one of 127.0.0.4
sends a clip of 2 s, again and again. After each round, all are quiet and the memory of the server
and its decoders is measured. Linux accepts all addresses of 127.0.0.0/8 as sources.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from measuring import machine
from measuring.http import BOUNDARY, Connection, get, post_file
from soaking.processes import held, tree

import phonemo
from phonemo.audio import RATE, load_waveform

SLOW, LONG, HONEST = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PATH = "/v1/audio/emotions"
SLOW_BYTES, SLOW_RATE, LONG_SECONDS, CLIP_SECONDS = 5_000_000, 1200, 480.0, 2.0
CLIP_PAUSE_SECONDS, LEAD_SECONDS, BAR_SECONDS = 0.25, 3.0, 1.0
SAMPLES = Path(phonemo.__file__).parent / "web" / "samples"


def main(args: argparse.Namespace) -> int:
    """Print the results; return 1 if a clip was not answered in time or memory grew."""
    voices = np.concatenate(
        [load_waveform(path).samples for path in sorted(SAMPLES.glob("*.flac"))]
    )
    clip = post_file(PATH, encoded(voices, CLIP_SECONDS, "FLAC", "PCM_16"))
    long = post_file(PATH, encoded(voices, LONG_SECONDS, "OGG", "VORBIS"))
    print(f"{machine()}; {args.slow} slow uploads, {args.long} of 8 min, {args.clips} clips")
    with Server() as server:
        asyncio.run(ask_clip(server.port, clip))
        before, good = server.memory(), True
        print(f"  fresh: {before}; load {load()}", flush=True)
        for number in range(args.rounds):
            storm = Storm(server, args)
            asyncio.run(storm.run(clip, long))
            good &= storm.tell(number + 1)
            time.sleep(args.idle)
            after = server.memory()
            print(f"    {args.idle:g} s later: {after}; load {load()}", flush=True)
    return int(not good or after.total > 1.2 * before.total)


class Memory:
    """Megabytes, Pss, of the server and of its decoders."""

    def __init__(self, server: float, decoders: float) -> None:
        self.server, self.decoders, self.total = server, decoders, server + decoders

    def __str__(self) -> str:
        return f"{self.total:.0f} MB (server {self.server:.0f}, decoders {self.decoders:.0f})"


class Server:
    """phonemo serve on a free port."""

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", "phonemo", "serve", "--port", "0"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = ""
        while not (found := re.search(r"serving at .*:(\d+)/", line)):
            line = self._process.stderr.readline()
        self.port = int(found[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        print(f"  server exited with status {self._process.wait(60)}")

    def memory(self) -> Memory:
        """Measure now."""
        first, *rest = tree(self._process.pid)
        return Memory(*(held(pids, Path(os.devnull))["pss"] for pids in ([first], rest)))


class Storm:
    """One round."""

    def __init__(self, server: Server, args: argparse.Namespace) -> None:
        self._server, self._args = server, args
        self.clips: list[tuple[int, float]] = []
        """Status of each clip, and seconds."""
        self.long: list[tuple[int, float, float]] = []
        """Status of each long recording, seconds, and the Retry-After."""
        self.slow: Counter[str] = Counter()
        self.peak = server.memory()
        self.health: list[float] = []

    async def run(self, clip: bytes, long: bytes) -> None:
        """Attack, and send the clips meanwhile; then wait for the long recordings."""
        slow = [asyncio.create_task(self._slow()) for _ in range(self._args.slow)]
        watch = [asyncio.create_task(one) for one in (self._watch(), self._probe())]
        await asyncio.sleep(LEAD_SECONDS * bool(slow))
        recordings = [asyncio.create_task(self._long(long)) for _ in range(self._args.long)]
        await asyncio.sleep(LEAD_SECONDS)
        for _ in range(self._args.clips):
            self.clips.append(await ask_clip(self._server.port, clip))
            await asyncio.sleep(CLIP_PAUSE_SECONDS)
        await asyncio.gather(*recordings)
        for one in (*slow, *watch):
            one.cancel()
        await asyncio.gather(*slow, *watch, return_exceptions=True)

    def tell(self, number: int) -> bool:
        """Print this round; return whether all clips were answered in time."""
        seconds = [took for status, took in self.clips if status == 200]
        in_time = sum(took <= BAR_SECONDS for took in seconds)
        statuses = dict(Counter(status for status, _ in self.clips))
        print(f"  round {number}; load {load()}; at most {self.peak}")
        print(f"    clips: {in_time} of {len(self.clips)} within {BAR_SECONDS:g} s; {statuses}; "
              f"{quantiles(seconds)}")  # fmt: skip
        print(f"    long: {dict(Counter(status for status, *_ in self.long))}; "
              f"{quantiles([took for status, took, _ in self.long if status == 200])}; Retry-After "
              f"{sorted(after for _, _, after in self.long if after)}")  # fmt: skip
        print(f"    slow: {dict(self.slow)}; /health/live {quantiles(self.health)}", flush=True)
        return in_time == len(self.clips)

    async def _slow(self) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {SLOW_BYTES}\r\n"
        head += f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n\r\n"
        part = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        while True:
            status = "closed"
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self._server.port, local_addr=(SLOW, 0)
                )
                status = await drip(reader, writer, head.encode() + part % BOUNDARY)
                writer.close()
            self.slow[status] += 1
            await asyncio.sleep(0.1)

    async def _long(self, request: bytes) -> None:
        began = time.perf_counter()
        connection = Connection(self._server.port, LONG)
        with contextlib.closing(connection):
            try:
                reply = await connection.ask(request)
            except (OSError, EOFError):
                self.long.append((0, time.perf_counter() - began, 0.0))
                return
        self.long.append((reply.status, time.perf_counter() - began, reply.retry_after))

    async def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, self._server.memory(), key=lambda memory: memory.total)
            await asyncio.sleep(1)

    async def _probe(self) -> None:
        while True:
            began = time.perf_counter()
            with contextlib.closing(Connection(self._server.port, HONEST)) as connection:
                await connection.ask(get("/health/live"))
            self.health.append(time.perf_counter() - began)
            await asyncio.sleep(0.2)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: bytes) -> str:
    """Send a body slowly until the server replies; return the status."""
    writer.write(start)
    reading = asyncio.ensure_future(reader.read(64))
    while not reading.done():
        writer.write(bytes(SLOW_RATE // 2))
        await asyncio.wait([reading], timeout=0.5)
    found = re.match(rb"HTTP/1.1 (\d+)", reading.result())
    return found[1].decode() if found else "closed"


async def ask_clip(port: int, clip: bytes) -> tuple[int, float]:
    """Send a clip on a new connection; return the status and the seconds."""
    began = time.perf_counter()
    with contextlib.closing(Connection(port, HONEST)) as connection:
        try:
            status = (await connection.ask(clip)).status
        except (OSError, EOFError):
            status = 0
    return status, time.perf_counter() - began


def encoded(samples: np.ndarray, seconds: float, kind: str, subtype: str) -> bytes:
    """Encode so many seconds; shorter audio is repeated."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, subtype, format=kind) as sound:
        whole = np.resize(samples, round(seconds * RATE))
        for start in range(0, len(whole), RATE):  # libsndfile's Vorbis fails on much at once
            sound.write(whole[start : start + RATE])
    return file.getvalue()


def quantiles(seconds: list[float]) -> str:
    """Format the median and the worst."""
    return f"p50 {np.median(seconds):.3f}, max {max(seconds):.3f} s" if seconds else "none"


def load() -> str:
    """The machine's load over a minute."""
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slow", type=int, default=66)
    parser.add_argument("--long", type=int, default=12)
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=180.0)
    sys.exit(main(parser.parse_args()))
