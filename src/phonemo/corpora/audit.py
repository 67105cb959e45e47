"""What the audio of a corpus says before anything is trained on it: length, faults, duplicates."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soundfile

from phonemo.corpora.manifest import Utterance

#: Shortest utterance that a network with 25 ms frames can hear.
SHORTEST_SECONDS = 0.025
#: How far a table's end may lie behind the end of the audio: rounding in hand-made tables.
_SLACK_SECONDS = 0.05
_BLOCK_SAMPLES = 8192


@dataclass(frozen=True)
class Sound:
    """A file's header: its length and shape, or the fault that makes it useless."""

    seconds: float = 0.0
    samples: int = 0
    rate: int = 0
    channels: int = 0
    fault: str | None = None


@dataclass(frozen=True)
class Audit:
    """Which utterances can be heard, for how long, and which files are the same recording."""

    utterances: tuple[Utterance, ...]
    seconds: float
    faults: Mapping[str, int]
    """Reason -> utterances left out for it."""
    first_faults: Mapping[str, str]
    """Reason -> the first such file, to look at."""
    twins: tuple[tuple[str, ...], ...]
    """Groups of files with the same samples."""


def audit(utterances: Sequence[Utterance], root: Path, progress: Callable[[], None]) -> Audit:
    """Open every utterance's audio under ``root``; ``progress`` is called after each."""
    sounds: dict[str, Sound] = {}
    faults: Counter[str] = Counter()
    first_faults: dict[str, str] = {}
    heard: list[Utterance] = []
    seconds = 0.0
    for utterance in utterances:
        sound = sounds.get(utterance.file) or inspect(root / utterance.file)
        sounds[utterance.file] = sound
        fault = sound.fault or _segment_fault(utterance, sound)
        if fault is None:
            heard.append(utterance)
            seconds += _length(utterance, sound)
        else:
            faults[fault] += 1
            first_faults.setdefault(fault, utterance.file)
        progress()
    twins = _twins(root, {utterance.file: sounds[utterance.file] for utterance in heard})
    return Audit(tuple(heard), seconds, dict(faults), first_faults, twins)


def inspect(path: Path) -> Sound:
    """Read a file's header; a fault is returned, not raised, so that all can be counted."""
    if not path.is_file():
        return Sound(fault="audio: no such file")
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError):
        return Sound(fault="audio: cannot be opened")
    seconds = info.frames / info.samplerate
    if info.frames == 0:
        return Sound(fault="audio: empty")
    if seconds < SHORTEST_SECONDS:
        return Sound(fault="audio: shorter than 25 ms")
    return Sound(seconds, info.frames, info.samplerate, info.channels)


def _segment_fault(utterance: Utterance, sound: Sound) -> str | None:
    end = utterance.end if utterance.end is not None else sound.seconds
    if end > sound.seconds + _SLACK_SECONDS:
        return "segment: ends behind the end of its audio"
    if _length(utterance, sound) < SHORTEST_SECONDS:
        return "segment: shorter than 25 ms"
    return None


def _length(utterance: Utterance, sound: Sound) -> float:
    end = min(utterance.end if utterance.end is not None else sound.seconds, sound.seconds)
    return end - (utterance.start or 0.0)


def _twins(root: Path, sounds: Mapping[str, Sound]) -> tuple[tuple[str, ...], ...]:
    """Files with the same samples.

    To decode a whole corpus for this would take minutes, so only files of the same shape are
    opened, and of those only files that begin alike are decoded to their end.
    """
    groups = _grouped(sounds, lambda file: _shape(sounds[file]))
    for blocks in (1, None):
        groups = [
            same for group in groups for same in _grouped(group, partial(_digest, root, blocks))
        ]
    return tuple(tuple(group) for group in groups)


def _grouped(files: Iterable[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """The files that share their key with another one; None is shared with nobody."""
    groups: dict[Hashable, list[str]] = {}
    for file in sorted(files):
        groups.setdefault(key(file), []).append(file)
    return [group for name, group in groups.items() if name is not None and len(group) > 1]


def _shape(sound: Sound) -> tuple[int, int, int]:
    return sound.samples, sound.rate, sound.channels


def _digest(root: Path, blocks: int | None, file: str) -> str | None:
    """A hash of the samples in the first blocks; None where they cannot be decoded.

    What cannot be decoded behind its header is training's to complain about, not this hash's.
    """
    digest = hashlib.sha256()
    try:
        for block in itertools.islice(_blocks(root / file), blocks):
            digest.update(block)
    except (soundfile.SoundFileError, OSError):
        return None
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with soundfile.SoundFile(str(path)) as sound:
        while len(block := sound.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
            yield block.tobytes()
