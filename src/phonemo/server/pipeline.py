"""From the bytes of an upload to a prediction: decoder processes, then batched inference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import BinaryIO

from phonemo.annotations.prediction import Prediction
from phonemo.annotations.summary.call_summary import with_summary
from phonemo.audio import Channels, Waveform
from phonemo.runtime.adaptation.pool import Vectors
from phonemo.runtime.parts.channel_predictions import combine_channels, on_channel
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import PLAIN, PredictOptions
from phonemo.runtime.workers import available_cpus
from phonemo.server.api_errors import ApiError
from phonemo.server.decoders.decoder_pool import PROGRAM, DecoderPool
from phonemo.server.decoders.decoder_worker import DecoderLimits
from phonemo.server.dynamic_batching import DynamicBatcher
from phonemo.server.fairness.deadlines import Deadline
from phonemo.server.fairness.schedule import Schedule, ScheduledWork
from phonemo.server.middleware import Meters
from phonemo.server.settings import ServeConfig, ServeLimits

_ALARM_SLACK_SECONDS = 5.0
_FEWEST_DECODERS = 2
_STAGES = ("decode", "network", "phonemes")


@dataclass(frozen=True)
class RecognizeOptions:
    """Options of a request: what its answer holds beside the emotion."""

    predict: PredictOptions = PLAIN
    labels: Sequence[str] = ()
    """Choose among these; empty is all."""
    top_k: int | None = None
    channels: Channels = "mix"
    summary: bool = False
    """Whether to add what each party's speech is like over the whole recording."""


@dataclass(frozen=True)
class ServedPrediction:
    """A prediction, and the seconds that each stage took."""

    prediction: Prediction
    timings: dict[str, float]


class Pipeline:
    """The processes and threads that do the work; none runs before ``start``.

    Args:
        config: server config.
        workers: number of recordings that are recognized at the same time.
        meters: counts audio, stages, batches and lost decoders.
        program: Python arguments that start a decoder; tests replace it.
    """

    def __init__(
        self,
        config: ServeConfig,
        workers: int,
        meters: Meters,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.closed = False
        self.decoders = DecoderPool(
            config.decoders or max(_FEWEST_DECODERS, available_cpus()),
            _decoder_limits(config.limits),
            config.limits.decode_seconds,
            lambda reason: meters.replaced.labels(reason).inc(),
            program,
        )
        self.batcher = DynamicBatcher(
            workers, config.batch_seconds, meters.started, config.niceness
        )
        self.schedule = Schedule(config.limits, workers, meters)
        """When work is done, and the memory for it."""
        self._meters = meters

    def start(self) -> None:
        """Start the decoder processes."""
        self.decoders.start()

    def close(self) -> None:
        """Terminate the processes and the threads; a closed pipeline cannot be started again."""
        self.closed = True
        self.batcher.close()
        self.decoders.close()

    async def recognize(
        self,
        upload: BinaryIO,
        file: str,
        recognizer: EmotionRecognizer,
        options: RecognizeOptions,
    ) -> ServedPrediction:
        """Recognize the emotion of an upload.

        Args:
            upload: content of an audio file.
            file: its printable name, for messages.
            recognizer: the model.
            options: options of the request.

        Raises:
            PhonemoError: the recording cannot be used.
            ApiError: as DecoderPool.decode.
        """
        began = perf_counter()
        with self.schedule.admission() as turn:
            waveforms = await self.decoders.decode_channels(
                upload, file, options.channels, turn.admit_long
            )
            turn.admit(sum(one.seconds for one in waveforms))
            decoded = perf_counter()
            predictions = await self._channels(recognizer, waveforms, options.predict, turn)
        prediction = _combined(predictions, recognizer, options)
        work = _slowest(predictions)
        waited = max(0.0, perf_counter() - decoded - sum(work.values()))
        timings = {"decode": decoded - began, "wait": waited, **work}
        self._count(sum(one.seconds for one in predictions), timings)
        return ServedPrediction(_narrow(prediction, options), timings)

    async def _channels(
        self,
        recognizer: EmotionRecognizer,
        waveforms: Sequence[Waveform],
        options: PredictOptions,
        turn: ScheduledWork,
    ) -> Sequence[Prediction]:
        """Recognize all channels; a single one needs no tasks."""
        if len(waveforms) == 1:
            return [await self._recognize_channel(recognizer, waveforms[0], options, turn)]
        each = [self._recognize_channel(recognizer, one, options, turn) for one in waveforms]
        return await asyncio.gather(*each)

    async def _recognize_channel(
        self,
        recognizer: EmotionRecognizer,
        waveform: Waveform,
        options: PredictOptions,
        turn: ScheduledWork,
    ) -> Prediction:
        channel = waveform.channel
        prediction = await self.batcher.recognize(recognizer, waveform, options, turn.progress)
        return on_channel(prediction, channel)

    async def vectors(
        self, upload: BinaryIO, file: str, recognizer: EmotionRecognizer
    ) -> tuple[float, Vectors]:
        """Return the seconds of an upload, and its vectors for a profile; as ``recognize``."""
        began = perf_counter()
        with self.schedule.admission() as turn:
            waveforms = await self.decoders.decode_channels(upload, file, "mix", turn.admit_long)
            seconds = waveforms[0].seconds
            turn.admit(seconds)
            self._count(seconds, {"decode": perf_counter() - began})
            return seconds, await self.batcher.vectors(recognizer, waveforms[0])

    def missed_deadline(self, deadline: Deadline) -> ApiError:
        """Return the error of a request that was not done in time."""
        return self.schedule.missed(deadline)

    def _count(self, audio_seconds: float, timings: dict[str, float]) -> None:
        self._meters.audio.inc(audio_seconds)
        for stage in _STAGES:
            if stage in timings:
                self._meters.stages.labels(stage).observe(timings[stage])


def _combined(
    predictions: Sequence[Prediction], recognizer: EmotionRecognizer, options: RecognizeOptions
) -> Prediction:
    if options.channels == "split":
        return combine_channels(predictions, recognizer.abstain_below)
    return predictions[0]


def _narrow(prediction: Prediction, options: RecognizeOptions) -> Prediction:
    """Restrict a prediction to what is asked for; its summary counts all of the chosen emotions."""
    chosen = prediction.narrowed(options.labels, None)
    if options.summary:
        chosen = with_summary(chosen)
    return chosen.narrowed((), options.top_k)


def _slowest(predictions: Iterable[Prediction]) -> dict[str, float]:
    """Seconds by stage of the channel that took longest; channels are processed side by side."""
    return max((one.timings for one in predictions), key=lambda timings: sum(timings.values()))


def _decoder_limits(limits: ServeLimits) -> DecoderLimits:
    alarm = limits.decode_seconds + _ALARM_SLACK_SECONDS
    return DecoderLimits(limits.audio_seconds, limits.decoded_bytes, limits.decoder_bytes, alarm)
