"""EmotionTTS open database, its emotional part (Selvas AI and KAIST, 2020), Korean.

``plain-to-emotional/ema/wav/ema00001.wav`` is the kind of script, the speaker and the number;
``plain-to-emotional/ema/transcript/ema00001.txt``, if present, has the transcript. Every hundred
numbers are one emotion.

The authors' README lists 00201 to 00300 as anger and 00301 to 00400 as sadness; the recordings are
the opposite. The scripts of emotional-to-emotional show it (00203: "my draft notice came, I am so
depressed"; 00303: "is it so hard to turn the radio down?"), and so do the voices of all 15
speakers, in both kinds: 00201 to 00300 are lower, softer, duller and slower. This reader uses the
recorded emotion; tests/corpora/test_emotiontts.py has the measurement.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Literal

from phonemo.corpora.manifest import Style, Utterance
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
    name="emotiontts",
    title="EmotionTTS open database, emotional part",
    language="ko",
    licence="CC BY-NC-SA 4.0, for research",
    homepage="https://github.com/emotiontts/emotiontts_open_db",
    acted=True,
    utterances=300,
    speakers=15,
    emotions={"anger": 75, "happiness": 75, "neutral": 75, "sadness": 75},
    note="The public 5 % of 6000. Anger and sadness are swapped with respect to the README, which "
    "scripts and voices contradict; emotional-to-emotional texts reveal the emotion.",
)

KINDS: tuple[Style, ...] = ("plain-to-emotional", "emotional-to-emotional")
#: The emotions of numbers 1 to 100, 101 to 200, 201 to 300 and 301 to 400; see above.
BLOCKS = ("neutral", "happiness", "sadness", "anger")
GENDERS: dict[str, Literal["f", "m"]] = {
    **dict.fromkeys(("ema", "emb", "nea", "neb", "nec", "ned", "nee"), "f"),
    **dict.fromkeys(("emf", "emg", "emh", "nek", "nel", "nem", "nen", "neo"), "m"),
}

_BLOCK_SIZE = 100
_NAME = re.compile(r"(?P<speaker>[a-z]{3})(?P<number>\d{5})")
_EXPECTED = "expected a folder plain-to-emotional or emotional-to-emotional with ema/wav/ema00001"


def read(root: Path) -> CorpusReading:
    """Read the emotional part from the folder that contains ``plain-to-emotional``.

    Raises:
        CorpusError: the folder has another layout, or a transcript is not UTF-8.
    """
    require_folder(root)
    skipped: Counter[str] = Counter()
    utterances = [
        utterance
        for kind in KINDS
        for speaker in _speaker_folders(root / kind)
        for utterance in _read_speaker(root, kind, speaker, skipped)
    ]
    if not utterances:
        raise CorpusError(
            f"{root}: {_EXPECTED} ({listing(root)}); pass the folder with plain-to-emotional"
        )
    return CorpusReading(tuple(utterances), dict(skipped))


def _speaker_folders(kind: Path) -> list[Path]:
    """The speakers' folders of a kind; empty if the kind is missing."""
    if not kind.is_dir():
        return []
    return sorted(path for path in kind.iterdir() if (path / "wav").is_dir())


def _read_speaker(root: Path, kind: Style, folder: Path, skipped: Counter[str]) -> list[Utterance]:
    utterances: list[Utterance] = []
    for stem, path in audio_by_stem(folder / "wav", skipped).items():
        match = _NAME.fullmatch(stem)
        reason = _skip_reason(match, folder.name)
        if match is None or reason is not None:
            skipped[reason or ""] += 1
        else:
            words = _read_transcript(folder / "transcript" / f"{stem}.txt")
            utterances.append(_utterance(relative(path, root), kind, match, words))
    return utterances


def _skip_reason(match: re.Match[str] | None, folder: str) -> str | None:
    if match is None:
        return "file name not like ema00001"
    if match["speaker"] != folder:
        return "speaker in the file name is not the folder's"
    if not 1 <= int(match["number"]) <= _BLOCK_SIZE * len(BLOCKS):
        return "number outside 00001 to 00400"
    return None


def _read_transcript(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split()) or None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: expected UTF-8, as in the release") from error


def _utterance(file: str, kind: Style, match: re.Match[str], words: str | None) -> Utterance:
    speaker = match["speaker"]
    return Utterance(
        id=match.group(),
        file=file,
        speaker=speaker,
        gender=GENDERS.get(speaker),
        language="ko",
        transcript=words,
        style=kind,
        emotion=BLOCKS[(int(match["number"]) - 1) // _BLOCK_SIZE],
    )
