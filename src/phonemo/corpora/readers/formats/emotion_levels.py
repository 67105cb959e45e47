"""The folder level that names the emotion of each recording, found by known words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from phonemo.corpora.readers.formats.folder_names import (
    emotion_of,
    gender_of,
    is_filler,
    part_of,
    session_of,
)
from phonemo.errors import CorpusError, UsageError, safe_name
from phonemo.labels import canonical_emotion

#: Share of file names with an emotion, for emotions to be read from file names.
_NEARLY_ALL = 0.8
#: Share of the names of a level that are known emotions, for its other names to be emotions too.
_ENOUGH_KNOWN = 0.5
_MAX_LISTED = 4
#: The level of the file's own name.
FILE_NAME = -1


@dataclass(frozen=True)
class EmotionLevels:
    """The level of the emotion of every usable recording; 0 is the outermost folder."""

    of: Mapping[PurePath, int]
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def detect(cls, root: Path, paths: Sequence[PurePath], requested: int | None) -> EmotionLevels:
        """Find the levels, or use the requested one, counted from 1.

        Raises:
            CorpusError: no level has names of emotions, or several have as many.
            UsageError: no recording is below the requested level.
        """
        if requested is not None:
            return _at_level(root, paths, requested)
        known = {path: levels for path in paths if (levels := _known_levels(path))}
        if not known:
            return _in_file_names(root, paths)
        return _by_folders(root, paths, known)

    @property
    def paths(self) -> Collection[PurePath]:
        """The recordings with an emotion."""
        return self.of.keys()

    def level(self, path: PurePath) -> int:
        """The level of a recording's emotion; beyond all folders if it is in the file's name."""
        level = self.of[path]
        return len(path.parts) - 1 if level == FILE_NAME else level

    def spelling(self, path: PurePath) -> str:
        """The name of the folder, or the word in the file's name."""
        if self.of[path] == FILE_NAME:
            return self.emotion(path)
        return path.parts[self.of[path]]

    def emotion(self, path: PurePath) -> str:
        """The canonical emotion; a name without a known emotion is only lowercased."""
        if self.of[path] == FILE_NAME:
            return emotion_of(path.stem) or ""
        name = path.parts[self.of[path]]
        return emotion_of(name) or canonical_emotion(name)


def _at_level(root: Path, paths: Sequence[PurePath], requested: int) -> EmotionLevels:
    depth = max(len(path.parts) - 1 for path in paths)
    if not depth:
        raise _no_emotions(root, paths)
    if not 1 <= requested <= depth:
        raise UsageError(f"expected --emotion-level from 1 to {depth}, got {requested}")
    deep = [path for path in paths if len(path.parts) > requested]
    skipped = _skipped(f"not {requested} folders deep", paths, deep)
    return EmotionLevels(dict.fromkeys(deep, requested - 1), skipped)


def _by_folders(
    root: Path, paths: Sequence[PurePath], known: Mapping[PurePath, Sequence[int]]
) -> EmotionLevels:
    scores = _scores(known)
    chosen = {path: _best(root, path, levels, scores, paths) for path, levels in known.items()}
    leading = max(scores, key=scores.__getitem__)
    chosen |= _custom_emotions(paths, chosen, leading)
    if len(chosen) < _ENOUGH_KNOWN * len(paths):
        raise _no_emotions(root, paths)
    skipped = _skipped("not in a folder named after an emotion", paths, chosen)
    ordered = {path: chosen[path] for path in paths if path in chosen}
    return EmotionLevels(ordered, skipped)


def _known_levels(path: PurePath) -> list[int]:
    return [level for level, name in enumerate(path.parts[:-1]) if emotion_of(name)]


def _place(path: PurePath, level: int) -> int:
    """The level without the folders that are a part of a split or say nothing."""
    return sum(_is_significant(name) for name in path.parts[:level])


def _is_significant(name: str) -> bool:
    if emotion_of(name):
        return True
    return not any((part_of(name), session_of(name), gender_of(name), is_filler(name)))


