"""IEMOCAP's file formats: names, evaluations, transcripts and forced alignments.

Each function reads a single file. Lines are split at line feeds and carriage returns only, because
``splitlines`` would also split at the Latin-1 byte 0x85.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from phonemo.corpora.g2p.alphabets import from_sphinx
from phonemo.corpora.manifest import DIMENSIONS, Phonemes, Style
from phonemo.corpora.readers.base import read_text
from phonemo.errors import CorpusError, PhonemeError
from phonemo.labels import EMOTIONS, canonical_emotion

FRAMES_PER_SECOND = 100
#: The scale of the attributes.
SCALE = (1.0, 5.0)
#: First letter of the external raters' names.
_EXTERNAL = "E"
#: Maximum digits of a frame number (115 days).
_LONGEST_COUNT = 9

#: Emotion code of a turn -> canonical name; None if the raters did not agree.
EMOTION_CODES: Mapping[str, str | None] = {
    "neu": "neutral",
    "ang": "anger",
    "sad": "sadness",
    "hap": "happiness",
    "exc": "excited",
    "fru": "frustration",
    "sur": "surprise",
    "fea": "fear",
    "dis": "disgust",
    "oth": "other",
    "xxx": None,
}

_DIALOG = re.compile(r"Ses0(?P<session>[1-5])[FM]_(impro0[1-8][ab]?|script0[1-3]_[1-3]b?)")
_TURN = re.compile(r"(?P<actor>[FM])\d{3}")
_TRANSCRIPT = re.compile(r"(Ses0[1-5][FM]_\w+_[FM](?:XX)?\d+)\s*+(?:\[[\d.\s-]*+\])?\s*+:(.*)")
_TAG = re.compile(r"\[[^\[\]]*\]|\[\w+")
# Possessive quantifiers prevent catastrophic backtracking on a line of blanks or digits.
_NUMBER = r"\s*+(-?\d*+\.?\d*+)\s*+"
_BLOCK = re.compile(
    rf"\[{_NUMBER}-{_NUMBER}\]\s+(\S+)\s+(\w+)\s+\[{_NUMBER},{_NUMBER},{_NUMBER}\]\s*"
)
_RATER = re.compile(r"(?P<kind>[AC])-(?P<rater>\w+):(?P<rest>.*)")
_ATTRIBUTE = re.compile(r"\b(val|act|dom)\s*(\d+\.?\d*)\s*;")


@dataclass(frozen=True)
class UtteranceName:
    """The parts of an utterance's name."""

    dialog: str
    session: str
    """The session's number, "1" to "5"."""
    speaker: str
    """The person who speaks, such as "Ses01M", not the actor in the dialog's name."""
    gender: Literal["f", "m"]

    @property
    def style(self) -> Style:
        """Whether the dialog was scripted or improvised."""
        return "scripted" if "_script" in self.dialog else "improvised"


@dataclass(frozen=True)
class Rating:
    """One rater's attributes of one turn, on a scale from 1 to 5; None if missing."""

    rater: str
    valence: float | None
    activation: float | None
    dominance: float | None


@dataclass(frozen=True)
class Evaluation:
    """The label of one turn, with its mean attributes and the individual ratings."""

    utterance: str
    start: float | None
    """Start in seconds in the dialog's recording, not in the utterance's file."""
    end: float | None
    emotion: str | None
    """A canonical name; None if the raters did not agree (``xxx``)."""
    valence: float | None
    activation: float | None
    dominance: float | None
    ratings: tuple[Rating, ...] = ()
    votes: Mapping[str, float] = field(default_factory=dict)
    """Emotion -> external raters who chose it; one who chose two counts half for each."""

    def rated(self) -> dict[str, float]:
        """The attributes by dimension, on the scale; values outside it are left out."""
        low, high = SCALE
        return {name: value for name, value in self._given().items() if low <= value <= high}

    def outside(self) -> int:
        """Number of attributes outside the scale."""
        return len(self._given()) - len(self.rated())

    def _given(self) -> dict[str, float]:
        pairs = zip(DIMENSIONS, (self.activation, self.valence, self.dominance), strict=True)
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True)
class EvaluationFile:
    """The evaluations of a dialog, and the number of unrecognized lines."""

    evaluations: tuple[Evaluation, ...]
    strays: int


@dataclass(frozen=True)
class TranscriptFile:
    """The turns of a dialog as (name, text with tags), and the number of unrecognized lines."""

    turns: tuple[tuple[str, str], ...]
    strays: int


@dataclass(frozen=True)
class CleanText:
    """A transcript without its tags; ``text`` is "" if there were only tags."""

    text: str
    tags: int


def parse_name(utterance: str) -> UtteranceName | None:
    """Parse a name ``<dialog>_{F|M}ddd``; None for another name, such as a turn ``_MXX0``.

    The name is split from the right: dialogs such as ``Ses03M_impro05a`` have no fixed length, and
    the letter after the session is the actor with markers, not the speaker.
    """
    dialog, _, turn = utterance.rpartition("_")
    dialog_match, actor = _DIALOG.fullmatch(dialog), _TURN.fullmatch(turn)
    if dialog_match is None or actor is None:
        return None
    return UtteranceName(
        dialog=dialog,
        session=dialog_match["session"],
        speaker=f"Ses0{dialog_match['session']}{actor['actor']}",
        gender="f" if actor["actor"] == "F" else "m",
    )


