"""Emotion recognition for live streams: packets in, events out.

The final prediction of a stream equals that of a file with the same samples and a timeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import soxr

from phonemo.annotations.doubt import with_doubt
from phonemo.annotations.prediction import Prediction, ProfileMark
from phonemo.audio import RATE, Waveform
from phonemo.audio.arrays import raw_bytes, to_array, to_float32
from phonemo.audio.levels import LevelMeter
from phonemo.audio.pcm import PcmDecoder
from phonemo.audio.resample import MAX_LEVEL
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.streaming import GrowingProfile
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.sliding import Event
from phonemo.runtime.windows import PredictOptions


class StreamingRecognizer:
    """Recognizes emotions in a live stream.

    A window of 3 s is processed every 1.5 s, as soon as its last sample arrives. A segment of the
    timeline is reported when nothing can change it any more, at most 6 s after its end. At the end
    of a stream that one pass can process (``whole_seconds``), the whole is recognized in one, like
    a file; a longer or adapting one has the windows' mean. Memory holds the samples of one pass at
    most, and the results so far.

    Args:
        listener: a recognizer, as returned by phonemo.load.
        rate: samples per second of the pushed audio.
        encoding: what pushed bytes are: s16le, s16be, s24le, f32le, mulaw or alaw
            (``phonemo.audio.pcm`` lists further names). Arrays have their own type.
        channels: interleaved channels of pushed bytes, which are averaged.
        shares: whether to add each phoneme's contribution to the winning score.
        adapt: whether to build a profile of the stream's own windows and apply it to those that
            follow, from phonemo.runtime.adaptation.statistics.LEAST_POOL windows on (about 15 s of
            speech). It is shrunk towards the profile that ``listener`` applies. Events and the
            prediction name the newest one.

    Raises:
        UsageError: an unknown encoding, or an invalid rate or number of channels.
        ModelError: ``adapt`` with a model that takes no profile.
    """

    def __init__(
        self,
        listener: EmotionRecognizer,
        rate: int = RATE,
        *,
        encoding: str = "s16le",
        channels: int = 1,
        shares: bool = False,
        adapt: bool = False,
    ) -> None:
        self._decoder = PcmDecoder(encoding, rate, channels)
        rate = self._decoder.rate
        self._recognizer = listener
        self._growing = GrowingProfile(listener) if adapt else None
        self._options = PredictOptions(shares)
        self._inference = listener.sliding_inference(self._options, self._growing)
        self._kept: bytearray | None = None if adapt else bytearray()
        self._resampler = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1)
        self._level = LevelMeter()
        self._ended = False

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "expected a recognizer to pickle or copy, got a StreamingRecognizer, which holds the "
            "state of one live stream; create one per stream from a pickled recognizer"
        )

    @property
    def applied(self) -> ProfileMark | None:
        """Mark of the profile that is applied to the next window."""
        return self._recognizer.applied if self._growing is None else self._growing.applied

    @property
    def profile(self) -> Profile | None:
        """The profile of this stream so far; None without ``adapt``, or before there is speech.

        It is personal data where one person speaks: a coarse voice print.
        """
        return None if self._growing is None else self._growing.profile

    def reset_profile(self, *, everything: bool = False) -> None:
        """Reset the stream's profile; the next window is recognized like the first one.

        Args:
            everything: whether to drop the profile that the recognizer came with, too.

        Raises:
            UsageError: the stream does not adapt.
        """
        if self._growing is None:
            raise UsageError("the stream has no profile to reset; open it with adapt=True")
        self._growing.reset(everything)

    def push(self, samples: npt.ArrayLike) -> list[Event]:
        """Process the next samples and return the new events.

        Args:
            samples: mono samples of any number, (sample,): an array, a tensor or a list, as for
                ``load_waveform``; or bytes in the stream's encoding, as microphone libraries give
                them, of any number.

        Raises:
            AudioError: samples of another type or shape, NaN, infinite, or far beyond full scale;
                they are dropped and the stream can continue. wrong_encoding: bytes that are
                something else than the stream's encoding.
            UsageError: the stream was finished, or no samples at all.
        """
        self._check_open()
        data = raw_bytes(samples)
        decoded = _mono_of(samples) if data is None else self._decoder.push(data)
        return self._push_samples(_checked(decoded), last=False)

    def finish(self) -> tuple[list[Event], Prediction]:
        """Return the last events and the prediction for the whole stream.

        Raises:
            AudioError: nothing was pushed; wrong_encoding, as for ``push``.
            UsageError: the stream was finished before.
        """
        self._check_open()
        self._decoder.finish()
        events = self._push_samples(np.zeros(0, dtype=np.float32), last=True)
        self._ended = True
        events += self._inference.finish()
        return events, self._whole(self._level.warnings(truncated=False))

    def _whole(self, warnings: Sequence[str]) -> Prediction:
        windowed = self._inference.answer(warnings)
        if self._kept is None:
            return with_doubt(windowed, self._recognizer.abstain_below)
        waveform = Waveform(np.frombuffer(self._kept, dtype=np.float32), tuple(warnings))
        timeline = windowed.segments
        return self._recognizer.predict_streamed(waveform, timeline, self._options)

    def _check_open(self) -> None:
        if self._ended:
            raise UsageError("the stream was finished; create a new one")

    def _push_samples(self, samples: npt.NDArray[np.float32], last: bool) -> list[Event]:
        self._level.update_raw(samples[:, None])
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        self._level.update_mono(samples)
        self._keep(samples)
        return self._inference.push(samples)

    def _keep(self, samples: npt.NDArray[np.float32]) -> None:
        """Keep the samples for the pass over the whole, until there are too many for one."""
        if self._kept is None:
            return
        self._kept += samples.astype(np.float32, copy=False).tobytes()
        if len(self._kept) > 4 * self._recognizer.whole_seconds * RATE:
            self._kept = None


def _mono_of(samples: Any) -> npt.NDArray[np.float32]:
    """Copy to float32 with full scale 1, so that the caller may reuse the buffer."""
    array = to_array(samples, "stream")
    if array.ndim != 1:
        message = f"stream: expected mono samples, (sample,), got shape {np.shape(samples)}"
        raise AudioError("invalid_audio", f"{message}; mix the channels first")
    return to_float32(array)


def _checked(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not np.abs(samples).max(initial=0.0) <= MAX_LEVEL:  # NaN too
        raise AudioError(
            "invalid_audio",
            "stream: expected finite samples with a full scale of 1, got NaN, infinite or far "
            "larger ones; leave them out",
        )
    return samples
