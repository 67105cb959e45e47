"""Custom recordings with emotions and speakers in the names of folders and files.

Layouts are ``anger/a.wav``, ``anger/anna/1.wav``, ``anna/anger/1.wav`` and, with a pattern for the
speaker, ``anger/anna_1.wav``. The folder level of the emotions is detected by its names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import CorpusCard, CorpusReading
from phonemo.errors import CorpusError, UsageError
from phonemo.files import inside
from phonemo.labels import EMOTIONS

CARD = CorpusCard(
    name="csv",  # for provenance, folders are a custom corpus like a table
    title="Your own folders",
    language=None,
    licence="yours",
    homepage="",
    acted=False,
    note="Without speakers, folds cannot be speaker-independent.",
)

#: Other spellings of an emotion -> its canonical name. Other words are kept.
SYNONYMS: dict[str, str] = {
    **dict.fromkeys(("angry", "ang", "wut", "aerger", "ärger", "生气", "愤怒"), "anger"),
    **dict.fromkeys(("happy", "hap", "joy", "joyful", "freude", "高兴", "快乐"), "happiness"),
    **dict.fromkeys(("sad", "trauer", "traurig", "悲伤", "难过"), "sadness"),
    **dict.fromkeys(("fearful", "fea", "afraid", "scared", "angst", "恐惧", "害怕"), "fear"),
    **dict.fromkeys(("disgusted", "dis", "ekel", "厌恶"), "disgust"),
    **dict.fromkeys(("surprised", "sur", "ueberraschung", "überraschung", "惊讶"), "surprise"),
    **dict.fromkeys(("neu", "neutrality", "中性"), "neutral"),
    **dict.fromkeys(("bored", "langeweile", "无聊"), "boredom"),
    **dict.fromkeys(("calmness", "ruhig", "平静"), "calm"),
    **dict.fromkeys(("frustrated", "fru", "沮丧"), "frustration"),
    **dict.fromkeys(("excitement", "exc", "兴奋"), "excited"),
}


@dataclass(frozen=True)
class Layout:
    """The folder levels of emotion and speaker; 0 is the outermost."""

    emotion: int
    speaker: int | None


def read_folders(
    root: Path,
    *,
    emotion_level: int | None = None,
    speaker: str | None = None,
    language: str | None = None,
) -> tuple[CorpusReading, Layout]:
    """Read the recordings below a folder, with emotions and speakers from their paths.

    Args:
        root: the folder.
        emotion_level: the folder level of the emotion, 1 for the outermost; None detects it.
        speaker: a pattern of the file's stem that contains {speaker}, such as "{speaker}_*"; None
            uses the other folder level, if there is one.
        language: ISO 639-1 code, if known.

    Raises:
        CorpusError: no recordings, recordings outside a folder, or an ambiguous emotion level.
        UsageError: a pattern without {speaker}, or no such level.
    """
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder; expected one with a folder per emotion")
    paths = [path for _, path in inside(str(root))]
    if not paths:
        raise CorpusError(f"{root}: expected recordings (.wav, .flac, .mp3, .ogg), got none")
    layout = _layout(root, paths, emotion_level, speaker is not None)
    pattern = None if speaker is None else _pattern(speaker)
    rows = [_utterance(path, layout, pattern, language) for path in paths]
    return CorpusReading(tuple(rows)), layout


def canonical(word: str) -> str:
    """Return the canonical name of an emotion; unknown words are only lowercased."""
    small = word.strip().lower()
    return SYNONYMS.get(small, small)


def _layout(
    root: Path, paths: Sequence[PurePath], requested: int | None, speaker_is_elsewhere: bool
) -> Layout:
    depths = Counter(len(path.parts) - 1 for path in paths)
    depth = min(depths)
    if not depth:
        stray = next(path for path in paths if len(path.parts) == 1)
        raise CorpusError(
            f"{root}: {stray} is not in a folder; put each recording into a folder named after its "
            "emotion, or use a table: --csv"
        )
    if requested is not None and not 1 <= requested <= depth:
        raise UsageError(f"expected --emotion-level from 1 to {depth}, got {requested}")
    emotion = _emotion_level(root, paths, depth) if requested is None else requested - 1
    others = [level for level in range(depth) if level != emotion]
    return Layout(emotion, None if speaker_is_elsewhere or not others else others[-1])


def _emotion_level(root: Path, paths: Iterable[PurePath], depth: int) -> int:
    names = [{path.parts[level] for path in paths} for level in range(depth)]
    counts = [sum(canonical(name) in EMOTIONS for name in level) for level in names]
    best = max(range(depth), key=counts.__getitem__)
    if depth == 1 or counts.count(counts[best]) == 1:
        return best
    levels = "; ".join(
        f"level {number}: {', '.join(sorted(level)[:4])}" for number, level in enumerate(names, 1)
    )
    raise CorpusError(
        f"{root}: the level of the emotions is ambiguous ({levels}); set --emotion-level"
    )


def _pattern(text: str) -> re.Pattern[str]:
    if text.count("{speaker}") != 1:
        raise UsageError(
            f"expected --speaker with one {{speaker}}, such as '{{speaker}}_*', got {text!r}"
        )
    before, after = text.split("{speaker}")
    return re.compile(f"{_glob(before)}(?P<speaker>.+?){_glob(after)}", re.DOTALL)


def _glob(text: str) -> str:
    return ".*".join(map(re.escape, text.split("*")))


def _utterance(
    path: PurePath, layout: Layout, pattern: re.Pattern[str] | None, language: str | None
) -> Utterance:
    speaker = None if layout.speaker is None else path.parts[layout.speaker]
    if pattern is not None:
        match = pattern.fullmatch(path.stem)
        speaker = match["speaker"] if match else None
    file = path.as_posix()
    return Utterance(
        id=file,
        file=file,
        speaker=speaker,
        language=language,
        emotion=canonical(path.parts[layout.emotion]),
    )


def renamed(paths: Iterable[PurePath], layout: Layout) -> Mapping[str, str]:
    """Folder -> canonical emotion, for folders whose name differs from it."""
    folders = sorted({path.parts[layout.emotion] for path in paths})
    return {folder: canonical(folder) for folder in folders if canonical(folder) != folder}
