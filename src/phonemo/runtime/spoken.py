"""A recording heard turn by turn, where somebody says who speaks when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phonemo.audio import Source, Waveform, audio_seconds, load_waveform
from phonemo.errors import AudioError
from phonemo.prediction import PhonemeSpan, Prediction, Segment
from phonemo.turns import Turn

#: The warning of an answer without some of its turns.
SKIPPED = "turns_skipped"


@dataclass(frozen=True)
class _Told:
    """What was heard in one turn."""

    turn: Turn
    found: Prediction

    @property
    def segment(self) -> Segment:
        """The turn as a segment of the recording."""
        end = self.turn.start + self.found.seconds
        label, scores = self.found.label, self.found.scores
        return Segment(self.turn.start, end, label, scores, self.turn.speaker)

    @property
    def spans(self) -> Iterator[PhonemeSpan]:
        """The phonemes in the time of the recording."""
        start = self.turn.start
        for one in self.found.spans or ():
            yield replace(one, start=one.start + start, end=one.end + start)


def by_turns(
    predict: Callable[..., Prediction],
    audio: Source,
    rate: int | None,
    turns: Sequence[Turn],
    shares: bool,
) -> Prediction:
    """One answer for a recording, with a segment for each turn.

    Only the turns are decoded. The scores are those of the turns, weighted by their length.

    Args:
        predict: the answer for a decoded turn.
        audio: the recording, as Listener.predict takes it.
        rate: samples per second, for an array.
        turns: who speaks when.
        shares: as for Listener.predict.

    Raises:
        AudioError: the recording cannot be used, or no turn of it.
    """
    kept: Any = audio.read() if hasattr(audio, "read") else audio  # a pipe is heard only once
    seconds = audio_seconds(kept, rate)
    told = [one for turn in turns if (one := _told(predict, kept, rate, turn, shares))]
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


def _told(
    predict: Callable[..., Prediction], audio: Any, rate: int | None, turn: Turn, shares: bool
) -> _Told | None:
    """None for a turn that is too short or begins after the end."""
    try:
        waveform: Waveform = load_waveform(audio, rate=rate, start=turn.start, end=turn.end)
    except AudioError as error:
        if error.code != "too_short":
            raise
        return None
    return _Told(turn, predict(waveform, shares=shares))


def _warnings(told: Sequence[_Told], skipped: bool) -> tuple[str, ...]:
    """Each that any turn carries, once."""
    names = dict.fromkeys(name for one in told for name in one.found.warnings)
    return (*names, *((SKIPPED,) if skipped else ()))
