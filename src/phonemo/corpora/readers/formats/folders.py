"""Custom recordings with emotions and speakers in the names of folders and files.

Layouts are ``anger/a.wav``, ``anger/anna/1.wav``, ``anna/anger/1.wav``, ``train/anger/1.wav`` and,
with a pattern for the speaker, ``anger/anna_1.wav``. Known corpora are recognized by their names.
Otherwise the emotion's level is found for each recording by the names of its folders.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import CorpusCard, CorpusReading
from phonemo.corpora.readers.emotion_names import EmotionNames
from phonemo.corpora.readers.formats.emotion_levels import EmotionLevels
from phonemo.corpora.readers.formats.folder_names import (
    emotion_of,
    gender_of,
    is_filler,
    part_of,
    session_of,
)
from phonemo.corpora.readers.formats.folder_rows import (
    FolderSplits,
    path_utterance,
    speaker_in_stem,
    speaker_pattern,
)
from phonemo.corpora.readers.formats.known_folder import read_known
from phonemo.corpora.readers.layouts import recognize_layout
from phonemo.errors import CorpusError, safe_name
from phonemo.files import SUFFIXES, walk_files

CARD = CorpusCard(
    name="csv",  # for provenance, folders are a custom corpus like a table
    title="Your own folders",
    language=None,
    licence="yours",
    homepage="",
    acted=False,
    note="Without speakers, folds cannot be speaker-independent.",
)

#: Written by phonemo itself, and therefore not counted as skipped.
_MANIFEST_SUFFIX = ".jsonl"
_PREFIX = re.compile(r"([^\W_]+)([_-])")


def read_folders(
    root: Path,
    *,
    emotion_level: int | None = None,
    speaker: str | None = None,
    language: str | None = None,
) -> CorpusReading:
    """Read the recordings below a folder, with emotions and speakers from their paths.

    Args:
        root: the folder.
        emotion_level: the folder level of the emotion, 1 for the outermost; None recognizes known
            corpora or detects the level.
        speaker: a pattern of the file's stem that contains {speaker}, such as "{speaker}_*"; None
            uses another folder level, if there is one.
        language: ISO 639-1 code, if known.

    Raises:
        CorpusError: no recordings, no folder with the name of an emotion, or an ambiguous level.
        UsageError: a pattern without {speaker}, or no such level.
    """
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder; expected one with a folder per emotion")
    pattern = None if speaker is None else speaker_pattern(speaker)
    skipped: Counter[str] = Counter()
    paths = _recordings(root, skipped)
    if not paths:
        raise CorpusError(f"{root}: expected recordings ({_suffixes()}), got {_got(skipped)}")
    known = recognize_layout(paths) if emotion_level is None else None
    if known is not None:
        return read_known(paths, known, pattern, language, skipped)
    try:
        return _detected_reading(root, paths, emotion_level, pattern, language, skipped)
    except CorpusError as error:
        raise CorpusError(f"{error}{_mixture(paths)}") from error


def _mixture(paths: Sequence[PurePath]) -> str:
    """A hint if some of the recordings belong to known corpora and others do not."""
    known = recognize_layout(paths, least=0.0)
    if known is None:
        return ""
    count = f"{len(known.recordings)} of {len(paths)} recordings"
    return f"; {count} are named like {known.title}'s: move them to a folder of their own"


def _recordings(root: Path, skipped: Counter[str]) -> list[PurePath]:
    paths = []
    for name in walk_files(str(root)):
        path = PurePath(name)
        suffix = path.suffix.lower()
        if suffix in SUFFIXES and _is_text(name):
            paths.append(path.relative_to(root))
        elif suffix in SUFFIXES:
            skipped["file name is not UTF-8"] += 1
        elif suffix != _MANIFEST_SUFFIX:
            skipped[f"not a recording ({safe_name(suffix) or 'no extension'})"] += 1
    return paths


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _suffixes() -> str:
    return ", ".join(SUFFIXES)


def _got(skipped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in skipped.items()) or "none"


def _detected_reading(
    root: Path,
    paths: Sequence[PurePath],
    requested: int | None,
    pattern: re.Pattern[str] | None,
    language: str | None,
    skipped: Counter[str],
) -> CorpusReading:
    levels = EmotionLevels.detect(root, paths, requested)
    speakers = _folder_speakers(levels) if pattern is None else {}
    splits, names = FolderSplits(paths), EmotionNames()
    rows = [
        path_utterance(
            path,
            names.record(levels.spelling(path), levels.emotion(path)),
            splits.of(path),
            speaker_in_stem(pattern, path) if pattern else speakers.get(path),
            language,
            session=next(filter(None, map(session_of, path.parts[:-1])), None),
            gender=next(filter(None, map(gender_of, path.parts[:-1])), None),
        )
        for path in levels.paths
    ]
    for reason, count in levels.skipped.items():
        skipped[reason] += count
    notes = (*levels.notes, *splits.notes(), *names.notes(), *_speaker_hint(rows))
    return CorpusReading(tuple(rows), dict(skipped), notes, levels.warnings)


def _folder_speakers(levels: EmotionLevels) -> dict[PurePath, str]:
    """The speaker of each recording: its innermost folder that is not something else.

    A folder around the emotions is a speaker only if all recordings have one at the same level and
    there are several: "My data/anger/1.wav" has no speaker.
    """
    inner, outer = {}, {}
    for path in levels.paths:
        folders = list(enumerate(path.parts[:-1]))
        level = levels.level(path)
        below = [name for place, name in folders if place > level and _may_be_speaker(name)]
        above = [name for place, name in folders if place < level and _may_be_speaker(name)]
        if below:
            inner[path] = below[-1]
        elif above:
            outer[path] = above[-1]
    if inner or len(outer) < len(levels.paths) or len(set(outer.values())) < 2:
        return inner
    return outer


def _may_be_speaker(name: str) -> bool:
    return not any((part_of(name), session_of(name), gender_of(name), is_filler(name)))


def _speaker_hint(rows: Sequence[Utterance]) -> tuple[str, ...]:
    """The option that reads speakers from file names that all begin with one of a few words."""
    if any(row.speaker for row in rows):
        return ()
    matches = [_PREFIX.match(PurePath(row.file).name) for row in rows]
    prefixes = sorted({match[1] for match in matches if match})
    if None in matches or not 2 <= len(prefixes) <= len(rows) / 2:
        return ()
    if any(emotion_of(prefix) or gender_of(prefix) for prefix in prefixes):
        return ()
    mark = next(match[2] for match in matches if match)
    words = ", ".join(map(safe_name, prefixes[:3])) + (", ..." if len(prefixes) > 3 else "")
    return (
        f"file names begin with {words}: if these are speakers, --speaker '{{speaker}}{mark}*'",
    )
