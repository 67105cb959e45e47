"""Recognition by speaker turn, for recordings whose turns (who speaks when) are given.

Turns can be adapted to their speaker where that speaker has enough speech in the recording.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from phonemo.annotations.dimensions import mean_dimensions
from phonemo.annotations.prediction import (
    TIMELINE_DIFFERS,
    UNSURE,
    PhonemeSpan,
    Prediction,
    Segment,
    Word,
)
from phonemo.annotations.turn_rows import Turn, problem_of
from phonemo.audio import (
    RATE,
    AudioLimits,
    Channels,
    Source,
    Waveform,
    audio_seconds,
    load_waveform,
)
from phonemo.audio.each_channel import reopened
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.adaptation.adaptable import Adaptable, waveform_vectors
from phonemo.runtime.adaptation.pool import VectorPool
from phonemo.runtime.parts.channel_predictions import mean_scores
from phonemo.runtime.parts.word_emotions import recognize_words
from phonemo.runtime.windows import WINDOW_SECONDS

#: Warning of a prediction in which some turns were skipped.
SKIPPED = "turns_skipped"
#: Warnings that apply to a recording only if they apply to every turn.
_IF_EVERY_TURN = {"silent", "no_speech"}

#: Turns, a file of turns, or what a diarizer or transcriber returns (turn_objects).
Turns = Any


@dataclass(frozen=True)
class _TurnResult:
    """A turn and its prediction."""

    turn: Turn
    prediction: Prediction
    words: tuple[Word, ...] = ()

    @property
    def segment(self) -> Segment:
        """The turn as a segment on the recording's samples: adjacent turns touch."""
        end = (self._first + round(self.prediction.seconds * RATE)) / RATE
        label, scores = self.prediction.label, self.prediction.scores
        speaker, channel = self.turn.speaker, self.prediction.channel
        segment = Segment(self._first / RATE, end, label, scores, speaker, channel=channel)
        dimensions = self.prediction.dimensions
        return replace(segment, text=self.turn.text, words=self.words, dimensions=dimensions)

    @property
    def spans(self) -> Iterator[PhonemeSpan]:
        """The phonemes in the recording's time."""
        return (span.moved(self._first / RATE) for span in self.prediction.spans or ())

    @property
    def _first(self) -> int:
        return round(self.turn.start * RATE)


def predict_turns(
    predict: Callable[[Waveform, Turn], Prediction],
    audio: Source,
    rate: int | None,
    turns: Sequence[Turn],
    limits: AudioLimits,
    window_seconds: float = WINDOW_SECONDS,
) -> Prediction:
    """Predict one recording, with a segment for each turn.

    Only the turns are decoded. The scores are the turns' mean weighted by length.

    Args:
        predict: predicts the decoded audio of a turn.
        audio: the recording, as for EmotionRecognizer.predict.
        rate: samples per second, for an array.
        turns: who speaks when.
        limits: decoding limits for each turn.
        window_seconds: length of the windows around words.

    Raises:
        AudioError: the recording, or every turn of it, cannot be used.
        UsageError: no turns.
    """
    with decoded_turns(audio, rate, turns, limits) as (seconds, decoded):
        results = [
            _predict_turn(predict, turn, waveform, window_seconds) for turn, waveform in decoded
        ]
    if not results:
        raise AudioError(
            "too_short",
            f"none of {len(turns)} turns lies within the recording of {seconds:.2f} s and is long "
            "enough; check that they belong to this recording and are in seconds",
        )
    first = results[0].prediction
    weights = [one.prediction.seconds for one in results]
    scores = mean_scores([one.prediction.scores for one in results], weights)
    spans = sorted(
        (span for result in results for span in result.spans), key=lambda span: span.start
    )
    return Prediction(
        label=max(scores, key=scores.__getitem__),
        scores=scores,
        seconds=seconds,
        spans=None if first.spans is None else tuple(spans),
        warnings=_merge_warnings(results, len(results) < len(turns)),
        segments=tuple(one.segment for one in results),
        turns_skipped=_count_skipped(turns, len(results), seconds),
        dimensions=mean_dimensions(
            (one.prediction.dimensions, weight)
            for one, weight in zip(results, weights, strict=True)
        ),
    )


def _predict_turn(
    predict: Callable[[Waveform, Turn], Prediction],
    turn: Turn,
    waveform: Waveform,
    window_seconds: float,
) -> _TurnResult:
    whole = predict(waveform, turn)
    words = recognize_words(predict, waveform, turn, whole, window_seconds)
    return _TurnResult(turn, whole, words)


@contextmanager
def decoded_turns(
    audio: Source, rate: int | None, turns: Sequence[Turn], limits: AudioLimits
) -> Iterator[tuple[float, Iterator[tuple[Turn, Waveform]]]]:
    """Yield the recording's seconds and an iterator of the turns with audio, without short ones.

    Arguments and errors are those of ``predict_turns``.
    """
    if not turns:
        raise UsageError("expected turns, got none; pass turns=None for the whole recording")
    with ExitStack() as stack:
        rewind = reopened(audio, limits, stack)
        seconds = audio_seconds(rewind(), rate)
        yield (
            seconds,
            (
                (turn, waveform)
                for turn in turns
                if problem_of(turn, seconds) is None
                and (waveform := _decode_turn(rewind(), rate, turn, limits)) is not None
            ),
        )


