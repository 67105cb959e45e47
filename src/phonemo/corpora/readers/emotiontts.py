"""EmotionTTS open database, its emotional part (Selvas AI and KAIST, 2020), Korean.

``plain-to-emotional/ema/wav/ema00001.wav`` is the kind of script, the speaker and the number;
``plain-to-emotional/ema/transcript/ema00001.txt`` holds the words, where it is there. Each
hundred of numbers is one emotion.

The authors' README gives 00201 to 00300 as anger and 00301 to 00400 as sadness. The recordings
are the other way round. The scripts of emotional-to-emotional say so in words (00203: "my draft
notice came, I am so depressed"; 00303: "is it so hard to turn the radio down?"), and so do the
voices of all 15 speakers, in both kinds: 00201 to 00300 are the lower, softer, duller and slower
ones. This reader gives the emotion that was recorded; tests/corpora/test_emotiontts.py has the
measurement.
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
    note="The open twentieth of 6000. Anger and sadness are exchanged against the README, whose "
    "numbers the scripts and voices contradict; emotional-to-emotional texts give emotions away.",
)

KINDS: tuple[Style, ...] = ("plain-to-emotional", "emotional-to-emotional")
#: Of numbers 1 to 100, 101 to 200, 201 to 300 and 301 to 400; see above.
BLOCKS = ("neutral", "happiness", "sadness", "anger")
GENDERS: dict[str, Literal["f", "m"]] = {
    **dict.fromkeys(("ema", "emb", "nea", "neb", "nec", "ned", "nee"), "f"),
    **dict.fromkeys(("emf", "emg", "emh", "nek", "nel", "nem", "nen", "neo"), "m"),
}

_BLOCK_SIZE = 100
_NAME = re.compile(r"(?P<speaker>[a-z]{3})(?P<number>\d{5})")
_WANTED = "no folder plain-to-emotional or emotional-to-emotional with files like ema/wav/ema00001"


def read(root: Path) -> CorpusReading:
    """Read the emotional part from the folder that holds ``plain-to-emotional``.

    Raises:
        CorpusError: the folder has another layout, or a transcript is no UTF-8.
    """
    require_folder(root)
    skipped: Counter[str] = Counter()
    utterances = [
        utterance
        for kind in KINDS
        for speaker in _folders(root / kind)
        for utterance in _of_speaker(root, kind, speaker, skipped)
    ]
    if not utterances:
        raise CorpusError(
            f"{root}: {_WANTED} ({listing(root)}); give the folder that holds plain-to-emotional"
        )
    return CorpusReading(tuple(utterances), dict(skipped))


def _folders(kind: Path) -> list[Path]:
    """The speakers of a kind; none where the kind is not there."""
    if not kind.is_dir():
        return []
    return sorted(path for path in kind.iterdir() if (path / "wav").is_dir())


def _of_speaker(root: Path, kind: Style, folder: Path, skipped: Counter[str]) -> list[Utterance]:
    found: list[Utterance] = []
    for stem, path in audio_by_stem(folder / "wav", skipped).items():
        match = _NAME.fullmatch(stem)
        reason = _fault(match, folder.name)
        if match is None or reason is not None:
            skipped[reason or ""] += 1
        else:
            words = _words(folder / "transcript" / f"{stem}.txt")
            found.append(_utterance(relative(path, root), kind, match, words))
    return found


def _fault(match: re.Match[str] | None, folder: str) -> str | None:
    if match is None:
        return "file name not like ema00001"
    if match["speaker"] != folder:
        return "speaker in the file name is not the folder's"
    if not 1 <= int(match["number"]) <= _BLOCK_SIZE * len(BLOCKS):
        return "number outside 00001 to 00400"
    return None


def _words(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split()) or None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8; the release's transcripts are") from error


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
