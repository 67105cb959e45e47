"""The utterances of known corpora, recognized by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from phonemo.corpora.readers.base import CorpusReading
from phonemo.corpora.readers.formats.folder_names import emotion_of
from phonemo.corpora.readers.formats.folder_rows import (
    FolderSplits,
    path_utterance,
    speaker_in_stem,
)
from phonemo.corpora.readers.layouts import KnownRecording, Recognition
from phonemo.errors import safe_name


def read_known(
    paths: Sequence[PurePath],
    known: Recognition,
    pattern: re.Pattern[str] | None,
    language: str | None,
    skipped: Counter[str],
) -> CorpusReading:
    """Make the reading of recognized corpora.

    Args:
        paths: all recordings, relative to the folder.
        known: those of known corpora.
        pattern: of the speaker in the file's stem, instead of the corpus's speakers.
        language: instead of the corpus's language.
        skipped: reason -> number of files that were skipped so far; it is completed.
    """
    splits = FolderSplits(paths)
    if known.others:
        skipped[f"file name not like {known.title}'s"] += len(known.others)
    usable = [path for path, recording in known.recordings.items() if not recording.reason]
    rows = []
    for path in usable or known.recordings:
        recording = known.recordings[path]
        speaker = f"{recording.layout.name}/{recording.speaker}" if known.is_mixed else None
        rows.append(
            path_utterance(
                path,
                recording.emotion,
                splits.of(path),
                speaker_in_stem(pattern, path) if pattern else speaker or recording.speaker,
                language or recording.language,
                gender=recording.gender,
                intensity=recording.intensity,
                transcript=recording.transcript if language in (None, recording.language) else None,
            )
        )
    reasons = Counter(recording.reason for recording in known.recordings.values())
    notes = [f"recognized as {known.title}, by the names of {len(known.recordings)} recordings"]
    for reason, count in reasons.items():
        if reason and usable:
            skipped[reason] += count
        elif reason:
            notes.append(f"all recordings: {reason}")
    return CorpusReading(
        tuple(rows), dict(skipped), (*notes, *splits.notes()), _contradictions(known)
    )


def _contradictions(known: Recognition) -> tuple[str, ...]:
    """A warning if folders or the rest of a name say another emotion than the corpus's code."""
    found = [
        (path, recording, other)
        for path, recording in known.recordings.items()
        if (other := _other_emotion(path, recording)) is not None
    ]
    if not found:
        return ()
    path, recording, other = found[0]
    return (
        f"{len(found)} recordings have another emotion in their name or folder than in "
        f"{recording.layout.title}'s code, which counts: {safe_name(path.as_posix())} is "
        f"{recording.emotion}, not {other}; check them, or use a table: --csv",
    )


def _other_emotion(path: PurePath, recording: KnownRecording) -> str | None:
    named = {emotion_of(name) for name in (*path.parts[:-1], recording.rest) if name}
    others = sorted(emotion for emotion in named if emotion and emotion != recording.emotion)
    return others[0] if others else None
