"""Models that take profiles: vectors of recordings, their profile, a copy that applies it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from functools import partial
from typing import Protocol, Self

import numpy as np

from phonemo.annotations.prediction import ProfileMark
from phonemo.audio import (
    RATE,
    AudioLimits,
    Channels,
    Excerpt,
    Source,
    Waveform,
    parse_channels,
)
from phonemo.audio.arrays import is_single
from phonemo.audio.each_channel import channel_excerpts, chosen_excerpt
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
    PLAIN,
    ClipScores,
    PredictOptions,
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
    channels: Channels = "mix",
) -> Iterator[Found]:
    """The vectors that each recording adds to a pool, in order; see EmotionRecognizer.vectors."""

    def open_source(item: Source | Excerpt | PhonemoError) -> Waveform | Deferred[Found] | Found:
        if isinstance(item, PhonemoError):
            return item
        try:
            excerpt = chosen_excerpt(item, channels)
            if channels == "split" and excerpt.channel is None:
                return _SplitVectors(listener, excerpt, rate)
            opened = listener._open_audio(excerpt, rate, PLAIN)
        except PhonemoError as error:
            return error
        return opened if isinstance(opened, Waveform) else _LongVectors(listener, opened.read())

    def together(clips: Sequence[Waveform]) -> list[Found]:
        return [_vectors_or_error(partial(waveform_vectors, listener, clip)) for clip in clips]

    # one by one: a vector must not depend on the other clips of a batch
    return map_ordered(recordings, open_source, together, jobs=jobs, batch_samples=0)


def waveform_vectors(listener: Adaptable, waveform: Waveform) -> Vectors:
    """The vector of decoded audio, or the vectors of a long recording's windows.

    Raises:
        ModelError: the network fails.
    """
    samples = waveform.samples
    if len(samples) > listener.whole_seconds * RATE:
        return window_vectors(listener, [samples])
    track = VadTrack.of_clip(detector_of(listener.activity), samples)
    seconds = track.seconds(0, len(samples))
    return _stack_vectors([listener.vector_of(samples)] if seconds else [], seconds)


def window_vectors(listener: Adaptable, pieces: Iterable[Samples]) -> Vectors:
    """The vectors of a long recording: of every second window, as they overlap by half.

    Args:
        listener: the recognizer.
        pieces: (sample,) at 16 kHz each, in order; an exception they raise is propagated.

    Raises:
        ModelError: the network fails.
    """
    steps = window_vector_steps(listener, pieces)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            vectors: Vectors = end.value
            return vectors


def window_vector_steps(
    listener: Adaptable, pieces: Iterable[Samples]
) -> Generator[None, None, Vectors]:
    """As ``window_vectors``, but yield after each window."""
    windows = SlidingWindows(listener.window_seconds)
    track = VadTrack(detector_of(listener.activity))
    rows, total = [], 0.0
    for window in _windows(windows, track, pieces):
        seconds = track.seconds(window.start, window.end)
        if window.start % (2 * windows.hop) == 0 and seconds >= LEAST_SPEECH_SECONDS:
            rows.append(listener.vector_of(window.samples))
            total += seconds
        yield
    return _stack_vectors(rows, total)


class _LongVectors:
    """A recording whose windows are cut while it is decoded."""

    def __init__(self, recognizer: Adaptable, pieces: Iterable[Samples]) -> None:
        self._recognizer, self._pieces = recognizer, pieces

    def recognize(self) -> Found:
        """Return the vectors or the error."""
        return _vectors_or_error(partial(window_vectors, self._recognizer, self._pieces))


class _SplitVectors:
    """A recording whose channels add their vectors one after another."""

    def __init__(self, recognizer: Adaptable, excerpt: Excerpt, rate: int | None) -> None:
        self._recognizer, self._excerpt, self._rate = recognizer, excerpt, rate

    def recognize(self) -> Found:
        """Return the vectors or the error."""
        return _vectors_or_error(self._vectors)

    def _vectors(self) -> Vectors:
        with ExitStack() as stack:
            excerpts = channel_excerpts(self._excerpt, self._rate, self._recognizer.limits, stack)
            found = [self._channel_vectors(excerpt) for excerpt in excerpts]
        rows = [row for vectors in found for row in vectors.rows]
        return _stack_vectors(rows, sum(vectors.seconds for vectors in found))

    def _channel_vectors(self, excerpt: Excerpt) -> Vectors:
        opened = self._recognizer._open_audio(excerpt, self._rate, PLAIN)
        if isinstance(opened, Waveform):
            return waveform_vectors(self._recognizer, opened)
        return window_vectors(self._recognizer, opened.read())


def _windows(
    windows: SlidingWindows, track: VadTrack, pieces: Iterable[Samples]
) -> Iterator[Window]:
    for piece in pieces:
        track.push(piece)
        yield from windows.push(piece)
    yield from windows.finish()


def _vectors_or_error(make: Callable[[], Vectors]) -> Found:
    try:
        return make()
    except PhonemoError as error:
        return error


def _stack_vectors(rows: Sequence[Floats], seconds: float) -> Vectors:
    return Vectors(np.stack(rows) if rows else np.zeros((0, 0), np.float32), seconds)


class Readable(Protocol):
    """A recording too long to be recognized in one pass."""

    def read(self) -> Iterable[Samples]:
        """Yield its samples, (sample,) at 16 kHz each, in order."""


class Adaptable(ABC):
    """The part of EmotionRecognizer that handles profiles.

    A copy that applies a profile shares the network; a model never changes after its creation, so
    threads may use any number of copies at once.
    """

    activity: str
    limits: AudioLimits
    whole_seconds: float
    window_seconds: float
    reference: Reference | None = None
    """The statistics that adaptation needs; None for a model that takes no profile."""
    applied: ProfileMark | None = None
    """Mark of the profile that ``with_profile`` applied."""
    _affine: Affine | None = None
    """The applied profile's map of a vector."""
    source: Statistics | None = None
    """The applied profile's statistics, shrunk."""

    def __copy__(self) -> Self:
        """A recognizer that shares the network."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: object) -> Self:
        """The same as a copy: the network never changes, so sharing it is safe."""
        return self.__copy__()

    def vectors(
        self,
        recordings: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
        channels: Channels = "mix",
    ) -> Iterator[Vectors | PhonemoError]:
        """Yield the vectors that each recording adds to a pool, in order.

        Recordings are processed one by one, and an applied profile does not change their vectors.

        Args:
            recordings: as for ``predict_many``.
            rate: samples per second, for arrays.
            jobs: recordings processed at once; None is one per processor.
            channels: as for ``predict``; "split" gives the vectors of all channels.

        Yields:
            Vectors, or the error of a recording that cannot be used.

        Raises:
            ModelError: the model takes no profile.
            UsageError: a single recording instead of several, or an unknown voice activity.
        """
        self.adaptable()
        detector_of(self.activity)  # fail once here, not for every recording
        if is_single(recordings):
            raise UsageError("expected a list of recordings, got a single one; pass [recording]")
        recognizer, count = self.for_jobs(jobs)
        return vectors_of(recognizer, recordings, rate, count, parse_channels(channels))

    def profile(
        self,
        recordings: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
        channels: Channels = "mix",
    ) -> Profile:
        """Compute a source's profile from unlabeled recordings, in any order.

        Recordings that cannot be used and those without speech are left out; ``vectors`` and
        ``phonemo.runtime.adaptation.pool.VectorPool`` report them. All vectors are kept until the
        end, at 4 bytes a feature: some hundreds of recordings are enough, more gain little.

        Args:
            recordings: of one microphone, call center or person; as for ``predict_many``.
            rate: samples per second, for arrays.
            jobs: recordings processed at once; None is one per processor.
            channels: as for ``predict``; "split" takes the vectors of all channels.

        Raises:
            UsageError: no recording with speech.
            ModelError: the model takes no profile.
        """
        vectors = self.vectors(recordings, rate, jobs=jobs, channels=channels)
        return VectorPool(self.adaptable()).take_all(vectors).profile()

    def with_profile(self, profile: Profile | str | os.PathLike[str] | None) -> Self:
        """Return a recognizer that applies a profile and shares this one's network.

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

    def refined_by(self, profile: Profile) -> Self:
        """Return a recognizer that applies a profile shrunk towards what this one applies.

        Args:
            profile: of this model; not checked, as it comes from this recognizer's own pool.

        Raises:
            ModelError: the model takes no profile.
        """
        source = shrink_towards(profile.statistics, self.adaptable(), self.source)
        return self.with_statistics(source, profile.mark)

    def with_statistics(self, source: Statistics | None, mark: ProfileMark | None) -> Self:
        """Return a recognizer that applies statistics already shrunk, as of a growing pool.

        Args:
            source: from phonemo.runtime.adaptation.statistics.shrink_towards; None applies none.
            mark: identifies them in predictions.

        Raises:
            ModelError: the model takes no profile.
        """
        adapted = copy(self)
        adapted.applied, adapted.source = mark, source
        adapted._affine = None if source is None else affine(source, self.adaptable())
        return adapted

    def adapted(
        self,
        recordings: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
    ) -> Self:
        """Return a recognizer that applies the profile of these recordings.

        These are often the recordings to be recognized afterwards, which is a second pass over
        them: pass a list, not an iterator. Arguments and errors are those of ``profile``.
        """
        return self.with_profile(self.profile(recordings, rate, jobs=jobs))

    def adaptable(self) -> Reference:
        """Return the model's reference; ModelError where it has none."""
        if self.reference is None:
            raise ModelError(
                "this model takes no profile: it has no statistics of its training sources; "
                "train it with head: linear and strategy: logistic, and export it again"
            )
        return self.reference

    def vector_of(self, samples: Samples) -> Floats:
        """The emotion head's input for one clip (sample,), before any map: (feature,) float32.

        Raises:
            ModelError: the model does not output it, or fails.
        """
        vector = self._recognize_clip(samples, PLAIN).vector
        if vector is None:
            raise ModelError("this model outputs no vector for a profile; export it again")
        return vector

    @abstractmethod
    def for_jobs(self, jobs: int | None) -> tuple[Adaptable, int]:
        """The recognizer for several recordings at once, and their number."""

    @abstractmethod
    def _recognize_clip(self, samples: Samples, options: PredictOptions) -> ClipScores:
        """Process one clip (sample,)."""

    @abstractmethod
    def _open_audio(
        self, audio: Source | Excerpt, rate: int | None, options: PredictOptions
    ) -> Waveform | Readable:
        """Decode a short recording, or the beginning of a long one."""
