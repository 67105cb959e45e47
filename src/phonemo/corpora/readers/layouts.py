"""Known corpora recognized by the names of their files and folders.

Copies of published corpora are often renamed, merged or without their documents, but keep the names
of their recordings. A layout is one row of ``LAYOUTS``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from phonemo.corpora.manifest import Intensity
from phonemo.corpora.readers import cremad, emodb, nemo, ravdess

Gender = Literal["f", "m"]

#: Share of a folder's recordings that must have the names of known corpora.
_NEARLY_ALL = 0.8


def _no_reason(match: re.Match[str]) -> str | None:
    return None


@dataclass(frozen=True)
class KnownLayout:
    """How a corpus names its recordings.

    The patterns match the end of a path without its suffix, from the beginning of a folder's or a
    file's name. Their groups are emotion, speaker and, if the name has it, sentence.
    """

    name: str
    title: str
    patterns: tuple[str, ...]
    emotions: Mapping[str, str]
    """Code in lower case -> canonical emotion."""
    language: str | None
    genders: Mapping[str, Gender] = field(default_factory=dict)
    """Speaker -> gender, if published."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Misspelled speaker -> speaker."""
    sentences: Mapping[str, str] = field(default_factory=dict)
    """Code -> transcript."""
    intensities: Mapping[str, Intensity] = field(default_factory=dict)
    """Code -> acted intensity."""
    carrier: str | None = None
    """The transcript of every recording, with the word as {}."""
    reason: Callable[[re.Match[str]], str | None] = _no_reason
    """Why the corpus's reader does not use a recording; None if it does."""
    flags: re.RegexFlag = re.DOTALL


@dataclass(frozen=True)
class KnownRecording:
    """What a known corpus's names say about one recording."""

    layout: KnownLayout
    emotion: str
    speaker: str
    gender: Gender | None
    language: str | None
    transcript: str | None
    reason: str | None
    """Why the corpus's reader does not use it, such as song; None if it does."""
    intensity: Intensity | None
    """The acted intensity, if the name has it."""
    rest: str
    """What a copy's name has behind the corpus's own name."""


@dataclass(frozen=True)
class Recognition:
    """The recordings of known corpora in a folder, and the other ones."""

    recordings: Mapping[PurePath, KnownRecording]
    others: tuple[PurePath, ...]

    @property
    def title(self) -> str:
        """The corpora's names, with the number of recordings if there are several."""
        counts = Counter(recording.layout.title for recording in self.recordings.values())
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{title} ({count})" for title, count in sorted(counts.items()))

    @property
    def is_mixed(self) -> bool:
        """Whether there are several corpora, so that their speakers need different names."""
        return len({recording.layout.name for recording in self.recordings.values()}) > 1


def recognize_layout(paths: Sequence[PurePath], least: float = _NEARLY_ALL) -> Recognition | None:
    """Recognize the known corpora that nearly all of the paths belong to; None if there are none.

    Args:
        paths: recordings, relative to the corpus's folder.
        least: share of them that must belong to one.
    """
    parsed = {path: recording for path in paths if (recording := _parse(path)) is not None}
    if not parsed or len(parsed) < least * len(paths):
        return None
    return Recognition(parsed, tuple(path for path in paths if path not in parsed))


def _parse(path: PurePath) -> KnownRecording | None:
    text = path.with_suffix("").as_posix()
    for layout, patterns in _COMPILED:
        for pattern in patterns:
            if match := pattern.fullmatch(text):
                return _recording(layout, match)
    return None


def _recording(layout: KnownLayout, match: re.Match[str]) -> KnownRecording:
    groups = match.groupdict()
    speaker = groups["speaker"].upper() if layout.flags & re.IGNORECASE else groups["speaker"]
    speaker = layout.aliases.get(speaker, speaker)
    sentence = groups.get("sentence")
    transcript = layout.sentences.get(sentence or "")
    if layout.carrier is not None and sentence:
        transcript = layout.carrier.format(sentence.lower())
    return KnownRecording(
        layout=layout,
        emotion=layout.emotions[groups["emotion"].lower()],
        speaker=speaker,
        gender=layout.genders.get(speaker) or _gender(groups.get("gender")),
        language=layout.language,
        transcript=transcript,
        reason=layout.reason(match),
        intensity=layout.intensities.get((groups.get("intensity") or "").upper()),
        rest=groups.get("rest") or "",
    )


def _gender(letter: str | None) -> Gender | None:
    return {"F": "f", "M": "m"}.get(letter or "")  # type: ignore[return-value]


# The corpora --------------------------------------------------------------------------------------


def _song_or_silent(match: re.Match[str]) -> str | None:
    if match["modality"] == "02":
        return ravdess.SILENT
    return ravdess.SONG if match["channel"] == "02" else None


