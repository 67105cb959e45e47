"""A recording heard turn by turn, where somebody says who speaks when.

Turns adapted by their own speaker, where that one has enough speech in the recording.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from phonemo.annotations.prediction import UNSURE, PhonemeSpan, Prediction, Segment
from phonemo.annotations.turns import Turn, read_turns
from phonemo.audio import RATE, AudioLimits, Source, Waveform, audio_seconds, load_waveform
from phonemo.audio.sources import open_stream
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.adaptation.adaptable import Adaptable, waveform_vectors
from phonemo.runtime.adaptation.pool import VectorPool
from phonemo.runtime.adaptation.statistics import shrink_towards

#: The warning of an answer without some of its turns.
SKIPPED = "turns_skipped"
#: Said of a recording only where it holds for every turn.
_OF_ALL = {"silent", "no_speech"}


@dataclass(frozen=True)
class _TurnResult:
    """What was heard in one turn."""

    turn: Turn
    found: Prediction

    @property
    def segment(self) -> Segment:
        """The turn as a segment of the recording, on its samples: neighbours touch."""
        end = (self._first + round(self.found.seconds * RATE)) / RATE
        label, scores = self.found.label, self.found.scores
        return Segment(self._first / RATE, end, label, scores, self.turn.speaker)

    @property
    def spans(self) -> Iterator[PhonemeSpan]:
        """The phonemes in the time of the recording."""
        return (one.moved(self._first / RATE) for one in self.found.spans or ())

    @property
    def _first(self) -> int:
        return round(self.turn.start * RATE)


def predict_turns(
    predict: Callable[[Waveform, Turn], Prediction],
    audio: Source,
    rate: int | None,
    turns: Sequence[Turn],
    limits: AudioLimits,
) -> Prediction:
    """One answer for a recording, with a segment for each turn.

    Only the turns are decoded. The scores are those of the turns, weighted by their length.

    Args:
        predict: the answer for the decoded audio of a turn.
        audio: the recording, as EmotionRecognizer.predict takes it.
        rate: samples per second, for an array.
        turns: who speaks when.
        limits: of what is decoded, for each turn.

    Raises:
        AudioError: the recording cannot be used, or no turn of it.
        UsageError: no turns.
    """
    with decoded_turns(audio, rate, turns, limits) as (seconds, decoded):
        told = [_TurnResult(turn, predict(waveform, turn)) for turn, waveform in decoded]
    if not told:
        raise AudioError(
            "too_short",
            f"none of {len(turns)} turns lies within the recording of {seconds:.2f} s and is long "
            "enough to hear; check that they are of this recording, and in seconds",
        )
    found = told[0].found
    sizes = [one.found.seconds for one in told]
    rows = [list(one.found.scores.values()) for one in told]
    mean = np.average(np.array(rows), axis=0, weights=sizes)
    scores = {name: float(share) for name, share in zip(found.scores, mean, strict=True)}
    spans = sorted((span for one in told for span in one.spans), key=lambda one: one.start)
    return Prediction(
        label=max(scores, key=scores.__getitem__),
        scores=scores,
        seconds=seconds,
        spans=None if found.spans is None else tuple(spans),
        warnings=_warnings(told, len(told) < len(turns)),
        segments=tuple(one.segment for one in told),
    )


@contextmanager
def decoded_turns(
    audio: Source, rate: int | None, turns: Sequence[Turn], limits: AudioLimits
) -> Iterator[tuple[float, Iterator[tuple[Turn, Waveform]]]]:
    """The recording's seconds, and each turn with its audio but those that are too short.

    Arguments and errors are those of ``predict_turns``.
    """
    if not turns:
        raise UsageError("no turns; give some, or turns=None for the whole recording")
    with ExitStack() as stack:
        again = reopened(audio, limits, stack)
        seconds = audio_seconds(again(), rate)
        yield (
            seconds,
            (
                (turn, waveform)
                for turn in turns
                if (waveform := _decoded(again(), rate, turn, limits)) is not None
            ),
        )


def resolve_turns(turns: Sequence[Turn] | str | os.PathLike[str], audio: Source) -> Sequence[Turn]:
    """The turns of a file, or those that were given; UsageError where they are none."""
    if isinstance(turns, str | os.PathLike):
        named = os.fspath(audio) if isinstance(audio, str | os.PathLike) else "recording"
        return read_turns(turns, os.fsdecode(named))
    given: Sequence[object] = turns
    if strangers := [one for one in given if not isinstance(one, Turn)]:
        found = type(strangers[0]).__name__
        raise UsageError(
            f"a turn of type {found}; phonemo.annotations.turns.Turn(start, end, speaker) is one"
        )
    return turns


def reopened(audio: Source, limits: AudioLimits, stack: ExitStack) -> Callable[[], Source]:
    """The recording from its start, as often as it is asked; a pipe is kept in a file."""
    if isinstance(audio, str | os.PathLike | np.ndarray | bytes | bytearray | memoryview):
        return lambda: audio
    _, stream = open_stream(audio, limits.max_decoded_bytes, stack)
    start = stream.tell()

    def again() -> Source:
        stream.seek(start)
        return stream

    return again


def _decoded(audio: Source, rate: int | None, turn: Turn, limits: AudioLimits) -> Waveform | None:
    """None for a turn that is too short or begins after the end."""
    try:
        return load_waveform(audio, rate=rate, start=turn.start, end=turn.end, limits=limits)
    except AudioError as error:
        if error.code != "too_short":
            raise
        return None


def _warnings(told: Sequence[_TurnResult], skipped: bool) -> tuple[str, ...]:
    """Each that any turn carries, once, and those of silence only where all turns carry them.

    Whether the mean is sure is another question than whether each turn is.
    """
    names = dict.fromkeys(name for one in told for name in one.found.warnings)
    common = set.intersection(*(set(one.found.warnings) for one in told))
    apart = {UNSURE, *(_OF_ALL - common)}
    kept = (name for name in names if name not in apart)
    return (*kept, *((SKIPPED,) if skipped else ()))


Kind = TypeVar("Kind", bound=Adaptable)

#: A speaker has enough speech with so many turns that hold some, or with so much in all.
LEAST_TURNS = 5
LEAST_SECONDS = 20.0


def speakers_adapted(
    listener: Kind, audio: Source, rate: int | None, turns: Sequence[Turn]
) -> dict[str | None, Kind]:
    """A recognizer for each speaker who has enough speech; turns without a speaker have none.

    The speaker's statistics are shrunk towards the profile that is applied, or the training
    sources.

    Args:
        listener: the model.
        audio: the recording, as EmotionRecognizer.predict takes it.
        rate: samples per second, for an array.
        turns: who speaks when.

    Raises:
        AudioError: the recording cannot be used.
        ModelError: the model takes no profile.
        UsageError: no turns.
    """
    reference = listener.adaptable()
    pools: dict[str, VectorPool] = {}
    spoken: Counter[str] = Counter()
    with decoded_turns(audio, rate, turns, listener.limits) as (_, decoded):
        for turn, waveform in decoded:
            if turn.speaker is not None:
                pool = pools.setdefault(turn.speaker, VectorPool(reference))
                spoken[turn.speaker] += pool.take(waveform_vectors(listener, waveform))
    found: dict[str | None, Kind] = {}
    for speaker, pool in pools.items():
        if spoken[speaker] >= LEAST_TURNS or pool.seconds >= LEAST_SECONDS:
            profile = pool.profile()
            statistics = shrink_towards(profile.statistics, reference, listener.source)
            found[speaker] = listener.with_statistics(statistics, profile.mark)
    return found
