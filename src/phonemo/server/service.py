"""What the routes share: models, the processes and threads that work, and how much is under way.

Refusals at a steady pace: clients that ask again at once take no time from the others.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np
import soundfile

from phonemo.annotations.prediction import Prediction
from phonemo.audio import RATE, Waveform
from phonemo.errors import CheckpointError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.vad import detector_of
from phonemo.runtime.workers import available_cpus
from phonemo.server.api_errors import ApiError, service_unavailable, too_many_requests
from phonemo.server.decoders.decoder_pool import PROGRAM, DecoderPool
from phonemo.server.decoders.decoder_worker import DecoderLimits
from phonemo.server.dynamic_batching import DynamicBatcher
from phonemo.server.middleware import Meters
from phonemo.server.profile_store import ProfileStore, open_profiles, with_sent
from phonemo.server.settings import ServeConfig, ServeLimits

_PER_SECOND = 100.0
_LONGEST_SECONDS = 1.0


class Throttle:
    """Lets callers through one after the other, each at most a second late.

    A crowd that was refused at the same moment would also come back at the same moment.
    """

    def __init__(
        self, per_second: float = _PER_SECOND, longest_seconds: float = _LONGEST_SECONDS
    ) -> None:
        self._step, self._longest = 1 / per_second, longest_seconds
        self._free_at = 0.0

    async def wait(self) -> None:
        """Until it is the caller's turn."""
        now = asyncio.get_running_loop().time()
        turn = min(max(now, self._free_at), now + self._longest)
        self._free_at = turn + self._step
        if turn > now:
            await asyncio.sleep(turn - now)


_LATEST_SECONDS = 30.0
_ALARM_SLACK_SECONDS = 5.0


