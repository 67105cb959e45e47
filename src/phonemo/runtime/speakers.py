"""Turns adapted by their own speaker, where that one has enough speech in the recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from phonemo.audio import Source
from phonemo.runtime.adaptable import Adaptable
from phonemo.runtime.adaptation import shrunk
from phonemo.runtime.pool import Pool
from phonemo.runtime.spoken import decoded_turns
from phonemo.runtime.vectors import waveform_vectors
from phonemo.turns import Turn

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
        audio: the recording, as Listener.predict takes it.
        rate: samples per second, for an array.
        turns: who speaks when.

    Raises:
        AudioError: the recording cannot be used.
        ModelError: the model takes no profile.
        UsageError: no turns.
    """
    reference = listener.adaptable()
    pools: dict[str, Pool] = {}
    spoken: Counter[str] = Counter()
    with decoded_turns(audio, rate, turns, listener.limits) as (_, decoded):
        for turn, waveform in decoded:
            if turn.speaker is not None:
                pool = pools.setdefault(turn.speaker, Pool(reference))
                spoken[turn.speaker] += pool.take(waveform_vectors(listener, waveform))
    found: dict[str | None, Kind] = {}
    for speaker, pool in pools.items():
        if spoken[speaker] >= LEAST_TURNS or pool.seconds >= LEAST_SECONDS:
            profile = pool.profile()
            statistics = shrunk(profile.statistics, reference, listener.source)
            found[speaker] = listener.with_statistics(statistics, profile.mark)
    return found
