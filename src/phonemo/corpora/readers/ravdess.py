"""RAVDESS, the audio-only speech part (Livingstone and Russo, PLOS ONE 13(5), 2018).

``Actor_01/03-01-05-02-01-01-01.wav`` is modality, channel, emotion, intensity, statement,
repetition and actor. Modality 03 is audio only, channel 01 is speech (02 is song). Actors with odd
numbers are male.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from phonemo.corpora.manifest import Intensity, Utterance
from phonemo.corpora.readers.base import (
    CorpusCard,
    CorpusReading,
    audio_by_stem,
    listing,
    relative,
    require_folder,
)
from phonemo.errors import CorpusError

CARD = CorpusCard(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (speech)",
    language="en",
    licence="CC BY-NC-SA 4.0",
    homepage="https://doi.org/10.5281/zenodo.1188976",
    acted=True,
    utterances=1440,
    speakers=24,
    emotions={
        "anger": 192,
        "calm": 192,
        "disgust": 192,
        "fear": 192,
        "happiness": 192,
        "neutral": 96,
        "sadness": 192,
        "surprise": 192,
    },
    note="Two fixed sentences; two files of Actor_07 are one recording; long trailing silence.",
)

EMOTION_CODES = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES: dict[str, Intensity] = {"01": "normal", "02": "strong"}
STATEMENTS = {
    "01": "Kids are talking by the door.",
    "02": "Dogs are sitting by the door.",
}

NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<sentence>0[12])-0[12]-(?P<speaker>\d\d)"
)
SILENT, SONG = "not audio alone (modality 01 or 02)", "song, not speech (channel 02)"
_FOLDER = re.compile(r"Actor_(\d\d)")
_EXPECTED = "expected folders like Actor_01 with files like 03-01-05-02-01-01-01.wav"


def read(root: Path) -> CorpusReading:
    """Read RAVDESS's speech from the folder that contains ``Actor_01`` to ``Actor_24``.

    Raises:
        CorpusError: the folder has another layout.
    """
    require_folder(root)
    named = (path for path in root.iterdir() if _FOLDER.fullmatch(path.name))
    folders = sorted(path for path in named if path.is_dir())
    skipped: Counter[str] = Counter()
    utterances: list[Utterance] = []
    for folder in folders:
        for stem, path in audio_by_stem(folder, skipped).items():
            utterance = _utterance(relative(path, root), folder.name, stem, skipped)
            if utterance is not None:
                utterances.append(utterance)
    if not utterances:
        raise CorpusError(
            f"{root}: {_EXPECTED} ({listing(root)}); pass the folder that contains Actor_01"
        )
    return CorpusReading(tuple(utterances), dict(skipped))


def _utterance(file: str, folder: str, stem: str, skipped: Counter[str]) -> Utterance | None:
    match = NAME.fullmatch(stem)
    reason = _skip_reason(match, folder)
    if match is None or reason is not None:
        skipped[reason or ""] += 1
        return None
    actor = match["speaker"]
    return Utterance(
        id=stem,
        file=file,
        speaker=actor,
        gender="m" if int(actor) % 2 else "f",
        language="en",
        transcript=STATEMENTS[match["sentence"]],
        emotion=EMOTION_CODES[match["emotion"]],
        intensity=INTENSITIES[match["intensity"]],
    )


def _skip_reason(match: re.Match[str] | None, folder: str) -> str | None:
    if match is None:
        return "file name not like 03-01-05-02-01-01-01"
    if match["modality"] != "03":
        return SILENT
    if match["channel"] != "01":
        return SONG
    if folder != f"Actor_{match['speaker']}":
        return "actor in the file name is not the folder's"
    return None