class State(Enum):
    """Where a server's life stands."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True)
class RecognizeOptions:
    """What a request wants of a recording."""

    shares: bool = False
    timeline: bool = False
    labels: Sequence[str] = ()
    """Choose among these; all where there is none."""
    top_k: int | None = None


@dataclass(frozen=True)
class ServedPrediction:
    """An answer, and the seconds that its stages took."""

    prediction: Prediction
    timings: dict[str, float]


class Service:
    """The server without HTTP; it serves nothing before ``start``.

    Args:
        config: of the server.
        program: what decodes, for tests.
    """

    def __init__(self, config: ServeConfig, program: Sequence[str] = PROGRAM) -> None:
        self.config = config
        self.limits: ServeLimits = config.limits
        self.meters = Meters()
        self.stopping = asyncio.Event()
        self._warm = False
        self.models: dict[str, EmotionRecognizer] = {}
        """By name; the first answers where none is named."""
        self.offered = ProfileStore({}, {})
        self.workers = config.workers or available_cpus()
        self.in_flight = 0
        self.uploads = 0
        self.streams = 0
        self.pace = Throttle()
        self._usual_seconds = 0.1  # a running mean of how long one keeps a place
        self._program = program
        self._parts: ExitStack = ExitStack()

    async def start(self, opened: Callable[[], Mapping[str, EmotionRecognizer]]) -> None:
        """Open the models and hear a second of noise by each, so that no request finds them cold.

        Args:
            opened: what opens them, in a thread: name -> model.

        Raises:
            PhonemoError: a model cannot be opened, or hears nothing.
            UsageError: a profile of the config cannot be offered.
        """
        self.decoders = DecoderPool(
            self.config.decoders or available_cpus(),
            _decoder_limits(self.limits),
            self.limits.decode_seconds,
            lambda reason: self.meters.replaced.labels(reason).inc(),
            self._program,
        )
        self._parts.callback(self.decoders.close)
        self.hearers = DynamicBatcher(self.workers, self.config.batch_seconds, self.meters.started)
        self._parts.callback(self.hearers.close)
        found = await asyncio.to_thread(opened)
        self.models = {name: self._prepared(one) for name, one in found.items()}
        profiles = await asyncio.to_thread(open_profiles, self.config.profiles, self.models)
        self.offered = ProfileStore(profiles, self.models)
        for one in self.models.values():
            await self.recognize(
                io.BytesIO(_noise()), "warm-up", one, RecognizeOptions(shares=True)
            )
        self._warm = True

    @property
    def state(self) -> State:
        """Where its life stands."""
        if self.stopping.is_set():
            return State.STOPPING
        return State.READY if self._warm else State.STARTING

    def stop(self) -> None:
        """Take nothing new; what is in flight goes on, and live streams are answered."""
        self.stopping.set()

    def close(self) -> None:
        """End the processes and the threads."""
        self._parts.close()

    def model(self, name: str | None) -> tuple[str, EmotionRecognizer]:
        """A model and its name; Refusal (404) for one that is not served."""
        chosen = name or next(iter(self.models))
        if chosen not in self.models:
            known = ", ".join(self.models)
            message = "no such model; GET /v1/models lists them: " + known
            raise ApiError(404, "model_not_found", message, "model")
        return chosen, self.models[chosen]

    def adapted(
        self, model: str, profile: str | None, profile_json: str | Mapping[str, Any] | None
    ) -> EmotionRecognizer:
        """A model with the profile that a request names or holds, if any.

        Args:
            model: the name of one that is served.
            profile: the name of one that the operator offers.
            profile_json: the content of one, JSON or its plain data.

        Raises:
            Refusal: both (400), no such one (400), one that cannot be applied (422).
        """
        if profile is not None and profile_json is not None:
            message = "profile and profile_json: one profile is applied; leave one of them out"
            raise ApiError(400, "invalid_value", message, "profile_json")
        if profile is not None:
            return self.offered.named(model, profile)
        if profile_json is not None:
            return with_sent(self.models[model], profile_json)
        return self.models[model]

    def check_ready(self) -> None:
        """Refusal (503) before the models are warm, and while the server stops."""
        if self.state is State.STARTING:
            raise service_unavailable(
                "starting", "the models are being loaded; try again in a second"
            )
        if self.state is State.STOPPING:
            raise service_unavailable("stopping", "the server stops; send it to another one")

    @contextmanager
    def stream(self) -> Iterator[None]:
        """One of the places of live streams; Refusal (429) without any."""
        if self.streams >= self.limits.streams:
            message = f"{self.streams} streams are open already; try again later"
            raise too_many_requests("stream_limit", message, 5.0)
        self.streams += 1
        self.meters.streams.inc()
        try:
            yield
        finally:
            self.streams -= 1
            self.meters.streams.dec()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not (self.uploads or self.in_flight or self.streams)

    @contextmanager
    def upload_slot(self) -> Iterator[None]:
        """One of the places of requests that arrive; Refusal (429) without any."""
        if self.uploads >= self.limits.uploads:
            message = f"{self.uploads} requests are arriving already; try again later"
            raise too_many_requests("queue_full", message, 1.0)
        self.uploads += 1
        try:
            yield
        finally:
            self.uploads -= 1

    @property
    def is_full(self) -> bool:
        """Whether as many requests wait or are worked on as may."""
        return self.in_flight >= self.limits.queue + self.workers

    def queue_full(self) -> ApiError:
        """429, with the time that those who wait will take."""
        seconds = self.in_flight / self.workers * self._usual_seconds
        message = f"{self.in_flight} recordings wait already; try again later"
        return too_many_requests("queue_full", message, min(_LATEST_SECONDS, seconds))

    @contextmanager
    def queue_slot(self) -> Iterator[None]:
        """One of the places of requests that wait or are worked on; Refusal (429) without any."""
        if self.is_full:
            raise self.queue_full()
        began = perf_counter()
        self.in_flight += 1
        self.meters.in_flight.inc()
        try:
            yield
        finally:
            self.in_flight -= 1
            self.meters.in_flight.dec()
            self._usual_seconds += 0.1 * (perf_counter() - began - self._usual_seconds)

    async def recognize(
        self, upload: BinaryIO, file: str, listener: EmotionRecognizer, wanted: RecognizeOptions
    ) -> ServedPrediction:
        """The emotion of an upload.

        Args:
            upload: the bytes of a file.
            file: what messages call it: printable.
            listener: what hears it.
            wanted: what is asked of it.

        Raises:
            PhonemoError: it cannot be heard.
            Refusal: as decoders.decode.
        """
        began = perf_counter()
        waveform = await self.decoders.decode(upload, file)
        decoded = perf_counter()
        answer = await self.hearers.recognize(listener, waveform, wanted.shares, wanted.timeline)
        work = sum(answer.timings.values())
        waited = max(0.0, perf_counter() - decoded - work)
        timings = {"decode": decoded - began, "wait": waited, **answer.timings}
        self._count(answer, timings)
        return ServedPrediction(answer.narrowed(wanted.labels, wanted.top_k), timings)

    async def decoded(self, upload: BinaryIO, file: str) -> Waveform:
        """The samples of an upload; arguments and errors are those of ``recognize``."""
        began = perf_counter()
        waveform = await self.decoders.decode(upload, file)
        self.meters.audio.inc(waveform.seconds)
        self.meters.stages.labels("decode").observe(perf_counter() - began)
        return waveform

    def _prepared(self, listener: EmotionRecognizer) -> EmotionRecognizer:
        detector_of(self.config.activity)
        listener.activity = self.config.activity
        return listener.for_jobs(self.workers)[0]

    def _count(self, answer: Prediction, timings: dict[str, float]) -> None:
        self.meters.audio.inc(answer.seconds)
        for stage in ("decode", "network", "phonemes"):
            if stage in timings:
                self.meters.stages.labels(stage).observe(timings[stage])


def open_models(config: ServeConfig) -> dict[str, EmotionRecognizer]:
    """The models that a config names, by the names of their cards; or the one that ships.

    Raises:
        CheckpointError: one is absent or broken, or two have the same name.
        MissingExtraError: one is a model folder and torch is not installed.
    """
    from phonemo.loader import load_model

    opened: dict[str, EmotionRecognizer] = {}
    for path in config.models or (None,):
        listener = load_model(path)
        name = name_of(listener, path)
        if name in opened:
            raise CheckpointError(f"{path}: a model named {name} is served already")
        opened[name] = listener
    return opened


def name_of(listener: EmotionRecognizer, path: str | Path | None) -> str:
    """What a bundle's card says, or the folder's own name."""
    if isinstance(listener, OnnxRecognizer):
        return listener.card.name
    return Path(path or "model").absolute().name


def _decoder_limits(limits: ServeLimits) -> DecoderLimits:
    alarm = limits.decode_seconds + _ALARM_SLACK_SECONDS
    return DecoderLimits(limits.audio_seconds, limits.decoded_bytes, limits.decoder_bytes, alarm)


def _noise() -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(0).normal(0, 0.05, RATE)
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