def _count_skipped(turns: Sequence[Turn], used: int, seconds: float) -> dict[str, int]:
    """Reason -> number of turns skipped for it."""
    problems = [problem_of(turn, seconds) for turn in turns]
    counts = Counter(problem for problem in problems if problem is not None)
    counts["too_short"] = len(turns) - counts.total() - used
    return dict(+counts)


def resolve_turns(turns: Turns, audio: Source) -> Sequence[Turn]:
    """Read turns from a file, or convert those that were given; UsageError if that fails.

    Turns that are unusable are included: ``predict_turns`` counts them.
    """
    # only here: the readers of all formats take longer to import than the rest of this module
    from phonemo.annotations.turn_objects import convert_turns
    from phonemo.annotations.turns import open_turns

    if isinstance(turns, str | os.PathLike):
        name = os.fspath(audio) if isinstance(audio, str | os.PathLike) else "recording"
        return open_turns(turns)(os.fsdecode(name))
    return convert_turns(turns)


def turns_on(channels: Channels, turns: Sequence[Turn], count: int) -> Sequence[Turn]:
    """Give the turns that name no channel the chosen one; UsageError if that is "split".

    Args:
        channels: the chosen channels.
        turns: who speaks when.
        count: channels of the recording. One with a single channel may be the mix of those that
            turns name, so that their channels are dropped.
    """
    if count == 1:
        turns = [replace(turn, channel=None) for turn in turns]
        channels = "mix" if channels == "split" else channels
    if isinstance(channels, int):
        return [turn if turn.channel else replace(turn, channel=channels) for turn in turns]
    unnamed = [turn for turn in turns if turn.channel is None]
    if channels == "split" and unnamed:
        raise UsageError(
            f"channels=split expects turns that name their channel, got {len(unnamed)} without; "
            "give them a channel, or pass the number of one channel for all"
        )
    return turns


def _decode_turn(
    audio: Source, rate: int | None, turn: Turn, limits: AudioLimits
) -> Waveform | None:
    """None for a turn that is too short or begins after the end."""
    try:
        return load_waveform(
            audio,
            rate=rate,
            start=turn.start,
            end=turn.end,
            channel=turn.channel,
            limits=limits,
        )
    except AudioError as error:
        if error.code != "too_short":
            raise
        return None


def _merge_warnings(results: Sequence[_TurnResult], skipped: bool) -> tuple[str, ...]:
    """The turns' warnings, each once; those about silence only where every turn has them.

    "unsure" is left out: the mean is compared with the threshold separately.
    """
    names = dict.fromkeys(name for result in results for name in result.prediction.warnings)
    common = set.intersection(*(set(result.prediction.warnings) for result in results))
    excluded = {UNSURE, TIMELINE_DIFFERS, *(_IF_EVERY_TURN - common)}
    kept = (name for name in names if name not in excluded)
    return (*kept, *((SKIPPED,) if skipped else ()))


Kind = TypeVar("Kind", bound=Adaptable)
#: A speaker and the channel; either may be unknown.
Party = tuple[str | None, int | None]

#: A speaker has enough speech with this many turns that contain speech, or this many seconds.
LEAST_TURNS = 5
LEAST_SECONDS = 20.0


def speakers_adapted(
    listener: Kind, audio: Source, rate: int | None, turns: Sequence[Turn]
) -> dict[Party, Kind]:
    """Create an adapted recognizer for each speaker who has enough speech.

    One name on two channels counts as two speakers. Turns without a speaker get none. The
    speaker's statistics are shrunk towards the applied profile or the training sources.

    Args:
        listener: the recognizer.
        audio: the recording, as for EmotionRecognizer.predict.
        rate: samples per second, for an array.
        turns: who speaks when.

    Raises:
        AudioError: the recording cannot be used.
        ModelError: the model takes no profile.
        UsageError: no turns.
    """
    reference = listener.adaptable()
    pools: dict[Party, VectorPool] = {}
    turn_counts: Counter[Party] = Counter()
    with decoded_turns(audio, rate, turns, listener.limits) as (_, decoded):
        for turn, waveform in decoded:
            if turn.speaker is not None:
                party: Party = turn.speaker, turn.channel
                pool = pools.setdefault(party, VectorPool(reference))
                turn_counts[party] += pool.take(waveform_vectors(listener, waveform))
    adapted: dict[Party, Kind] = {}
    for party, pool in pools.items():
        if turn_counts[party] >= LEAST_TURNS or pool.seconds >= LEAST_SECONDS:
            adapted[party] = listener.refined_by(pool.profile())
    return adapted
