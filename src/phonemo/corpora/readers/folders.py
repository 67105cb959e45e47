"""A user's own recordings, whose emotions and speakers are in the names of folders and files.

``anger/a.wav``, ``anger/anna/1.wav``, ``anna/anger/1.wav`` and ``anger/anna_1.wav`` with a pattern
for the speaker: which level of folders holds the emotions is found by the words in it.
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
    name="csv",  # to its lineage a folder is what a table is: somebody's own
    title="Folders of your own",
    language=None,
    licence="yours",
    homepage="",
    acted=False,
    note="Give speakers, or folds cannot be made speaker-independent.",
)

#: How else people write an emotion -> its canonical name. Other words stay as they are.
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
    """Which level of folders says what; 0 is the outermost."""

    emotion: int
    speaker: int | None


def read_folders(
    root: Path,
    *,
    emotion_level: int | None = None,
    speaker: str | None = None,
    language: str | None = None,
) -> tuple[CorpusReading, Layout]:
    """The recordings below a folder, with what their places say.

    Args:
        root: the folder.
        emotion_level: which level of folders names the emotion, 1 for the outermost; None looks.
        speaker: a pattern of the file's name without its ending that has {speaker} in it, such as
            "{speaker}_*"; None takes the other level of folders, if there is one.
        language: ISO 639-1 code of what is spoken, if it is known.

    Raises:
        CorpusError: no recordings, recordings in no folder, or levels that cannot be told apart.
        UsageError: a pattern without {speaker}, or no such level.
    """
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder; one with a folder for each emotion is wanted")
    paths = [path for _, path in inside(str(root))]
    if not paths:
        raise CorpusError(f"{root}: no recordings in it; .wav, .flac, .mp3 and .ogg are looked for")
    layout = _layout(root, paths, emotion_level, speaker is not None)
    pattern = None if speaker is None else _pattern(speaker)
    rows = [_utterance(one, layout, pattern, language) for one in paths]
    return CorpusReading(tuple(rows)), layout


def canonical(word: str) -> str:
    """An emotion under phonemo's name for it; a word that is none stays, in small letters."""
    small = word.strip().lower()
    return SYNONYMS.get(small, small)


def _layout(
    root: Path, paths: Sequence[PurePath], asked: int | None, speaker_is_elsewhere: bool
) -> Layout:
    depths = Counter(len(path.parts) - 1 for path in paths)
    depth = min(depths)
    if not depth:
        stray = next(path for path in paths if len(path.parts) == 1)
        raise CorpusError(
            f"{root}: {stray} lies in no folder; put each recording into a folder named after its "
            "emotion, or say what it is in a table: --csv"
        )
    if asked is not None and not 1 <= asked <= depth:
        raise UsageError(f"--emotion-level {asked}: there are {depth} levels of folders everywhere")
    emotion = _emotion_level(root, paths, depth) if asked is None else asked - 1
    others = [level for level in range(depth) if level != emotion]
    return Layout(emotion, None if speaker_is_elsewhere or not others else others[-1])


def _emotion_level(root: Path, paths: Iterable[PurePath], depth: int) -> int:
    names = [{path.parts[level] for path in paths} for level in range(depth)]
    known = [sum(canonical(one) in EMOTIONS for one in level) for level in names]
    best = max(range(depth), key=known.__getitem__)
    if depth == 1 or known.count(known[best]) == 1:
        return best
    told = "; ".join(
        f"level {number}: {', '.join(sorted(level)[:4])}" for number, level in enumerate(names, 1)
    )
    raise CorpusError(
        f"{root}: which folders name the emotion ({told})? Say it with --emotion-level"
    )


def _pattern(text: str) -> re.Pattern[str]:
    if text.count("{speaker}") != 1:
        raise UsageError(
            f"--speaker {text!r}: a file's name with {{speaker}} in it, as '{{speaker}}_*'"
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
        found = pattern.fullmatch(path.stem)
        speaker = found["speaker"] if found else None
    file = path.as_posix()
    return Utterance(
        id=file,
        file=file,
        speaker=speaker,
        language=language,
        emotion=canonical(path.parts[layout.emotion]),
    )


def renamed(paths: Iterable[PurePath], layout: Layout) -> Mapping[str, str]:
    """Folder -> the canonical name of its emotion, where they differ."""
    folders = sorted({path.parts[layout.emotion] for path in paths})
    return {one: canonical(one) for one in folders if canonical(one) != one}
