"""CREMA-D, Crowd-sourced Emotional Multimodal Actors Dataset (Cao et al., 2014).

``AudioWAV/1001_DFA_ANG_XX.wav`` is actor, sentence, intended emotion and level;
``VideoDemographics.csv`` has each actor's sex. The intended emotion is the label; listeners
recognized it from the voice alone in 40.9 % of the clips.

``processedResults/tabulatedVotes.csv``, where the release has it, counts the raters' votes (columns
A D F H N S) and has the mean of their levels (meanEmoResp, 0 to 100). Its first column is
100000 * queryType + clip: query type 1 is the voice alone, and only these rows are used (README.md
and tabulateVotesV2.r of the release).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from phonemo.corpora.manifest import Intensity, Utterance
from phonemo.corpora.readers.base import (
    CorpusCard,
    CorpusReading,
    audio_by_stem,
    csv_errors,
    listing,
    relative,
    require_folder,
    table_lines,
)
from phonemo.errors import CorpusError

Gender = Literal["f", "m"]

CARD = CorpusCard(
    name="cremad",
    title="Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D)",
    language="en",
    licence="ODbL 1.0",
    homepage="https://github.com/CheyneyComputerScience/CREMA-D",
    acted=True,
    utterances=7442,
    speakers=91,
    emotions={
        "anger": 1271,
        "disgust": 1271,
        "fear": 1271,
        "happiness": 1271,
        "neutral": 1087,
        "sadness": 1271,
    },
    note="Twelve fixed sentences; the label is the intended emotion, not the perceived one.",
)

SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
EMOTION_CODES = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}

NAME = re.compile(
    rf"(?P<speaker>1\d\d\d)_(?P<sentence>{'|'.join(SENTENCES)})"
    rf"_(?P<emotion>{'|'.join(EMOTION_CODES)})_(?P<intensity>LO|MD|HI|XX?)"
)
#: Level in the name -> intensity; others are unspecified.
LEVELS: dict[str, Intensity] = {"LO": "low", "MD": "medium", "HI": "high"}
#: Column of tabulatedVotes.csv -> emotion.
VOTES = {
    **{"A": "anger", "D": "disgust", "F": "fear"},
    **{"H": "happiness", "N": "neutral", "S": "sadness"},
}
#: queryType of ratings of the voice alone, and what it is multiplied by in the row's number.
_VOICE, _QUERY = 1, 100_000
_HIGHEST_LEVEL = 100.0
_SEXES: dict[str, Gender] = {"Female": "f", "Male": "m"}
_EXPECTED = "expected a folder AudioWAV with files like 1001_DFA_ANG_XX.wav"


def read(root: Path) -> CorpusReading:
    """Read CREMA-D from the folder that holds ``AudioWAV/`` and ``VideoDemographics.csv``.

    Raises:
        CorpusError: the folder has another layout, or an actor is not in the table.
    """
    require_folder(root)
    folder = root / "AudioWAV"
    if not folder.is_dir():
        raise CorpusError(f"{root}: {_EXPECTED} ({listing(root)}); pass its parent folder")
    genders = _genders(root / "VideoDemographics.csv")
    ratings = _ratings(root / "processedResults" / "tabulatedVotes.csv")
    skipped: Counter[str] = Counter()
    utterances: list[Utterance] = []
    for stem, path in audio_by_stem(folder, skipped).items():
        match = NAME.fullmatch(stem)
        if match is None:
            skipped["file name not like 1001_DFA_ANG_XX"] += 1
        else:
            rated = ratings.get(stem, {})
            utterances.append(_utterance(relative(path, root), match, genders, rated))
            if ratings and not rated:
                skipped["clip without votes (kept)"] += 1
    if not utterances:
        raise CorpusError(f"{root}: {_EXPECTED} ({listing(folder)} in AudioWAV)")
    return CorpusReading(tuple(utterances), dict(skipped))


def _utterance(
    file: str, match: re.Match[str], genders: dict[str, Gender], ratings: Mapping[str, Any]
) -> Utterance:
    actor = match["speaker"]
    if actor not in genders:
        raise CorpusError(f"{file}: actor {actor} is not in VideoDemographics.csv")
    return Utterance(
        id=match.group(),
        file=file,
        speaker=actor,
        gender=genders[actor],
        language="en",
        transcript=SENTENCES[match["sentence"]],
        emotion=EMOTION_CODES[match["emotion"]],
        intensity=LEVELS.get(match["intensity"]),
        **ratings,
    )


def _ratings(path: Path) -> dict[str, dict[str, Any]]:
    """Clip -> its votes and rated intensity, from the voice alone; empty without the table."""
    if not path.is_file():
        return {}
    rows = csv.DictReader(table_lines(path))
    ratings: dict[str, dict[str, Any]] = {}
    with csv_errors(path):
        for row in rows:
            try:
                is_voice = int(row[""]) // _QUERY == _VOICE
                votes = {name: float(row[code]) for code, name in VOTES.items()}
                level = float(row["meanEmoResp"]) / _HIGHEST_LEVEL
            except (KeyError, TypeError, ValueError) as error:
                raise CorpusError(
                    f'{path}:{rows.line_num}: expected columns "", {", ".join(VOTES)}, fileName '
                    "and meanEmoResp with numbers; copy the table of the release again"
                ) from error
            if is_voice and sum(votes.values()) > 0:
                given = {name: count for name, count in votes.items() if count}
                ratings[str(row.get("fileName"))] = {
                    "votes": given,
                    "rated_intensity": round(min(max(level, 0.0), 1.0), 6),
                }
    return ratings


def _genders(path: Path) -> dict[str, Gender]:
    rows = csv.DictReader(table_lines(path, "it is part of CREMA-D and has each actor's sex"))
    genders: dict[str, Gender] = {}
    with csv_errors(path):
        for row in rows:
            actor, sex = row.get("ActorID"), row.get("Sex")
            if actor is None or sex not in _SEXES:
                raise CorpusError(
                    f"{path}:{rows.line_num}: expected columns ActorID and Sex (Female or Male)"
                )
            genders[actor.strip()] = _SEXES[sex]
    return genders
