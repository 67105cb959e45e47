"""The server without HTTP: models, admission and pipeline, from start to close."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import count

import numpy as np
import soundfile

from phonemo.audio import RATE
from phonemo.runtime.heap import release_memory
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import PredictOptions
from phonemo.runtime.workers import available_cpus
from phonemo.server.admission import Admission
from phonemo.server.api_errors import ApiError, service_unavailable
from phonemo.server.decoders.decoder_pool import PROGRAM
from phonemo.server.middleware import Meters
from phonemo.server.models.model_registry import ModelRegistry
from phonemo.server.pipeline import Pipeline, RecognizeOptions
from phonemo.server.settings import ServeConfig, ServeLimits

#: Longest pause between two attempts to warm up.
_LONGEST_PAUSE_SECONDS = 30.0
_IDLE_SECONDS = 2.0
#: Of a server that does not become idle.
_BUSY_SECONDS = 60.0

log = logging.getLogger("phonemo.server")


class State(Enum):
    """Lifecycle of a service."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Service:
    """What the routes share; it serves nothing before ``start``.

    Args:
        config: server config.
        program: Python arguments that start a decoder; tests replace it.
    """

    def __init__(self, config: ServeConfig, program: Sequence[str] = PROGRAM) -> None:
        workers = config.workers or available_cpus()
        self.config = config
        self.limits: ServeLimits = config.limits
        self.meters = Meters()
        self.admission = Admission(config.limits, workers, self.meters)
        self.registry = ModelRegistry(config, workers)
        self.stopping = asyncio.Event()
        self._build_pipeline = partial(Pipeline, config, workers, self.meters, program)
        self.pipeline = self._build_pipeline()
        self._warm = False
        self.waits_for = "loading the models"
        """What a start waits for, for /health/ready."""

    async def start(self, open_all: Callable[[], Mapping[str, EmotionRecognizer]]) -> None:
        """Open the models and run each on a second of noise, so that the first request is fast.

        Args:
            open_all: returns name -> model; runs in a thread.

        Raises:
            PhonemoError: a model cannot be opened, or fails on the noise.
            UsageError: a profile of the config cannot be offered.
        """
        if self.pipeline.closed:  # an app whose lifespan runs a second time
            self.pipeline = self._build_pipeline()
        self.pipeline.start()
        await self.registry.load(open_all)
        self.pipeline.decoders.patient = True
        for recognizer in self.registry.models.values():
            await self._warm_up(recognizer)
        self.pipeline.decoders.patient = False
        self._warm = True

    async def _warm_up(self, recognizer: EmotionRecognizer) -> None:
        """Run a model on noise, without a time limit; a lost decoder is replaced, with back-off.

        A busy machine, or one with too little memory at this moment, is no reason to end.
        """
        options = RecognizeOptions(PredictOptions(shares=True))
        for attempt in count():
            try:
                noise = io.BytesIO(_noise_wav())
                self.waits_for = "waiting for decoders"
                await self.pipeline.decoders.decode(noise, "warm-up")
                self.waits_for = "trying the models"
                noise.seek(0)
                await self.pipeline.recognize(noise, "warm-up", recognizer, options)
                return
            except ApiError as error:
                pause = min(2.0**attempt, _LONGEST_PAUSE_SECONDS)
                self.waits_for = f"{error}; tried again in {pause:g} s"
                log.warning("warm-up: %s", self.waits_for)
                await asyncio.sleep(pause)

    async def return_memory(self) -> None:
        """Return freed memory to the system when the server becomes idle, and now and then before.

        A server that is never idle would keep what requests leave free between other blocks.
        """
        returned, busy = self.admission.total, 0.0
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            busy += _IDLE_SECONDS
            is_due = self.admission.is_idle or busy >= _BUSY_SECONDS
            if is_due and self.admission.total != returned:
                returned, busy = self.admission.total, 0.0
                await asyncio.to_thread(release_memory)

    @property
    def state(self) -> State:
        """Whether it starts, serves or stops."""
        if self.stopping.is_set():
            return State.STOPPING
        return State.READY if self._warm else State.STARTING

    def check_ready(self) -> None:
        """Raise ApiError (503) before the models are warm, and while the server stops."""
        if self.state is State.STARTING:
            message = f"the server starts: {self.waits_for}; try again in a second"
            raise service_unavailable("starting", message)
        if self.state is State.STOPPING:
            raise service_unavailable("stopping", "the server stops; send it to another one")

    def stop(self) -> None:
        """Admit no new request; those in progress finish, and live streams get their result."""
        self.stopping.set()

    def close(self) -> None:
        """Terminate the processes and the threads."""
        self._warm = False
        self.pipeline.close()


def _noise_wav() -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(0).normal(0, 0.05, RATE)
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
