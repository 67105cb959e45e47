"""Recordings to the vectors that a pool is made of: the first pass of adaptation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from phonemo.audio import RATE, Excerpt, Source, Waveform
from phonemo.errors import PhonemoError
from phonemo.runtime.activity import ActivityTrack, detector_of
from phonemo.runtime.many import Later, in_order
from phonemo.runtime.pool import Floats, Vectors
from phonemo.runtime.windows import LEAST_SPEECH_SECONDS, Samples, Window, Windower

if TYPE_CHECKING:
    from phonemo.runtime.adaptable import Adaptable

Found = Vectors | PhonemoError


def vectors_of(
    listener: Adaptable,
    recordings: Iterable[Source | Excerpt | PhonemoError],
    rate: int | None,
    jobs: int,
) -> Iterator[Found]:
    """What each recording adds to a pool, in their order; see Listener.vectors."""

    def opened(one: Source | Excerpt | PhonemoError) -> Waveform | Later[Found] | Found:
        if isinstance(one, PhonemoError):
            return one
        try:
            found = listener._opened(one, rate, shares=False)
        except PhonemoError as error:
            return error
        return found if isinstance(found, Waveform) else _Long(listener, found.read())

    def together(clips: Sequence[Waveform]) -> list[Found]:
        return [_guarded(partial(waveform_vectors, listener, clip)) for clip in clips]

    # each by itself: what a vector is must not hang on its neighbours in a batch
    return in_order(recordings, opened, together, jobs=jobs, batch_samples=0)


def waveform_vectors(listener: Adaptable, waveform: Waveform) -> Vectors:
    """The vector of decoded audio, or of a long one the vectors of its windows.

    Raises:
        ModelError: the network fails.
    """
    samples = waveform.samples
    if len(samples) > listener.whole_seconds * RATE:
        return window_vectors(listener, [samples])
    track = ActivityTrack(detector_of(listener.activity))
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
    windower = Windower(listener.window_seconds)
    track = ActivityTrack(detector_of(listener.activity))
    rows, total = [], 0.0
    for window in _windows(windower, track, pieces):
        seconds = track.seconds(window.start, window.end)
        if window.start % (2 * windower.hop) == 0 and seconds >= LEAST_SPEECH_SECONDS:
            rows.append(listener.vector_of(window.samples))
            total += seconds
    return _stacked(rows, total)


class _Long:
    """A recording whose windows are cut while it is decoded."""

    def __init__(self, listener: Adaptable, pieces: Iterable[Samples]) -> None:
        self._listener, self._pieces = listener, pieces

    def hear(self) -> Found:
        """Its vectors, or why there are none."""
        return _guarded(partial(window_vectors, self._listener, self._pieces))


def _windows(
    windower: Windower, track: ActivityTrack, pieces: Iterable[Samples]
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