#: Whether a level has several emotions, the recordings below them, and how many emotions.
_Score = tuple[bool, int, int]


def _scores(known: Mapping[PurePath, Sequence[int]]) -> dict[int, _Score]:
    """Place -> score: "happy project/ann/angry" and "Joy/angry" mean anger."""
    places: dict[int, Counter[str | None]] = {}
    for path, levels in known.items():
        for level in levels:
            emotions = places.setdefault(_place(path, level), Counter())
            emotions[emotion_of(path.parts[level])] += 1
    return {
        place: (len(emotions) > 1, emotions.total(), len(emotions))
        for place, emotions in places.items()
    }


def _best(
    root: Path,
    path: PurePath,
    levels: Sequence[int],
    scores: Mapping[int, _Score],
    paths: Sequence[PurePath],
) -> int:
    """The level with the highest score."""
    ranked = sorted(levels, key=lambda level: scores[_place(path, level)])
    if len(ranked) > 1 and scores[_place(path, ranked[-1])] == scores[_place(path, ranked[-2])]:
        raise CorpusError(
            f"{root}: the level of the emotions is ambiguous ({_listing(paths)}); "
            "set --emotion-level"
        )
    return ranked[-1]


def _custom_emotions(
    paths: Iterable[PurePath], chosen: Mapping[PurePath, int], leading: int
) -> dict[PurePath, int]:
    """Levels of names that are no known emotions but stand beside them, such as "glee".

    A folder that contains folders of emotions is not an emotion.
    """
    parents = _prefixes({path.parts[:level] for path, level in chosen.items()})
    candidates = {
        path: level
        for path in paths
        if path not in chosen
        for level in range(len(path.parts) - 1)
        if _place(path, level) == leading
        and _is_significant(path.parts[level])
        and path.parts[: level + 1] not in parents
    }
    unknown = {path.parts[level] for path, level in candidates.items()}
    known = {path.parts[level] for path, level in chosen.items() if _place(path, level) == leading}
    return candidates if len(known) >= _ENOUGH_KNOWN * len(known | unknown) else {}


def _prefixes(folders: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {folder[:length] for folder in folders for length in range(1, len(folder) + 1)}


def _in_file_names(root: Path, paths: Sequence[PurePath]) -> EmotionLevels:
    named = [path for path in paths if emotion_of(path.stem)]
    if len(named) < _NEARLY_ALL * len(paths) or len({emotion_of(path.stem) for path in named}) < 2:
        raise _no_emotions(root, paths)
    skipped = _skipped("no emotion in the file name", paths, named)
    note = f"emotions from file names, such as {safe_name(named[0].name)}"
    return EmotionLevels(dict.fromkeys(named, FILE_NAME), skipped, (note,))


def _no_emotions(root: Path, paths: Sequence[PurePath]) -> CorpusError:
    depth = max(len(path.parts) - 1 for path in paths)
    if not depth:
        return CorpusError(
            f"{root}: {safe_name(paths[0].name)} is not in a folder; put each recording into a "
            "folder named after its emotion, or use a table: --csv"
        )
    return CorpusError(
        f"{root}: expected folders named after emotions (angry, happy, ...), got "
        f"{_listing(paths)}; rename them, set --emotion-level to use the names of a level as they "
        "are, or use a table: --csv"
    )


def _listing(paths: Sequence[PurePath]) -> str:
    depth = max(len(path.parts) - 1 for path in paths)
    levels = []
    for level in range(depth):
        names = sorted({path.parts[level] for path in paths if len(path.parts) - 1 > level})
        rest = ", ..." if len(names) > _MAX_LISTED else ""
        levels.append(f"level {level + 1}: {', '.join(map(safe_name, names[:_MAX_LISTED]))}{rest}")
    return "; ".join(levels)


def _skipped(reason: str, paths: Sequence[PurePath], used: Collection[PurePath]) -> dict[str, int]:
    lost = [path for path in paths if path not in used]
    if not lost:
        return {}
    return {f"{reason}, such as {safe_name(lost[0].as_posix())}": len(lost)}
