"""EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al., Interspeech 2005).

``wav/03a01Fa.wav`` is speaker 03, sentence a01, emotion F, version a.
``lablaut/03a01Faxx.lablaut``, if present, has manual phone labels with times.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Literal

from phonemo.corpora.manifest import Phonemes, Utterance
from phonemo.corpora.readers.base import (
    SHADOW,
    CorpusCard,
    CorpusReading,
    audio_by_stem,
    is_shadow,
    listing,
    read_text,
    relative,
    require_folder,
)
from phonemo.corpora.readers.emodb_labels import lablaut_phonemes
from phonemo.errors import CorpusError, PhonemeError

CARD = CorpusCard(
    name="emodb",
    title="Berlin Database of Emotional Speech (EmoDB)",
    language="de",
    licence="CC0 1.0",
    homepage="http://emodb.bilderbar.info",
    acted=True,
    utterances=535,
    speakers=10,
    emotions={
        "anger": 127,
        "boredom": 81,
        "disgust": 46,
        "fear": 69,
        "happiness": 71,
        "neutral": 79,
        "sadness": 62,
    },
    note="Ten actors, ten fixed sentences: split by speaker, and by sentence for phonemes.",
)

SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
GENDERS: dict[str, Literal["f", "m"]] = {
    "03": "m",
    "08": "f",
    "09": "f",
    "10": "m",
    "11": "m",
    "12": "m",
    "13": "f",
    "14": "f",
    "15": "m",
    "16": "f",
}
EMOTION_LETTERS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}

NAME = re.compile(
    f"(?P<speaker>{'|'.join(GENDERS)})(?P<sentence>{'|'.join(SENTENCES)})"
    f"(?P<emotion>[{''.join(EMOTION_LETTERS)}])[a-z]"
)
_LABEL_FILE = re.compile(r"(?P<stem>\d\d[ab]\d\d[A-Z][a-z])(?P<version>[a-z]*)\.lablaut")
_EXPECTED = "expected a folder wav with files like 03a01Fa.wav; pass the folder that contains wav/"


def read(root: Path) -> CorpusReading:
    """Read EmoDB from the folder that contains ``wav/`` and, optionally, ``lablaut/``.

    Raises:
        CorpusError: the folder has another layout.
    """
    require_folder(root)
    if not (root / "wav").is_dir():
        raise CorpusError(f"{root}: {_EXPECTED} ({listing(root)})")
    skipped: Counter[str] = Counter()
    audio = audio_by_stem(root / "wav", skipped)
    known = {stem: path for stem, path in audio.items() if NAME.fullmatch(stem)}
    if not known:
        raise CorpusError(f"{root}: {_EXPECTED} ({listing(root / 'wav')} in wav)")
    if len(known) < len(audio):
        skipped["file name not like 03a01Fa"] += len(audio) - len(known)
    labels = _label_files(root / "lablaut", known, skipped)
    utterances = [
        _utterance(relative(path, root), stem, _phonemes(labels.get(stem), skipped))
        for stem, path in known.items()
    ]
    return CorpusReading(tuple(utterances), dict(skipped))


def _utterance(file: str, stem: str, phonemes: Phonemes | None) -> Utterance:
    speaker, sentence, letter = stem[:2], stem[2:5], stem[5]
    return Utterance(
        id=stem,
        file=file,
        speaker=speaker,
        gender=GENDERS[speaker],
        language="de",
        transcript=SENTENCES[sentence],
        emotion=EMOTION_LETTERS[letter],
        phonemes=phonemes,
    )


def _label_files(
    folder: Path, known: dict[str, Path], skipped: Counter[str]
) -> dict[str, list[Path]]:
    labels: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _LABEL_FILE.fullmatch(path.name)
        if is_shadow(path):
            skipped[SHADOW] += 1
        elif match is None:
            skipped["lablaut: not a label file"] += 1
        elif match["stem"] not in known:
            skipped["lablaut: labels without audio"] += 1
        else:
            labels.setdefault(match["stem"], []).append(path)
    return labels


def _phonemes(paths: list[Path] | None, skipped: Counter[str]) -> Phonemes | None:
    """The phonemes of the first label file that has any; all others are counted as skipped."""
    first: Phonemes | None = None
    for path in paths or ():
        try:
            phonemes = lablaut_phonemes(read_text(path))
        except CorpusError:
            skipped["lablaut: broken label file"] += 1
            continue
        except PhonemeError:
            skipped["lablaut: unknown label"] += 1
            continue
        if phonemes is None:
            skipped["lablaut: no phone is labelled"] += 1
        elif first is not None:
            skipped["lablaut: second label file"] += 1
        else:
            first = phonemes
    return first
