"""Something that answers for recordings, whatever network it holds.

Live audio: packets in, events out, and at the end the answer that a file would get.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from phonemo.annotations.prediction import Prediction, ProfileMark, Segment
from phonemo.annotations.turns import Turn
from phonemo.audio import (
    RATE,
    AudioLimits,
    Excerpt,
    Source,
    Waveform,
    WaveformReader,
    open_waveform,
)
from phonemo.audio.decode import RATES, SCALES
from phonemo.audio.levels import LevelMeter
from phonemo.audio.resample import MAX_LEVEL
from phonemo.errors import AudioError, PhonemoError, UsageError
from phonemo.runtime.adaptation.adaptable import Adaptable
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.streaming import GrowingProfile
from phonemo.runtime.batching import Opened, Outcome, map_ordered
from phonemo.runtime.sliding import Event, SlidingInference
from phonemo.runtime.speaker_turns import predict_turns, reopened, resolve_turns, speakers_adapted
from phonemo.runtime.timeline import segment_of
from phonemo.runtime.vad import VadTrack, detector_of
from phonemo.runtime.windows import WHOLE_SECONDS, WINDOW_SECONDS, ClipScores, Samples


class EmotionRecognizer(Adaptable):
    """Emotions from files, bytes or arrays.

    A recording of up to ``whole_seconds`` is heard whole and by itself. A longer one is heard in
    windows of ``window_seconds`` that overlap by half, while it is decoded: its scores are the
    windows' mean weighted by their speech, its ``segments`` the timeline, and it carries the
    warning "windowed". Where the highest score is below the model's threshold, the answer carries
    the warning "unsure" and is better not relied upon; "no_speech" says that no voice was found.
    """

    whole_seconds: float = WHOLE_SECONDS
    window_seconds: float = WINDOW_SECONDS
    abstain_below: float = 0.0
    activity: str = "energy"
    """The voice activity: a key of phonemo.runtime.vad.DETECTORS."""
    limits: AudioLimits = AudioLimits()

    @property
    @abstractmethod
    def labels(self) -> Sequence[str]:
        """The emotions, in the order of the scores."""

    def predict(
        self,
        audio: Source | Excerpt,
        rate: int | None = None,
        *,
        shares: bool = False,
        timeline: bool = False,
        turns: Sequence[Turn] | str | os.PathLike[str] | None = None,
        by_speaker: bool = False,
    ) -> Prediction:
        """The emotion of one recording.

        Args:
            audio: a path, the bytes or an open binary file of one, or samples (sample,) or
                (channel, sample); or an Excerpt of any of these.
            rate: samples per second, for an array.
            shares: whether every phoneme says what it adds to the winning score.
            timeline: whether a short recording gets a timeline too, in ``segments``.
            turns: who speaks when, or a file that says so; ``segments`` are then these, each
                heard by itself, and the scores their mean weighted by their length. A turn that
                is too short or begins after the end is left out, and the answer carries the
                warning "turns_skipped".
            by_speaker: whether the turns of a speaker who has enough speech in them
                (phonemo.runtime.speaker_turns) are adapted by that speaker's own statistics, shrunk
                towards the applied profile or the training sources. It decodes the turns twice.

        Raises:
            AudioError: the recording cannot be used.
            UsageError: turns that are none, or of an excerpt, or a timeline of them; or
                ``by_speaker`` without turns.
            ModelError: ``by_speaker`` with a model that takes no profile.
        """
        if by_speaker and turns is None:
            raise UsageError("by_speaker without turns; say who speaks when: turns=FILE")
        if turns is not None:
            if isinstance(audio, Excerpt):
                raise UsageError("turns are of a whole recording; give the recording itself")
            if timeline:
                raise UsageError("turns and timeline: turns are heard one by one; give one of them")
            turns = resolve_turns(turns, audio)
            return self._by_turns(audio, rate, turns, shares, by_speaker)
        began = perf_counter()
        opened = self._open_audio(audio, rate, shares)
        if isinstance(opened, _LongRecording):
            return opened.predict()
        decoding = {"decode": perf_counter() - began}
        answer = self.predict_waveform(opened, shares=shares, timeline=timeline)
        return replace(answer, timings=decoding | answer.timings)

    def predict_many(
        self,
        audio: Iterable[Source | Excerpt | PhonemoError],
        rate: int | None = None,
        *,
        jobs: int | None = None,
        shares: bool = False,
        timeline: bool = False,
        batch_seconds: float = 4.0,
    ) -> Iterator[Outcome]:
        """The emotions of many recordings, in their order, as they are ready.

        Few are held at a time, so the recordings may be endless. Short ones of like length are
        heard together, where that changes nothing of what is said of them (``supports_batching``).

        Args:
            audio: recordings as ``predict`` takes them. An error among them is given back in its
                place: of a recording that could not be fetched.
            rate: samples per second, for arrays.
            jobs: how many are heard at once; None is one for each processor.
            shares: as for ``predict``.
            timeline: as for ``predict``.
            batch_seconds: how much audio is heard together; 0 hears every one by itself.

        Yields:
            A Prediction, or the error of a recording that cannot be used.
        """
        if isinstance(audio, str | bytes | os.PathLike):
            raise UsageError("one recording; predict_many wants a list of them")
        listener, count = self.for_jobs(jobs)

        def open_one(one: Source | Excerpt | PhonemoError) -> Opened:
            if isinstance(one, PhonemoError):
                return one
            try:
                return listener._open_audio(one, rate, shares)
            except PhonemoError as error:
                return error

        def recognize(clips: Sequence[Waveform]) -> list[Outcome]:
            return listener.predict_together(clips, shares, timeline)

        longest = int(batch_seconds * RATE) if self.supports_batching else 0
        return map_ordered(audio, open_one, recognize, jobs=count, batch_samples=longest)

    def predict_waveform(
        self, waveform: Waveform, *, shares: bool = False, timeline: bool = False
    ) -> Prediction:
        """The emotion of decoded audio; arguments as for ``predict``."""
        if len(waveform.samples) > self.whole_seconds * RATE:
            found = self.predict_chunks([waveform.samples], shares)
            return replace(found, warnings=(*waveform.warnings, *found.warnings))
        heard = self._recognize_clip(waveform.samples, shares)
        return self._answer(waveform, heard, timeline)

    def predict_together(
        self, clips: Sequence[Waveform], shares: bool, timeline: bool
    ) -> list[Outcome]:
        """The emotions of several short recordings of like length, heard as one batch.

        Args:
            clips: decoded audio, none longer than ``whole_seconds``.
            shares: as for ``predict``.
            timeline: as for ``predict``.
        """
        try:
            heard = self._recognize_clips([one.samples for one in clips], shares)
        except PhonemoError as error:
            return [error for _ in clips]
        return [self._answer(clip, one, timeline) for clip, one in zip(clips, heard, strict=True)]

    def predict_chunks(self, pieces: Iterable[Samples], shares: bool) -> Prediction:
        """The emotion of a long recording, heard in windows as its pieces come.

        Args:
            pieces: (sample,) at 16 kHz each, in order; an exception of theirs stops the hearing.
            shares: as for ``predict``.

        Raises:
            AudioError: there was no sample.
        """
        hearing = self.sliding_inference(shares)
        for piece in pieces:
            hearing.push(piece)
        hearing.finish()
        return hearing.answer().flag_unsure(self.abstain_below)

    def sliding_inference(
        self, shares: bool = False, growing: GrowingProfile | None = None
    ) -> SlidingInference:
        """A long recording, or a stream, to be recognized in windows.

        Args:
            shares: as for ``predict``.
            growing: made of this recognizer, where the windows adapt those that follow them.
        """
        recognize = self._recognize_clip if growing is None else growing.recognize
        return SlidingInference(
            lambda samples: recognize(samples, shares),
            self.labels,
            detector_of(self.activity),
            self.window_seconds,
            self.applied,
            growing,
        )

    @property
    def supports_batching(self) -> bool:
        """Whether clips may be heard as one batch: whether each is then heard as it is alone."""
        return True

    def for_jobs(self, jobs: int | None) -> tuple[EmotionRecognizer, int]:
        """The listener that hears several recordings at once, and how many."""
        return self, validate_jobs(jobs, 1)

    @abstractmethod
    def _recognize_clip(self, samples: Samples, shares: bool) -> ClipScores:
        """What is heard in one clip (sample,)."""

    def _recognize_clips(self, clips: Sequence[Samples], shares: bool) -> list[ClipScores]:
        """What is heard in each of several clips of like length."""
        return [self._recognize_clip(one, shares) for one in clips]

    def _open_audio(
        self, audio: Source | Excerpt, rate: int | None, shares: bool
    ) -> Waveform | _LongRecording:
        """A short recording decoded, or the beginning of a long one."""
        one = audio if isinstance(audio, Excerpt) else Excerpt(audio)
        with ExitStack() as stack:
            reader = stack.enter_context(
                open_waveform(
                    one.source, rate=rate, start=one.start, end=one.end, limits=self.limits
                )
            )
            pieces, held = iter(reader), []
            for piece in pieces:
                held.append(piece)
                if reader.samples > self.whole_seconds * RATE:
                    whole = chain(held, pieces)
                    return _LongRecording(self, reader, whole, shares, stack.pop_all())
            return Waveform(np.concatenate(held), reader.warnings)

    def _by_turns(
        self,
        audio: Source,
        rate: int | None,
        turns: Sequence[Turn],
        shares: bool,
        by_speaker: bool,
    ) -> Prediction:
        """A recording turn by turn, some speakers by a recognizer of their own."""
        apart: Mapping[str | None, EmotionRecognizer] = {}

        def predict(waveform: Waveform, turn: Turn) -> Prediction:
            return apart.get(turn.speaker, self).predict_waveform(waveform, shares=shares)

        with ExitStack() as stack:
            again = reopened(audio, self.limits, stack)
            if by_speaker:
                apart = speakers_adapted(self, again(), rate, turns)
            found = predict_turns(predict, again(), rate, turns, self.limits)
        segments = tuple(
            replace(one, profile=apart[one.speaker].applied) if one.speaker in apart else one
            for one in found.segments
        )
        found = replace(found, segments=segments, profile=self.applied)
        return found.flag_unsure(self.abstain_below)

    def _answer(self, waveform: Waveform, heard: ClipScores, timeline: bool) -> Prediction:
        """A recording that was heard whole."""
        size = len(waveform.samples)
        track = VadTrack(detector_of(self.activity))
        track.push(waveform.samples)
        ratio = track.share(0, size)
        whole = segment_of(0, size, self.labels, heard.scores)
        found = Prediction(
            label=whole.label,
            scores=whole.scores,
            seconds=waveform.seconds,
            spans=heard.spans,
            warnings=(*waveform.warnings, *(() if ratio else ("no_speech",))),
            segments=self._timeline(waveform.samples) if timeline else (whole,) * bool(ratio),
            speech_ratio=ratio,
            timings=heard.timings,
            profile=self.applied,
        )
        return found.flag_unsure(self.abstain_below)

    def _timeline(self, samples: Samples) -> tuple[Segment, ...]:
        return self.predict_chunks([samples], shares=False).segments


class _LongRecording:
    """A long recording whose beginning is decoded; it is open until it is heard."""

    def __init__(
        self,
        listener: EmotionRecognizer,
        reader: WaveformReader,
        pieces: Iterable[Samples],
        shares: bool,
        stack: ExitStack,
    ) -> None:
        self._listener, self._reader, self._pieces = listener, reader, pieces
        self._shares, self._stack = shares, stack

    def recognize(self) -> Outcome:
        """The answer, or why there is none."""
        try:
            return self.predict()
        except PhonemoError as error:
            return error

    def read(self) -> Iterator[Samples]:
        """All of its samples, (sample,) each, while the rest is decoded; once."""
        with self._stack:
            yield from self._pieces

    def predict(self) -> Prediction:
        """The answer, heard while the rest is decoded."""
        began = perf_counter()
        with self._stack:
            found = self._listener.predict_chunks(self._pieces, self._shares)
            warnings = (*self._reader.warnings, *found.warnings)
        rest = perf_counter() - began - sum(found.timings.values())
        return replace(found, warnings=warnings, timings={"decode": rest, **found.timings})


def validate_jobs(jobs: int | None, usual: int) -> int:
    """How many at once; UsageError for less than one."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs={jobs}; 1 or more are wanted")
    return usual if jobs is None else jobs


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
            follow, from phonemo.runtime.adaptation.statistics.LEAST_POOL of them on: about 15 s of
            speech.
            It is shrunk towards the profile that ``listener`` applies. Events and the answer name
            the newest one.

    Raises:
        UsageError: a rate that is not taken.
        ModelError: ``adapt`` with a model that takes no profile.
    """

    def __init__(
        self,
        listener: EmotionRecognizer,
        rate: int = RATE,
        *,
        shares: bool = False,
        adapt: bool = False,
    ) -> None:
        if rate not in RATES:
            raise UsageError(f"rate {rate} Hz; {RATES[0]} to {RATES[-1]} are wanted")
        self._listener = listener
        self._growing = GrowingProfile(listener) if adapt else None
        self._hearing = listener.sliding_inference(shares, self._growing)
        self._resampler = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1)
        self._level = LevelMeter()
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
        return self._push_samples(_checked(np.asarray(samples)), last=False)

    def finish(self) -> tuple[list[Event], Prediction]:
        """The last events, and the answer for the whole stream.

        Raises:
            AudioError: nothing was pushed.
            UsageError: the stream was finished before.
        """
        self._check_open()
        events = self._push_samples(np.zeros(0, dtype=np.float32), last=True)
        self._ended = True
        events += self._hearing.finish()
        found = self._hearing.answer(self._level.warnings(truncated=False))
        return events, found.flag_unsure(self._listener.abstain_below)

    def _check_open(self) -> None:
        if self._ended:
            raise UsageError("the stream was finished; make a new one")

    def _push_samples(self, samples: npt.NDArray[np.float32], last: bool) -> list[Event]:
        self._level.update_raw(samples[:, None])
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        self._level.update_mono(samples)
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
