"""Recordings that are opened and not yet processed: long ones, and those split by channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter
from typing import Protocol

from phonemo.annotations.prediction import Prediction
from phonemo.audio import AudioLimits, Excerpt, WaveformReader
from phonemo.audio.each_channel import channel_excerpts, reopened
from phonemo.errors import PhonemoError
from phonemo.runtime.batching import Outcome
from phonemo.runtime.parts.channel_predictions import combine_channels, on_channel, with_sound
from phonemo.runtime.windows import PredictOptions, Samples


class _Recognizer(Protocol):
    """What predicts an opened recording."""

    limits: AudioLimits
    abstain_below: float

    def predict_chunks(self, pieces: Iterable[Samples], options: PredictOptions) -> Prediction:
        """Predict a long recording as its pieces arrive."""

    def predict(
        self,
        audio: Excerpt,
        rate: int | None = None,
        *,
        shares: bool = False,
        timeline: bool = False,
    ) -> Prediction:
        """Predict a recording."""


class _OpenedRecording(ABC):
    """A recording that is processed later, once."""

    @abstractmethod
    def predict(self) -> Prediction:
        """Predict it."""

    def recognize(self) -> Outcome:
        """Return the prediction or the error."""
        try:
            return self.predict()
        except PhonemoError as error:
            return error


class LongRecording(_OpenedRecording):
    """A long recording whose beginning is decoded; it stays open until it is processed."""

    def __init__(
        self,
        recognizer: _Recognizer,
        reader: WaveformReader,
        pieces: Iterable[Samples],
        options: PredictOptions,
        stack: ExitStack,
    ) -> None:
        self._recognizer, self._reader, self._pieces = recognizer, reader, pieces
        self._options, self._stack = options, stack

    def read(self) -> Iterator[Samples]:
        """Yield all samples, (sample,) each, while the rest is decoded; may be called once."""
        with self._stack:
            yield from self._pieces

    def predict(self) -> Prediction:
        """Predict while the rest is decoded."""
        began = perf_counter()
        with self._stack:
            prediction = self._recognizer.predict_chunks(self._pieces, self._options)
            warnings = (*self._reader.warnings, *prediction.warnings)
        rest = perf_counter() - began - sum(prediction.timings.values())
        timings = {"decode": rest, **prediction.timings}
        prediction = replace(prediction, warnings=warnings, timings=timings)
        return on_channel(prediction, self._reader.channel)


class SplitRecording(_OpenedRecording):
    """A recording of which each channel is processed on its own."""

    def __init__(
        self,
        recognizer: _Recognizer,
        excerpt: Excerpt,
        rate: int | None,
        options: PredictOptions,
    ) -> None:
        self._recognizer, self._excerpt = recognizer, excerpt
        self._rate, self._options = rate, options

    def predict(self) -> Prediction:
        """Predict channel by channel; a channel without sound is left out."""
        limits = self._recognizer.limits
        with ExitStack() as stack:
            rewind = reopened(self._excerpt.source, limits, stack)
            excerpt = replace(self._excerpt, source=rewind())
            parts = channel_excerpts(excerpt, self._rate, limits, stack)
            kept = with_sound([self._predict(part) for part in parts])
            kept = kept or [self._predict(replace(excerpt, source=rewind()))]
        return combine_channels(kept, self._recognizer.abstain_below)

    def _predict(self, excerpt: Excerpt) -> Prediction:
        shares, timeline = self._options.shares, self._options.timeline
        return self._recognizer.predict(excerpt, self._rate, shares=shares, timeline=timeline)
