"""A model that takes profiles: vectors of recordings, their profile, a copy that applies it.

Recordings to the vectors that a pool is made of: the first pass of adaptation.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from typing import Protocol, Self

import numpy as np

from phonemo.annotations.prediction import ProfileMark
from phonemo.audio import RATE, AudioLimits, Excerpt, Source, Waveform
from phonemo.errors import ModelError, PhonemoError, UsageError
from phonemo.runtime.adaptation.pool import Floats, VectorPool, Vectors
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import (
    Affine,
    Reference,
    Statistics,
    affine,
    shrink_towards,
)
from phonemo.runtime.batching import Deferred, map_ordered
from phonemo.runtime.vad import VadTrack, detector_of
from phonemo.runtime.windows import (
    LEAST_SPEECH_SECONDS,
    ClipScores,
    Samples,
    SlidingWindows,
    Window,
)

Found = Vectors | PhonemoError


def vectors_of(
    listener: Adaptable,
    recordings: Iterable[Source | Excerpt | PhonemoError],
    rate: int | None,
    jobs: int,
) -> Iterator[Found]:
    """What each recording adds to a pool, in their order; see EmotionRecognizer.vectors."""

    def open_one(one: Source | Excerpt | PhonemoError) -> Waveform | Deferred[Found] | Found:
        if isinstance(one, PhonemoError):
            return one
        try:
            found = listener._open_audio(one, rate, shares=False)
        except PhonemoError as error:
            return error
        return found if isinstance(found, Waveform) else _LongVectors(listener, found.read())

    def together(clips: Sequence[Waveform]) -> list[Found]:
        return [_guarded(partial(waveform_vectors, listener, clip)) for clip in clips]

    # each by itself: what a vector is must not hang on its neighbours in a batch
    return map_ordered(recordings, open_one, together, jobs=jobs, batch_samples=0)


def waveform_vectors(listener: Adaptable, waveform: Waveform) -> Vectors:
    """The vector of decoded audio, or of a long one the vectors of its windows.

    Raises:
        ModelError: the network fails.
    """
    samples = waveform.samples
    if len(samples) > listener.whole_seconds * RATE:
        return window_vectors(listener, [samples])
    track = VadTrack(detector_of(listener.activity))
    track.push(samples)
    seconds = track.seconds(0, len(samples))
    return _stacked([listener.vector_of(samples)] if seconds else [], seconds)


def window_vectors(listener: Adaptable, pieces: Iterable[Samples]) -> Vectors:
    """The vectors of a long recording: of every second window, as they overlap by half.

    Args:
        listener: the model.
        pieces: (sample,) at 16 kHz each, in order; an exception of theirs is let through.

    Raises:
        ModelError: the network fails.
    """
    windower = SlidingWindows(listener.window_seconds)
    track = VadTrack(detector_of(listener.activity))
    rows, total = [], 0.0
    for window in _windows(windower, track, pieces):
        seconds = track.seconds(window.start, window.end)
        if window.start % (2 * windower.hop) == 0 and seconds >= LEAST_SPEECH_SECONDS:
            rows.append(listener.vector_of(window.samples))
            total += seconds
    return _stacked(rows, total)


class _LongVectors:
    """A recording whose windows are cut while it is decoded."""

    def __init__(self, listener: Adaptable, pieces: Iterable[Samples]) -> None:
        self._listener, self._pieces = listener, pieces

    def recognize(self) -> Found:
        """Its vectors, or why there are none."""
        return _guarded(partial(window_vectors, self._listener, self._pieces))


def _windows(
    windower: SlidingWindows, track: VadTrack, pieces: Iterable[Samples]
) -> Iterator[Window]:
    for piece in pieces:
        track.push(piece)
        yield from windower.push(piece)
    yield from windower.finish()


def _guarded(make: Callable[[], Vectors]) -> Found:
    try:
        return make()
    except PhonemoError as error:
        return error


def _stacked(rows: Sequence[Floats], seconds: float) -> Vectors:
    return Vectors(np.stack(rows) if rows else np.zeros((0, 0), np.float32), seconds)


class Readable(Protocol):
    """A recording that is too long to be recognized at once."""

    def read(self) -> Iterable[Samples]:
        """Its samples, (sample,) at 16 kHz each, in order."""


class Adaptable(ABC):
    """The part of a Listener that has to do with profiles.

    A copy that applies a profile shares the network; nothing of a model changes once it is made,
    so that threads may use any number of copies at once.
    """

    activity: str
    limits: AudioLimits
    whole_seconds: float
    window_seconds: float
    reference: Reference | None = None
    """What adaptation needs of the model; None for one that takes no profile."""
    applied: ProfileMark | None = None
    """Names the profile that ``with_profile`` applied."""
    _affine: Affine | None = None
    """The map that the applied profile makes of a vector."""
    source: Statistics | None = None
    """The applied profile's statistics, shrunk."""

    def vectors(
        self,
        recordings: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
    ) -> Iterator[Vectors | PhonemoError]:
        """What each recording adds to a pool, in their order, as they are ready.

        Each is decoded by itself, and the profile that is applied changes nothing of them.

        Args:
            recordings: as for ``predict_many``.
            rate: samples per second, for arrays.
            jobs: how many are decoded at once; None is one for each processor.

        Yields:
            Vectors, or the error of a recording that cannot be used.

        Raises:
            ModelError: the model takes no profile.
            UsageError: one recording instead of several, or an unknown voice activity.
        """
        self.adaptable()
        detector_of(self.activity)  # an unknown one is no fault of the recordings
        if isinstance(recordings, str | bytes | os.PathLike):
            raise UsageError("one recording; a list of recordings is expected")
        listener, count = self.for_jobs(jobs)
        return vectors_of(listener, recordings, rate, count)

    def profile(
        self,
        recordings: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
    ) -> Profile:
        """The profile of a source, from unlabelled recordings of it, in any order.

        Recordings that cannot be used and those without speech are left out; ``vectors`` and
        ``phonemo.runtime.adaptation.pool.VectorPool`` say which. Every vector is kept until the
        end, 4 bytes a
        feature: of very many recordings give some hundreds, more gain little.

        Args:
            recordings: of one microphone, call centre or person; as for ``predict_many``.
            rate: samples per second, for arrays.
            jobs: how many are decoded at once; None is one for each processor.

        Raises:
            UsageError: no recording with speech.
            ModelError: the model takes no profile.
        """
        found = self.vectors(recordings, rate, jobs=jobs)
        return VectorPool(self.adaptable()).take_all(found).profile()

    def with_profile(self, profile: Profile | str | os.PathLike[str] | None) -> Self:
        """A recognizer that applies a profile; it shares the network, and this one is unchanged.

        Args:
            profile: a profile, or the path of its file; None applies none.

        Raises:
            UsageError: the file cannot be used, or the profile is of another model.
            ModelError: the model takes no profile.
        """
        if profile is None:
            return self.with_statistics(None, None)
        reference = self.adaptable()
        if not isinstance(profile, Profile):
            profile = Profile.load(profile)
        profile.check(reference)
        return self.with_statistics(shrink_towards(profile.statistics, reference), profile.mark)

    def with_statistics(self, source: Statistics | None, mark: ProfileMark | None) -> Self:
        """The same for statistics that are shrunk already, as of a pool that still grows.

        Args:
            source: of phonemo.runtime.adaptation.statistics.shrink_towards; None applies none.
            mark: what predictions name them by.

        Raises:
            ModelError: the model takes no profile.
        """
        found = copy(self)
        found.applied, found.source = mark, source
        found._affine = None if source is None else affine(source, self.adaptable())
        return found

    def adapted(
        self,
        recordings: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
    ) -> Self:
        """A recognizer that applies the profile of these recordings.

        The recordings are often those to be recognized afterwards: that is a second pass over
        them, so give a list and no iterator. Arguments and errors are those of ``profile``.
        """
        return self.with_profile(self.profile(recordings, rate, jobs=jobs))

    def adaptable(self) -> Reference:
        """The model's reference; ModelError where it has none."""
        if self.reference is None:
            raise ModelError(
                "this model takes no profile: it has no statistics of its training sources; "
                "train it with head: linear and strategy: logistic, and export it again"
            )
        return self.reference

    def vector_of(self, samples: Samples) -> Floats:
        """What the emotion head reads of one clip (sample,), before any map: (feature,) float32.

        Raises:
            ModelError: the model does not give it, or fails.
        """
        found = self._recognize_clip(samples, shares=False).vector
        if found is None:
            raise ModelError("this model gives no vector for a profile; export it again")
        return found

    @abstractmethod
    def for_jobs(self, jobs: int | None) -> tuple[Adaptable, int]:
        """The recognizer for several recordings at once, and how many."""

    @abstractmethod
    def _recognize_clip(self, samples: Samples, shares: bool) -> ClipScores:
        """What the network says of one clip (sample,)."""

    @abstractmethod
    def _open_audio(
        self, audio: Source | Excerpt, rate: int | None, shares: bool
    ) -> Waveform | Readable:
        """A short recording decoded, or the beginning of a long one."""
