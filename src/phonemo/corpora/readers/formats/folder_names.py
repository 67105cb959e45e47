"""What the name of a folder says: a part of a split, an emotion, a session, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from phonemo.corpora.manifest import SplitName
from phonemo.labels import EMOTIONS, canonical_emotion

_TRAIN = ("train", "training", "trainset", "训练", "训练集")
_VALIDATION = ("val", "valid", "validation", "dev", "devel", "development", "验证", "验证集")
_TEST = ("test", "testing", "testset", "holdout", "heldout", "测试", "测试集")
#: The validation part where there is also a test part (ESD), otherwise the test part.
_EVALUATION = ("eval", "evaluation")
_PARTS: dict[str, str] = {
    **dict.fromkeys(_TRAIN, "train"),
    **dict.fromkeys(_VALIDATION, "validation"),
    **dict.fromkeys(_TEST, "test"),
    **dict.fromkeys(_EVALUATION, "evaluation"),
}
_JOINED = ("audio", "data", "dataset", "files", "folder", "set", "split", "wav", "wavs")
#: Parts with a word written behind them without a space: "testdata".
_JOINED_PARTS = {f"{name}{rest}": part for name, part in _PARTS.items() for rest in _JOINED}
#: Words that are neither a speaker nor an emotion.
_FILLERS = frozenset(
    (
        *("a", "all", "archive", "audio", "audios", "clean", "clip", "clips", "corpus", "data"),
        *("dataset", "datasets", "file", "files", "flac", "fold", "folds", "folder", "mp", "my"),
        *("new", "of", "ogg", "old", "other", "part", "parts", "partition", "processed", "raw"),
        *("recording", "recordings", "sample", "samples", "segment", "segments", "set", "sets"),
        *("sound", "sounds", "speech", "split", "splits", "subset", "the", "utterance"),
        *("utterances", "voice", "voices", "wav", "wave", "waves", "wavs"),
        *("hz", "k", "khz", "kbps", "bit", "mono", "stereo", "resampled", "normalized"),
        *("weak", "strong", "normal", "low", "medium", "high", "faible", "fort", "intensity"),
        *("arabic", "bengali", "chinese", "dutch", "english", "french", "german", "greek"),
        *("hindi", "italian", "japanese", "korean", "mandarin", "persian", "polish"),
        *("portuguese", "russian", "spanish", "turkish", "urdu"),
    )
)
_GENDERS: dict[str, Literal["f", "m"]] = {
    **dict.fromkeys(("f", "female", "females", "woman", "women", "weiblich", "frauen", "女"), "f"),
    **dict.fromkeys(("m", "male", "males", "man", "men", "männlich", "männer", "男"), "m"),
}
#: Names with these words do not mean the emotion that they also contain.
_NEGATIONS = frozenset(("no", "non", "not", "without", "kein", "nicht", "ohne"))
_SESSION = re.compile(r"(?:session|sess|ses|sitzung|take)[\W_]*[0-9]+[a-z]?")
_WORDS = re.compile(r"[^\W\d_]+")
_AMBIGUOUS = "other"
#: Number of folder names whose meaning is kept; a corpus has few, for many recordings.
_CACHED = 4096


@lru_cache(_CACHED)
def part_of(name: str) -> str | None:
    """The part of a split that a folder's name means: train, validation, test or evaluation.

    "train", "Test_Set", "dev-clean" and "angry_test" are parts; "anna_test" is not.
    """
    words = _words(name)
    parts = {part for word in words if (part := _part(word))}
    known = (_part(word) or word in _FILLERS or emotion_of(word) for word in words)
    return parts.pop() if len(parts) == 1 and all(known) else None


def _part(word: str) -> str | None:
    """The part that one word means: "test", "testdata"."""
    return _PARTS.get(word) or _JOINED_PARTS.get(word)


def split_names(parts: Iterable[str]) -> dict[str, SplitName]:
    """Part of a folder's name -> split; "evaluation" depends on whether there is a test part."""
    evaluation: SplitName = "validation" if "test" in set(parts) else "test"
    return {
        "train": "train",
        "validation": "validation",
        "test": "test",
        "evaluation": evaluation,
    }


@lru_cache(_CACHED)
def emotion_of(name: str) -> str | None:
    """The canonical emotion that a folder or file is named after; None unless there is one.

    The name may have other words: "OAF_angry" and "01 - Anger" mean anger. Digits alone do not
    name an emotion, and neither does a name with two emotions or a negation ("not angry").
    """
    whole = canonical_emotion(name)
    if whole in EMOTIONS and not name.strip().isdigit():
        return whole
    words = _words(name)
    if not _NEGATIONS.isdisjoint(words):
        return None
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    names = {canonical_emotion(word) for word in (*words, *pairs)}
    emotions = names.intersection(EMOTIONS) - {_AMBIGUOUS}
    return emotions.pop() if len(emotions) == 1 else None


def session_of(name: str) -> str | None:
    """The name, if it is a numbered session such as "Session2"."""
    return name if _SESSION.fullmatch(name.casefold()) else None


@lru_cache(_CACHED)
def gender_of(name: str) -> Literal["f", "m"] | None:
    """The gender that a folder is named after; "female1" is a speaker."""
    return _GENDERS.get(name.strip().casefold())


@lru_cache(_CACHED)
def is_filler(name: str) -> bool:
    """Whether a name means neither an emotion nor a person: "wav", "My data", "fold 3"."""
    return all(word in _FILLERS for word in _words(name)) and bool(_words(name))


def _words(name: str) -> list[str]:
    return _WORDS.findall(name.casefold())
