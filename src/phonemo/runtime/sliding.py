"""A long recording while it is heard: samples in pieces, segments as soon as they are known.

Files in blocks and live streams are heard by the same code, so that their answers are the same.
Nothing but the answer grows with the length of the recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan, Prediction, ProfileMark, Segment
from phonemo.audio import RATE
from phonemo.errors import AudioError
from phonemo.runtime.adaptation.streaming import GrowingProfile
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
    """Something that became known of a stream.

    Attributes:
        kind: "window": what one window says, at once and not smoothed; "segment": a stretch of the
            timeline, which will not change any more.
        segment: when and what.
        speech_ratio: share of a window in which somebody speaks; None for a segment.
        vector: of a window, what the emotion head read, before a profile's map, (feature,): for
            a phonemo.runtime.adaptation.pool.VectorPool; None for a segment, or where the model
            does not give it.
        profile: the profile that the window was recognized with, or for a segment the one of the
            newest window when it was closed; None where there was none.
    """

    kind: str
    segment: Segment
    speech_ratio: float | None = None
    vector: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    profile: ProfileMark | None = None


class SlidingInference:
    """One long recording.

    Args:
        hear: what makes scores and phonemes of a window, (sample,).
        labels: the emotions, in the order of the scores.
        detector: of voice activity, fresh.
        window_seconds: the length of a window.
        profile: names the profile that ``recognize`` applies.
        growing: what ``recognize`` calls, where the windows adapt those that follow them.
    """

    def __init__(
        self,
        hear: Callable[[Samples], ClipScores],
        labels: Sequence[str],
        detector: Detector,
        window_seconds: float = WINDOW_SECONDS,
        profile: ProfileMark | None = None,
        growing: GrowingProfile | None = None,
    ) -> None:
        self._recognize_clip = hear
        self._profile = profile
        self._growing = growing
        self._labels = tuple(labels)
        self._windower = SlidingWindows(window_seconds)
        self._track = VadTrack(detector)
        self._timeline = Timeline(labels, self._windower.hop, self._track.extent)
        self._total = np.zeros(len(self._labels))
        self._weight = 0.0
        self._last: Window | None = None
        self._spans: list[PhonemeSpan] | None = []
        self._timings: Counter[str] = Counter()

    def push(self, samples: Samples) -> list[Event]:
        """What became known with the samples that follow, (sample,) at 16 kHz."""
        self._track.push(samples)
        return self._events(self._windower.push(samples))

    def finish(self) -> list[Event]:
        """What the end makes known; nothing may follow."""
        events = self._events(self._windower.finish(), last=True)
        closed = self._timeline.finish(self._windower.samples)
        return [*events, *self._segment_events(closed)]

    def answer(self, warnings: Sequence[str] = ()) -> Prediction:
        """The whole recording, after ``finish``.

        Its scores are the mean over its windows, weighted by their speech. Without any speech they
        are those of its last window, and mean nothing: it carries the warning "no_speech".
        """
        silent = self._weight == 0
        shares = self._unspoken() if silent else self._total / self._weight
        samples = self._windower.samples
        whole = segment_of(0, samples, self._labels, shares)
        return Prediction(
            label=whole.label,
            scores=whole.scores,
            seconds=samples / RATE,
            spans=None if self._spans is None else tuple(self._spans),
            warnings=(*warnings, "windowed", *(("no_speech",) if silent else ())),
            segments=tuple(self._timeline.segments),
            speech_ratio=self._track.share(0, samples),
            timings=dict(self._timings),
            profile=self._profile,
        )

    def _events(self, windows: Iterable[Window], last: bool = False) -> list[Event]:
        events: list[Event] = []
        for window in windows:
            spoken = self._track.seconds(window.start, window.end)
            opinion = None
            self._last = window
            if spoken >= LEAST_SPEECH_SECONDS:
                heard = self._recognize_clip(window.samples)
                opinion = WindowScore(heard.scores, spoken)
                self._keep(window, heard, spoken, last)
                self._profile = self._profile if self._growing is None else self._growing.applied
                events.append(self._event(window, heard))
                self._grow(window, heard, spoken)
            events += self._segment_events(self._timeline.add(opinion))
        return events

    def _grow(self, window: Window, heard: ClipScores, spoken: float) -> None:
        """Every second window, as they overlap by half."""
        if self._growing is not None and window.start % (2 * self._windower.hop) == 0:
            self._growing.add(heard.vector, spoken)

    def _segment_events(self, closed: Iterable[Segment]) -> list[Event]:
        return [Event("segment", segment, profile=self._profile) for segment in closed]

    def _unspoken(self) -> Floats:
        if self._last is None:
            raise AudioError("empty_audio", "no samples were heard; audio is wanted")
        return self._recognize_clip(self._last.samples).scores

    def _event(self, window: Window, heard: ClipScores) -> Event:
        segment = segment_of(window.start, window.end, self._labels, heard.scores)
        share = self._track.share(window.start, window.end)
        return Event("window", segment, share, heard.vector, self._profile)

    def _keep(self, window: Window, heard: ClipScores, spoken: float, last: bool) -> None:
        self._total += heard.scores * spoken
        self._weight += spoken
        self._timings.update(heard.timings)
        if heard.spans is None or self._spans is None:
            self._spans = None
            return
        self._spans += self._own(window, heard.spans, last)

    def _own(self, window: Window, spans: Sequence[PhonemeSpan], last: bool) -> list[PhonemeSpan]:
        """The phonemes of a window's middle half, in the time of the recording.

        Each is taken from the window that hears most around it; the first and the last window own
        what lies towards the recording's ends.
        """
        begin = window.start / RATE
        quarter = self._windower.hop / RATE / 2
        first = 0.0 if window.start == 0 else begin + quarter
        stop = np.inf if last else begin + 3 * quarter
        moved = [one.moved(begin) for one in spans]
        return [one for one in moved if first <= (one.start + one.end) / 2 < stop]