def read_evaluations(path: Path) -> EvaluationFile:
    """Read ``dialog/EmoEvaluation/<dialog>.txt``.

    Raises:
        CorpusError: an unknown emotion code.
    """
    evaluations: list[Evaluation] = []
    ratings: list[list[Rating]] = []
    votes: list[Counter[str]] = []
    strays = 0
    for number, line in enumerate(_lines(path), start=1):
        rater = _RATER.match(line)
        block = _BLOCK.fullmatch(line)
        if block is not None:
            evaluations.append(_evaluation(block, f"{path}:{number}"))
            ratings.append([])
            votes.append(Counter())
        elif rater is not None and ratings:
            ratings[-1].extend(_rating(rater))
            votes[-1].update(_votes(rater))
        else:
            strays += bool(line.strip()) and not line.startswith("%")
    rated = (
        replace(evaluation, ratings=tuple(group), votes=dict(chosen))
        for evaluation, group, chosen in zip(evaluations, ratings, votes, strict=True)
    )
    return EvaluationFile(evaluations=tuple(rated), strays=strays)


def read_transcripts(path: Path) -> TranscriptFile:
    """Read ``dialog/transcriptions/<dialog>.txt``, including turns without audio."""
    lines = [line.strip() for line in _lines(path) if line.strip()]
    matches = [_TRANSCRIPT.fullmatch(line) for line in lines]
    turns = tuple((match[1], match[2].strip()) for match in matches if match is not None)
    return TranscriptFile(turns=turns, strays=len(lines) - len(turns))


def clean_text(text: str) -> CleanText:
    """Remove tags such as ``[LAUGHTER]``, including unclosed ones, from a transcript."""
    bare, tags = _TAG.subn(" ", text)
    return CleanText(text=" ".join(bare.split()), tags=tags)


def read_alignment(path: Path, frame_offset: int = 0) -> Phonemes | None:
    """Read a SPHINX-3 ``.phseg`` file: phonemes with times, without silences and other fillers.

    A row has start frame, end frame (inclusive), score, phone and, optionally, the phone's context.
    The time of a phone with two symbols (``TS``) is divided equally between them.

    Args:
        path: The file; its frames of 10 ms count from the utterance's start.
        frame_offset: Frames added to both ends of every segment; one public parser adds two.

    Returns:
        The phonemes, empty if only fillers were aligned; None for an unusable file: a malformed
        row, or no ``Total score`` at its end because it was truncated.

    Raises:
        PhonemeError: a phone outside the release's 52 symbols.
    """
    lines = [line.strip() for line in _lines(path) if line.strip()]
    if not lines or not lines[-1].startswith("Total score"):
        return None
    body = [line.split() for line in lines[:-1] if not line.startswith("SFrm")]
    if not all(_is_segment(row) for row in body):
        return None
    symbols: list[str] = []
    times: list[tuple[float, float]] = []
    for start, end, _, phone, *_ in body:
        parts = _symbols(phone, path)
        symbols.extend(parts)
        times.extend(_spread(int(start) + frame_offset, int(end) + 1 + frame_offset, len(parts)))
    return Phonemes(alphabet="arpabet", source="phseg", symbols=tuple(symbols), times=tuple(times))


def repeated(names: list[str]) -> int:
    """Number of repetitions of names after their first occurrence."""
    return sum(count - 1 for count in Counter(names).values())


def _lines(path: Path) -> list[str]:
    return re.split(r"\r\n|\r|\n", read_text(path))


def _evaluation(block: re.Match[str], where: str) -> Evaluation:
    start, end, name, code, valence, activation, dominance = block.groups()
    if code not in EMOTION_CODES:
        known = " ".join(EMOTION_CODES)
        raise CorpusError(f"{where}: expected an emotion code of {known}, got {code!r}")
    return Evaluation(
        utterance=name,
        start=_number(start),
        end=_number(end),
        emotion=EMOTION_CODES[code],
        valence=_number(valence),
        activation=_number(activation),
        dominance=_number(dominance),
    )


def _rating(line: re.Match[str]) -> list[Rating]:
    """One rating for an attribute line; none for a line of categories."""
    if line["kind"] == "C":
        return []
    attributes, _, _ = line["rest"].partition("(")  # a free-text remark may follow
    values = {name: float(value) for name, value in _ATTRIBUTE.findall(attributes)}
    return [Rating(line["rater"], values.get("val"), values.get("act"), values.get("dom"))]


def _votes(line: re.Match[str]) -> dict[str, float]:
    """Return the emotions that an external rater chose, whose shares sum to 1.

    Raters are named E1, E2, ...; lines such as ``C-F1`` are the actors' own assessment.
    """
    if line["kind"] != "C" or not line["rater"].startswith(_EXTERNAL):
        return {}
    names = [word.strip() for word in line["rest"].partition("(")[0].split(";") if word.strip()]
    emotions = [canonical_emotion(name.removesuffix(" state")) for name in names]
    known = [name if name in EMOTIONS else "other" for name in emotions]
    return {name: known.count(name) / len(known) for name in known}


def _number(text: str) -> float | None:
    return float(text) if any(character.isdigit() for character in text) else None


def _is_segment(row: list[str]) -> bool:
    frames = row[:2]
    return (
        len(row) >= 4
        and all(frame.isdecimal() and len(frame) <= _LONGEST_COUNT for frame in frames)
        and int(row[0]) <= int(row[1])
    )


def _symbols(phone: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(from_sphinx(phone))
    except PhonemeError as error:
        raise PhonemeError(f"{path}: {error}") from error


def _spread(start: int, stop: int, parts: int) -> list[tuple[float, float]]:
    """Divide the frames in [start, stop) into equal parts, in seconds."""
    edges = [start + (stop - start) * part / max(parts, 1) for part in range(parts + 1)]
    seconds = [edge / FRAMES_PER_SECOND for edge in edges]
    return list(pairwise(seconds))
