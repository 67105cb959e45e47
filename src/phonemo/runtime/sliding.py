"""Sliding-window inference: samples in pieces, segments as soon as they are decided.

Files read in blocks and live streams use the same code, so their results are the same. Apart from
the results, memory does not grow with the length of the recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phonemo.annotations.doubt import mark_segment
from phonemo.annotations.prediction import PhonemeSpan, Prediction, ProfileMark, Segment
from phonemo.audio import RATE
from phonemo.errors import AudioError
from phonemo.runtime.adaptation.streaming import GrowingProfile
from phonemo.runtime.parts.dimensions import DimensionReader
from phonemo.runtime.timeline import Floats, Timeline, WindowScore, segment_of
from phonemo.runtime.vad import Detector, VadTrack
from phonemo.runtime.windows import (
    LEAST_SPEECH_SECONDS,
    WINDOW_SECONDS,
    ClipScores,
    Samples,
    SlidingWindows,
    Window,
)


@dataclass(frozen=True)
class Event:
    """A new result of a stream.

    Attributes:
        kind: "window": the score of one window, immediate and not smoothed; "segment": a section of
            the timeline, which is final.
        segment: the time span and its scores.
        speech_ratio: share of a window that is speech; None for a segment.
        vector: of a window, the emotion head's input before a profile's map, (feature,): for
            a phonemo.runtime.adaptation.pool.VectorPool; None for a segment, or where the model
            does not output it.
        profile: the profile that the window was recognized with, or for a segment that of the
            newest window when it was closed; None without one.
    """

    kind: str
    segment: Segment
    speech_ratio: float | None = None
    vector: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    profile: ProfileMark | None = None


class SlidingInference:
    """Windowed inference for one long recording.

    Args:
        recognize_clip: returns the scores and phonemes of a window, (sample,).
        labels: the emotions, in the order of the scores.
        detector: a new voice activity detector.
        window_seconds: window length.
        profile: mark of the profile that ``recognize_clip`` applies.
        growing: the profile behind ``recognize_clip`` that each window updates for the next ones.
        abstain_below: segments of events with a lower score are ``unsure``.
        dimensions: reads them from the scores; None for a model without them.
    """

    def __init__(
        self,
        recognize_clip: Callable[[Samples], ClipScores],
        labels: Sequence[str],
        detector: Detector,
        window_seconds: float = WINDOW_SECONDS,
        profile: ProfileMark | None = None,
        growing: GrowingProfile | None = None,
        abstain_below: float = 0.0,
        dimensions: DimensionReader | None = None,
    ) -> None:
        self._threshold = abstain_below
        self._recognize_clip = recognize_clip
        self._profile = profile
        self._growing = growing
        self._labels = tuple(labels)
        self._windows = SlidingWindows(window_seconds)
        self._track = VadTrack(detector)
        self._dimensions = dimensions
        self._timeline = Timeline(
            labels, self._windows.hop, self._track.extent, dimensions=dimensions
        )
        self._total: Floats = np.zeros(1)
        self._weight = 0.0
        self._last: Window | None = None
        self._spans: list[PhonemeSpan] | None = []
        self._timings: Counter[str] = Counter()

    def push(self, samples: Samples) -> list[Event]:
        """Process the next samples, (sample,) at 16 kHz, and return the new events."""
        self._track.push(samples)
        return self._events(self._windows.push(samples))

    def finish(self) -> list[Event]:
        """Process the end of the recording; nothing may be pushed afterwards."""
        events = self._events(self._windows.finish(), last=True)
        closed = self._timeline.finish(self._windows.samples)
        return [*events, *self._segment_events(closed)]

    def answer(self, warnings: Sequence[str] = ()) -> Prediction:
        """The prediction for the whole recording, after ``finish``.

        Its scores are the windows' mean weighted by their speech. Without any speech they are those
        of the last window and meaningless: the prediction carries the warning "no_speech". Doubt is
        not in it: phonemo.annotations.doubt.with_doubt adds it.
        """
        no_speech = self._weight == 0
        mean = self._scores_without_speech() if no_speech else self._total / self._weight
        samples = self._windows.samples
        overall = segment_of(0, samples, self._labels, mean, dimensions=self._dimensions)
        return Prediction(
            label=overall.label,
            scores=overall.scores,
            seconds=samples / RATE,
            spans=None if self._spans is None else tuple(self._spans),
            warnings=(*warnings, "windowed", *(("no_speech",) if no_speech else ())),
            segments=tuple(self._timeline.segments),
            speech_ratio=self._track.share(0, samples),
            timings=dict(self._timings),
            profile=self._profile,
            dimensions=overall.dimensions,
        )

    def _events(self, windows: Iterable[Window], last: bool = False) -> list[Event]:
        events: list[Event] = []
        for window in windows:
            speech_seconds = self._track.seconds(window.start, window.end)
            score = None
            self._last = window
            if speech_seconds >= LEAST_SPEECH_SECONDS:
                clip = self._recognize_clip(window.samples)
                score = WindowScore(clip.row, speech_seconds)
                self._accumulate(window, clip, speech_seconds, last)
                self._profile = self._profile if self._growing is None else self._growing.applied
                events.append(self._event(window, clip))
                self._update_profile(window, clip, speech_seconds)
            events += self._segment_events(self._timeline.add(score))
        return events

    def _update_profile(self, window: Window, clip: ClipScores, speech_seconds: float) -> None:
        """Use every second window, as they overlap by half."""
        if self._growing is not None and window.start % (2 * self._windows.hop) == 0:
            self._growing.add(clip.vector, speech_seconds)

    def _segment_events(self, closed: Iterable[Segment]) -> list[Event]:
        marked = (mark_segment(segment, self._threshold) for segment in closed)
        return [Event("segment", segment, profile=self._profile) for segment in marked]

    def _scores_without_speech(self) -> Floats:
        if self._last is None:
            raise AudioError("empty_audio", "expected audio, got no samples")
        return self._recognize_clip(self._last.samples).row

    def _event(self, window: Window, clip: ClipScores) -> Event:
        segment = segment_of(
            window.start, window.end, self._labels, clip.row, dimensions=self._dimensions
        )
        segment = mark_segment(segment, self._threshold)
        share = self._track.share(window.start, window.end)
        return Event("window", segment, share, clip.vector, self._profile)

    def _accumulate(
        self, window: Window, clip: ClipScores, speech_seconds: float, last: bool
    ) -> None:
        self._total = self._total + clip.row * speech_seconds
        self._weight += speech_seconds
        self._timings.update(clip.timings)
        if clip.spans is None or self._spans is None:
            self._spans = None
            return
        self._spans += self._middle_spans(window, clip.spans, last)

    def _middle_spans(
        self, window: Window, spans: Sequence[PhonemeSpan], last: bool
    ) -> list[PhonemeSpan]:
        """The phonemes in a window's middle half, in the recording's time.

        Each is taken from the window with the most context around it; the first and the last window
        also keep those towards the recording's ends.
        """
        begin = window.start / RATE
        quarter = self._windows.hop / RATE / 2
        first = 0.0 if window.start == 0 else begin + quarter
        stop = np.inf if last else begin + 3 * quarter
        moved = [span.moved(begin) for span in spans]
        return [span for span in moved if first <= (span.start + span.end) / 2 < stop]
