"""Live audio: packets in, events out, and at the end the answer that a file would get."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from phonemo.audio import RATE
from phonemo.decoding import RATES, SCALES
from phonemo.errors import AudioError, UsageError
from phonemo.levels import Level
from phonemo.prediction import Prediction, ProfileMark
from phonemo.resampling import MAX_LEVEL
from phonemo.runtime.growing import Growing
from phonemo.runtime.hearing import Event
from phonemo.runtime.listener import Listener
from phonemo.runtime.profile import Profile

_KINDS = ("int16", "float32", "float64")


class StreamingRecognizer:
    """Emotions of one stream while it runs.

    A window of 3 s is heard every 1.5 s, as soon as its last sample is there. A segment of the
    timeline comes when nothing can change it any more, at most 6 s after its end. Held are one
    window of audio, and what was heard.

    Args:
        listener: what phonemo.load gives.
        rate: samples per second of what is pushed.
        shares: whether every phoneme says what it adds to the winning score.
        adapt: whether a profile of the stream's own windows grows, and is applied to those that
            follow, from phonemo.runtime.adaptation.LEAST_POOL of them on: about 15 s of speech.
            It is shrunk towards the profile that ``listener`` applies. Events and the answer name
            the newest one.

    Raises:
        UsageError: a rate that is not taken.
        ModelError: ``adapt`` with a model that takes no profile.
    """

    def __init__(
        self, listener: Listener, rate: int = RATE, *, shares: bool = False, adapt: bool = False
    ) -> None:
        if rate not in RATES:
            raise UsageError(f"rate {rate} Hz; {RATES[0]} to {RATES[-1]} are wanted")
        self._listener = listener
        self._growing = Growing(listener) if adapt else None
        self._hearing = listener.hearing(shares, self._growing)
        self._resampler = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1)
        self._level = Level()
        self._ended = False

    @property
    def applied(self) -> ProfileMark | None:
        """Names the profile that the next window is recognized with."""
        return self._listener.applied if self._growing is None else self._growing.applied

    @property
    def profile(self) -> Profile | None:
        """The profile of this stream so far; None without ``adapt``, or before there is speech.

        It is personal data where one person speaks: a coarse voice print.
        """
        return None if self._growing is None else self._growing.profile

    def reset_profile(self, *, everything: bool = False) -> None:
        """Forget what the profile is of; the next window is recognized as the first one was.

        Args:
            everything: whether the profile that the model was given with is forgotten too.

        Raises:
            UsageError: the stream does not adapt.
        """
        if self._growing is None:
            raise UsageError("this stream has no profile of its own; open it with adapt=True")
        self._growing.reset(everything)

    def push(self, samples: npt.ArrayLike) -> list[Event]:
        """What becomes known with the samples that follow.

        Args:
            samples: mono, (sample,), int16, float32 or float64, of any length.

        Raises:
            AudioError: samples of another kind or shape, NaN, infinite ones, or some far beyond
                full scale; the stream goes on as if they had not come.
            UsageError: the stream was finished.
        """
        self._check_open()
        return self._heard(_checked(np.asarray(samples)), last=False)

    def finish(self) -> tuple[list[Event], Prediction]:
        """The last events, and the answer for the whole stream.

        Raises:
            AudioError: nothing was pushed.
            UsageError: the stream was finished before.
        """
        self._check_open()
        events = self._heard(np.zeros(0, dtype=np.float32), last=True)
        self._ended = True
        events += self._hearing.finish()
        found = self._hearing.answer(self._level.warnings(truncated=False))
        return events, found.doubted(self._listener.abstain_below)

    def _check_open(self) -> None:
        if self._ended:
            raise UsageError("the stream was finished; make a new one")

    def _heard(self, samples: npt.NDArray[np.float32], last: bool) -> list[Event]:
        self._level.hear(samples[:, None])
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        self._level.listen(samples)
        return self._hearing.push(samples)


def _checked(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """A copy as float32 with full scale 1: the caller may use his buffer again."""
    if samples.ndim != 1 or samples.dtype.name not in _KINDS:
        found = f"{samples.dtype.name} of shape {samples.shape}"
        wanted = "(sample,) of int16, float32 or float64 is wanted: mix the channels first"
        raise AudioError("invalid_audio", f"stream: {found} found; {wanted}")
    with np.errstate(over="ignore"):
        scaled = samples.astype(np.float32) / np.float32(SCALES[samples.dtype.name])
    if not np.abs(scaled).max(initial=0.0) <= MAX_LEVEL:  # NaN too
        wanted = "numbers with a full scale of 1 are wanted; leave it out"
        raise AudioError("invalid_audio", f"stream: a sample is not finite, or far off; {wanted}")
    return scaled
