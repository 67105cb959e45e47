"""Utterances of recordings whose speaker, emotion and split are in their paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.formats.folder_names import part_of, split_names
from phonemo.errors import UsageError


@dataclass(frozen=True)
class FolderSplits:
    """The parts of a split that are named by folders."""

    paths: Sequence[PurePath]

    @cached_property
    def _parts(self) -> dict[PurePath, str | None]:
        return {path: _first_part(path) for path in self.paths}

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return split_names(part for part in self._parts.values() if part)

    def of(self, path: PurePath) -> str | None:
        """The split of a recording: train, validation, test or None."""
        return self._names.get(self._parts[path] or "")

    def notes(self) -> tuple[str, ...]:
        """A line with the sizes of the parts, if there are any."""
        counts = Counter(self.of(path) or "none" for path in self.paths)
        if not counts.keys() - {"none"}:
            return ()
        sizes = ", ".join(
            f"{name} {counts[name]}"
            for name in ("train", "validation", "test", "none")
            if name in counts
        )
        return (f"splits from folder names: {sizes}",)


def _first_part(path: PurePath) -> str | None:
    return next((part for name in path.parts[:-1] if (part := part_of(name))), None)


def speaker_pattern(text: str) -> re.Pattern[str]:
    """Compile "{speaker}_*" for a file's stem; UsageError unless it has {speaker} once."""
    if text.count("{speaker}") != 1:
        raise UsageError(
            f"expected --speaker with one {{speaker}}, such as '{{speaker}}_*', got {text!r}"
        )
    before, after = text.split("{speaker}")
    return re.compile(f"{_glob(before)}(?P<speaker>.+?){_glob(after)}", re.DOTALL)


def _glob(text: str) -> str:
    return ".*".join(map(re.escape, text.split("*")))


def speaker_in_stem(pattern: re.Pattern[str], path: PurePath) -> str | None:
    """The speaker in a file's stem; None if the pattern does not match."""
    match = pattern.fullmatch(path.stem)
    return match["speaker"] if match else None


def path_utterance(
    path: PurePath,
    emotion: str,
    split: str | None,
    speaker: str | None,
    language: str | None,
    **facts: str | None,
) -> Utterance:
    """An utterance whose id is its path, relative to the folder, with other facts if known."""
    file = path.as_posix()
    fields = {"id": file, "file": file, "emotion": emotion, "speaker": speaker} | facts
    return Utterance.model_validate(fields | {"split": split, "language": language})
