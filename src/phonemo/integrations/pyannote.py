"""Turns from pyannote's annotations, for ``predict(..., turns=...)``."""

from __future__ import annotations

from typing import Any

from phonemo.annotations.turns import Turn
from phonemo.errors import UsageError


def turns_from(annotation: Any) -> tuple[Turn, ...]:
    """The turns of a ``pyannote.core.Annotation``, by their start; nothing of pyannote is imported.

    Args:
        annotation: anything whose ``itertracks(yield_label=True)`` gives a segment with start and
            end in seconds, a track, and the speaker.

    Raises:
        UsageError: it has no tracks, or none that ends after it starts.
    """
    if not hasattr(annotation, "itertracks"):
        raise UsageError(
            f"{type(annotation).__name__} has no itertracks; a pyannote.core.Annotation is wanted"
        )
    turns = [
        Turn(max(0.0, float(segment.start)), float(segment.end), str(speaker))
        for segment, _, speaker in annotation.itertracks(yield_label=True)
        if float(segment.end) > max(0.0, float(segment.start))
    ]
    if not turns:
        raise UsageError("the annotation has no turn; run the diarisation on the recording first")
    return tuple(sorted(turns, key=lambda one: (one.start, one.end)))