def _lower(codes: Mapping[str, str]) -> dict[str, str]:
    return {code.lower(): emotion for code, emotion in codes.items()}


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_SAVEE = {
    **{"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral"},
    **{"sa": "sadness", "su": "surprise"},
}
_EMOVO = {
    **{"dis": "disgust", "gio": "happiness", "neu": "neutral", "pau": "fear", "rab": "anger"},
    **{"sor": "surprise", "tri": "sadness"},
}
_TESS = {
    **{"angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness"},
    **{"neutral": "neutral", "sad": "sadness", "ps": "surprise"},
    **{
        f"pleasant{mark}surprise{end}": "surprise"
        for mark in ("_", "-", " ", "")
        for end in ("", "d")
    },
}
_ESD = {
    **{"angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness"},
    **{"surprise": "surprise"},
}
_URDU = {"a": "anger", "h": "happiness", "n": "neutral", "s": "sadness"}
_ESD_MEN = {"0004", "0005", "0006", "0008", "0010", "0011", "0012", "0013", "0014", "0020"}


def _esd(speakers: range, language: str) -> KnownLayout:
    """The emotion is a folder's name; parts of the split and speakers may be others."""
    names = [f"{speaker:04}" for speaker in speakers]
    emotion = f"(?P<emotion>{_any(_ESD)})"
    file = f"(?P<speaker>{_any(names)})_[0-9]{{6}}"
    return KnownLayout(
        name="esd",
        title="ESD",
        patterns=(rf"{emotion}/(?:[^/]+/){{0,2}}{file}",),
        emotions=_ESD,
        language=language,
        genders={name: "m" if name in _ESD_MEN else "f" for name in names},
        flags=re.DOTALL | re.IGNORECASE,
    )


#: In the order in which they are tried.
LAYOUTS: tuple[KnownLayout, ...] = (
    KnownLayout(
        name="ravdess",
        title="RAVDESS",
        patterns=(ravdess.NAME.pattern,),
        emotions=ravdess.EMOTION_CODES,
        language="en",
        genders={f"{actor:02}": "m" if actor % 2 else "f" for actor in range(1, 25)},
        sentences=ravdess.STATEMENTS,
        intensities=ravdess.INTENSITIES,
        reason=_song_or_silent,
    ),
    KnownLayout(
        name="cremad",
        title="CREMA-D",
        patterns=(cremad.NAME.pattern,),
        emotions=_lower(cremad.EMOTION_CODES),
        language="en",
        sentences=cremad.SENTENCES,
        intensities=cremad.LEVELS,
    ),
    KnownLayout(
        name="tess",
        title="TESS",
        patterns=(
            # the speaker of one file of the release is written OA
            rf"(?P<speaker>OAF?|YAF)_(?P<sentence>[a-z]+)_(?P<emotion>{_any(_TESS)})",
            rf"(?P<speaker>OAF|YAF)_(?P<emotion>{_any(_TESS)})/[^/]+",
        ),
        emotions=_TESS,
        language="en",
        genders={"OAF": "f", "YAF": "f"},
        aliases={"OA": "OAF"},
        carrier="Say the word {}.",
        flags=re.DOTALL | re.IGNORECASE,
    ),
    KnownLayout(
        name="savee",
        title="SAVEE",
        patterns=(rf"(?P<speaker>DC|JE|JK|KL)[_/](?P<emotion>{_any(_SAVEE)})[0-9]{{2}}",),
        emotions=_SAVEE,
        language="en",
        genders=dict.fromkeys(("DC", "JE", "JK", "KL"), "m"),
    ),
    KnownLayout(
        name="emodb",
        title="EmoDB",
        patterns=(emodb.NAME.pattern,),
        emotions=_lower(emodb.EMOTION_LETTERS),
        language="de",
        genders=emodb.GENDERS,
        sentences=emodb.SENTENCES,
    ),
    KnownLayout(
        name="emovo",
        title="EMOVO",
        patterns=(rf"(?P<emotion>{_any(_EMOVO)})-(?P<speaker>[fm][1-3])-[a-z]+[0-9]?",),
        emotions=_EMOVO,
        language="it",
        genders={f"{sex}{number}": sex for sex in ("f", "m") for number in (1, 2, 3)},
    ),
    KnownLayout(
        name="urdu",
        title="URDU",
        patterns=(r"(?P<speaker>S(?P<gender>[FM])[0-9]+)_F[0-9]+_(?P<emotion>[AHNS])[0-9]+",),
        emotions=_URDU,
        language="ur",
    ),
    KnownLayout(
        name="nemo",
        title="nEMO",
        patterns=(rf"(?P<speaker>[A-Z]{{2}}[0-9])_(?P<emotion>{_any(nemo.EMOTION_NAMES)})_[0-9]+",),
        emotions=nemo.EMOTION_NAMES,
        language="pl",
    ),
    _esd(range(1, 11), "zh"),
    _esd(range(11, 21), "en"),
)

#: What copies append to a name: the emotion, the sampling rate, an augmentation or a number, as in
#: 03-01-05-01-01-01-01_angry, 1001_DFA_ANG_XX_16k and "DC_a01 (1)".
_REST = r"(?P<rest>[^A-Za-z0-9/][^/]*)?"

_COMPILED = tuple(
    (
        layout,
        tuple(re.compile(f"(?:.*/)?{pattern}{_REST}", layout.flags) for pattern in layout.patterns),
    )
    for layout in LAYOUTS
)
