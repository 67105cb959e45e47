"""Forced alignment of many utterances, each with its own phonemes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from phonemo.annotations.prediction import UNSURE, PhonemeSpan, Prediction
from phonemo.audio import Excerpt, Waveform
from phonemo.errors import PhonemoError
from phonemo.runtime.batching import Deferred, map_ordered


@dataclass(frozen=True)
class SpokenUtterance:
    """An utterance whose phonemes are known.

    Attributes:
        id: unique among the utterances.
        file: its recording, as a corpus names it.
        excerpt: its part of the recording.
        phonemes: names of the model's inventory, or why there are none.
        speaker: None if unknown.
        emotion: None if unknown.
        text: its words; None if unknown.
    """

    id: str
    file: str
    excerpt: Excerpt
    phonemes: tuple[str, ...] | PhonemoError
    speaker: str | None = None
    emotion: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class AlignedUtterance:
    """An utterance with its phonemes in time, or with the reason why there are none.

    Attributes:
        utterance: what was aligned.
        seconds: its length.
        spans: its phonemes, in seconds from its start.
        warnings: of the recording, such as "no_speech"; names as in ``Prediction.warnings``.
        error: None if it was aligned.
    """

    utterance: SpokenUtterance
    seconds: float = 0.0
    spans: tuple[PhonemeSpan, ...] = ()
    warnings: tuple[str, ...] = ()
    error: PhonemoError | None = None


class Aligner(Protocol):
    """What aligns: an ``OnnxRecognizer``."""

    def align(self, audio: Excerpt, said: Sequence[str], *, shares: bool) -> Prediction:
        """Align the phonemes of a recording."""

    def for_jobs(self, jobs: int | None) -> tuple[Any, int]:
        """Return an aligner for parallel clips, and how many."""


def align_utterances(
    model: Aligner, utterances: Iterable[SpokenUtterance], jobs: int | None = None
) -> Iterator[AlignedUtterance]:
    """Yield utterances in order, with their phonemes in time or the error that prevented it.

    Args:
        model: aligns at most 30 s at once.
        utterances: with their phonemes.
        jobs: utterances aligned in parallel; None for one per CPU.
    """
    aligner, count = model.for_jobs(jobs)

    def opened(utterance: SpokenUtterance) -> Deferred[AlignedUtterance]:
        return _Alignment(cast("Aligner", aligner), utterance)

    yield from map_ordered(utterances, opened, _no_clips, jobs=count, batch_samples=1)


@dataclass(frozen=True)
class _Alignment:
    """An utterance that is decoded and aligned by the thread that calls ``recognize``."""

    model: Aligner
    utterance: SpokenUtterance

    def recognize(self) -> AlignedUtterance:
        """Align; an error becomes part of the outcome."""
        phonemes = self.utterance.phonemes
        if isinstance(phonemes, PhonemoError):
            return AlignedUtterance(self.utterance, error=phonemes)
        try:
            found = self.model.align(self.utterance.excerpt, phonemes, shares=False)
        except PhonemoError as error:
            return AlignedUtterance(self.utterance, error=error)
        warnings = tuple(name for name in found.warnings if name != UNSURE)
        return AlignedUtterance(self.utterance, found.seconds, found.spans or (), warnings)


def _no_clips(clips: Sequence[Waveform]) -> Sequence[AlignedUtterance]:
    raise AssertionError("utterances are aligned one by one")
