"""Servers for tests: the app behind its real protocol in a thread, and the whole command."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import ClipScores, PredictOptions, Samples
from phonemo.server.app import PhonemoApp, create_app
from phonemo.server.decoders.decoder_pool import PROGRAM
from phonemo.server.service import Service
from phonemo.server.settings import ServeConfig
from phonemo.server.uvicorn_server import _bind, _settings
from tests.server.asking import ask
from tests.tiny_bundle import BUNDLE

COMMAND = [sys.executable, "-m", "phonemo", "serve", "--port", "0"]
LOUD = ("uvicorn.error", "asyncio", "phonemo.server")
_PATIENCE_SECONDS = 240.0


class Served:
    """A server in a thread of this process."""

    def __init__(self, app: PhonemoApp, port: int, server: uvicorn.Server) -> None:
        self.app, self.port, self.server = app, port, server
        self.loop: asyncio.AbstractEventLoop
        self.complaints = _Complaints()
        """Warnings and errors of its log."""

    @property
    def service(self) -> Service:
        """The service of the app."""
        return self.app.service

    def metric(self, name: str) -> float:
        """The sum of a metric's values over its labels."""
        lines = ask(self.port, "/metrics").body.decode().splitlines()
        found = [one for one in lines if re.match(rf"phonemo_{name}(_total)?[ {{]", one)]
        return sum(float(one.rsplit(" ", 1)[1]) for one in found)

    def call(self, call: Callable[[], Any]) -> None:
        """Run in its event loop."""
        self.loop.call_soon_threadsafe(call)


def settings(**changes: Any) -> ServeConfig:
    """A config with a free port and few workers."""
    return ServeConfig.model_validate({"port": 0, "workers": 2, "decoders": 1, **changes})


@contextlib.contextmanager
def served(
    config: ServeConfig | None = None,
    models: Mapping[str, EmotionRecognizer] | None = None,
    program: Sequence[str] = PROGRAM,
    warm: bool = True,
) -> Iterator[Served]:
    """A server, warm; it is stopped afterwards."""
    config = config or settings(models=(str(BUNDLE),))
    app = create_app(config, models, program=program)
    with _bind(config) as listening:
        server = uvicorn.Server(_settings(app, config, False))
        found = Served(app, listening.getsockname()[1], server)
        thread = threading.Thread(target=asyncio.run, args=[_run(found, listening)])
        with found.complaints.heard():
            thread.start()
            try:
                until(lambda: server.started)
                if warm:
                    until(lambda: ask(found.port, "/health/ready").status == 200)
                yield found
            finally:
                server.should_exit = True
                thread.join(_PATIENCE_SECONDS)
                assert not thread.is_alive()


async def _run(found: Served, listening: Any) -> None:
    found.loop = asyncio.get_running_loop()
    await found.server.serve(sockets=[listening])


def until(true: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait for something that will be."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def children(pid: int) -> list[str]:
    """The processes that one has started, in whichever of its threads; of Linux."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [one for found in threads for one in found.read_text(encoding="ascii").split()]


class Process:
    """The command ``phonemo serve``."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path) -> None:
        self.process, self._said = process, said

    @property
    def said(self) -> str:
        """Its standard error so far, without the progress of a slow start."""
        lines = self._said.read_text(encoding="utf-8").splitlines(keepends=True)
        return "".join(one for one in lines if not one.startswith("phonemo: warming up, "))

    @property
    def port(self) -> int:
        """Port from the line that announces the address."""
        until(lambda: "serving at" in self.said or self.process.poll() is not None)
        found = re.search(r"serving at http://.+:(\d+)/", self.said)
        assert found is not None, self.said
        return int(found[1])

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(_PATIENCE_SECONDS)


@contextlib.contextmanager
def command(*words: str, model: bool = True, **changes: str) -> Iterator[Process]:
    """``phonemo serve`` with the golden bundle."""
    line = [*COMMAND, *(("--model", str(BUNDLE)) if model else ()), *words]
    environment = {name: one for name, one in os.environ.items() if "proxy" not in name.lower()}
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        with said.open("wb") as errors:
            process = subprocess.Popen(
                line, stdout=errors, stderr=errors, env={**environment, **changes}
            )
        try:
            yield Process(process, said)
        finally:
            process.kill()
            process.wait()


class Held(EmotionRecognizer):
    """A model that blocks on an event and records the clips that it gets."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.heard: list[int] = []
        """Number of samples of every clip, when its recognition starts."""
        self.batches: list[int] = []

    @property
    def labels(self) -> Sequence[str]:
        """Two."""
        return ("anger", "neutral")

    def _recognize_clip(self, samples: Samples, options: PredictOptions) -> ClipScores:
        return self._recognize_clips([samples], options)[0]

    def _recognize_clips(
        self, clips: Sequence[Samples], options: PredictOptions
    ) -> list[ClipScores]:
        self.batches.append(len(clips))
        self.heard += [len(one) for one in clips]
        assert self.go.wait(_PATIENCE_SECONDS)
        return [ClipScores(np.array([share, 1 - share]), ()) for share in map(_share, clips)]


def _share(samples: Samples) -> float:
    """Tells the clip by its length: thousandths of 1000 seconds."""
    return len(samples) / 16_000 / 1000


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        loggers = [logging.getLogger(name) for name in LOUD]
        for one in loggers:
            one.addHandler(self)
        try:
            yield
        finally:
            for one in loggers:
                one.removeHandler(self)
