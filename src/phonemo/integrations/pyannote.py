"""Convert pyannote annotations to turns, for ``predict(..., turns=...)``."""

from __future__ import annotations

from typing import Any

from phonemo.annotations.turns import Turn
from phonemo.errors import UsageError


def turns_from(annotation: Any) -> tuple[Turn, ...]:
    """Convert a ``pyannote.core.Annotation`` to turns, sorted by start, without importing pyannote.

    Args:
        annotation: an object whose ``itertracks(yield_label=True)`` yields a segment with start
            and end in seconds, a track, and the speaker.

    Raises:
        UsageError: the annotation has no tracks, or none that ends after it starts.
    """
    if not hasattr(annotation, "itertracks"):
        raise UsageError(f"expected a pyannote.core.Annotation, got {type(annotation).__name__}")
    turns = [
        Turn(max(0.0, float(segment.start)), float(segment.end), str(speaker))
        for segment, _, speaker in annotation.itertracks(yield_label=True)
        if float(segment.end) > max(0.0, float(segment.start))
    ]
    if not turns:
        raise UsageError(
            "expected an annotation with turns, got none; run diarization on the recording first"
        )
    return tuple(sorted(turns, key=lambda turn: (turn.start, turn.end)))
