"""Phonemes with names and in seconds: those that are heard, or those that are known to be said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from phonemo.errors import PhonemeError
from phonemo.frames import FrameGrid
from phonemo.prediction import PhonemeSpan
from phonemo.runtime.alignment import AlignedPhoneme, align, recognise, time_phonemes


def heard_spans(
    log_posteriors: npt.ArrayLike, symbols: Sequence[str], grid: FrameGrid, samples: int
) -> tuple[PhonemeSpan, ...]:
    """What is heard (the best path), in seconds and with names.

    Args:
        log_posteriors: (frame, phoneme), as for ``align``, with the blank first.
        symbols: the names of the phonemes, (phoneme,).
        grid: where the frames lie.
        samples: length of the recording.
    """
    return _named(recognise(log_posteriors), log_posteriors, symbols, grid, samples)


def said_spans(
    log_posteriors: npt.ArrayLike,
    symbols: Sequence[str],
    said: Sequence[str],
    grid: FrameGrid,
    samples: int,
) -> tuple[PhonemeSpan, ...]:
    """What is known to be said (``align``), in seconds; arguments as for ``heard_spans``.

    Args:
        said: names of phonemes, without blanks.

    Raises:
        PhonemeError: a name that is none of ``symbols``, or more phonemes than frames.
    """
    places = {name: place for place, name in enumerate(symbols) if place}
    strangers = [name for name in said if name not in places]
    if strangers:
        raise PhonemeError(
            f"{strangers[0]!r} is no phoneme of this model; it knows {' '.join(places)}"
        )
    aligned = align(log_posteriors, [places[name] for name in said])
    return _named(aligned, log_posteriors, symbols, grid, samples)


def _named(
    aligned: Sequence[AlignedPhoneme],
    log_posteriors: npt.ArrayLike,
    symbols: Sequence[str],
    grid: FrameGrid,
    samples: int,
) -> tuple[PhonemeSpan, ...]:
    return tuple(
        PhonemeSpan(symbols[one.symbol], one.start_seconds, one.end_seconds, one.confidence)
        for one in time_phonemes(aligned, log_posteriors, grid, samples)
    )
