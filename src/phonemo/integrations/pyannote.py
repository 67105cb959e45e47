"""Convert pyannote's output to turns, for ``predict(..., turns=...)``."""

from __future__ import annotations

from typing import Any

from phonemo.annotations.turn_objects import annotation_in, annotation_rows
from phonemo.annotations.turns import Turn, problem_of
from phonemo.errors import UsageError


def turns_from(output: Any) -> tuple[Turn, ...]:
    """Convert the output of a diarization pipeline to turns, sorted by start.

    pyannote is not imported. Tracks of zero or negative length are left out.

    Args:
        output: a ``pyannote.core.Annotation`` (pyannote.audio 3), or the ``DiarizeOutput`` of
            pyannote.audio 4: its exclusive diarization, in which one speaker speaks at a time, or
            the ordinary one where that is None. To choose, pass the field.

    Raises:
        UsageError: the output has no tracks, or none that ends after it starts.
    """
    annotation = annotation_in(output)
    if annotation is None:
        raise UsageError(
            "expected a pyannote.core.Annotation or the DiarizeOutput of pyannote.audio 4, got "
            f"{type(output).__name__}; pass what the pipeline returns"
        )
    turns = [row.turn for row in annotation_rows(annotation) if problem_of(row.turn) is None]
    if not turns:
        raise UsageError(
            "expected an annotation with turns, got none; run diarization on the recording first"
        )
    return tuple(sorted(turns, key=lambda turn: (turn.start, turn.end)))
