"""Indian EmoSpeech Command Dataset, version 0.1 (Banga et al., arXiv 1910.13801, 2019).

``webservice/bacho-safe-angry-1562907046662-HASH.wav`` is the place of the recording and then
keyword, environment, emotion, time and the SHA-224 hash of the user's name, whose first twelve
digits are the speaker here. The hash of the empty name stands for an unknown user. Clips with the
keyword ``background`` contain no command: they have no emotion here, regardless of their names, and
the transcript "".
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

from phonemo.corpora.manifest import Utterance
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
    name="rakshak",
    title="Indian EmoSpeech Command Dataset 0.1 (Rakshak)",
    language=None,
    licence="CC BY-NC-SA 4.0",
    homepage="https://github.com/RakshakTeam/emospeech-dataset-v1",
    acted=True,
    note="Noisy labels: volunteers portrayed prescribed emotions, and the result was not rated. "
    "One word per clip; background clips have no speech and no emotion.",
)

#: Keyword -> its language; None if the word is unknown.
KEYWORDS: dict[str, str | None] = {
    "bacho": "hi",
    "go": "en",
    "help": "en",
    "no": "en",
    "stop": "en",
    "yes": "en",
    "unknown": None,
}
BACKGROUND = "background"
EMOTION_NAMES: dict[str, str | None] = {
    "angry": "anger",
    "calm": "calm",
    "fearful": "fear",
    "happy": "happiness",
    "none": None,
}
UNKNOWN_USER = hashlib.sha224(b"").hexdigest()

#: Digits of a hash that distinguish the users and are short enough for a table.
_DIGITS = 12

_NAME = re.compile(
    rf"(?P<keyword>{'|'.join((*KEYWORDS, BACKGROUND))})-(?P<environment>[^-]+)"
    rf"-(?P<emotion>(?i:{'|'.join(EMOTION_NAMES)}))-\d+-(?P<user>[0-9a-f]{{56}})"
)
_EXAMPLE = "bacho-safe-angry-1562907046662-HASH"
_EXPECTED = f"expected folders of places with files like {_EXAMPLE}.wav"


def read(root: Path) -> CorpusReading:
    """Read the corpus from the folder that contains the places (``webservice``, ``Metro``, ...).

    Raises:
        CorpusError: the folder has another layout.
    """
    require_folder(root)
    skipped: Counter[str] = Counter()
    utterances: list[Utterance] = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for stem, path in audio_by_stem(folder, skipped).items():
            match = _NAME.fullmatch(stem)
            if match is None:
                skipped[f"file name not like {_EXAMPLE}"] += 1
            else:
                utterances.append(_utterance(relative(path, root), folder.name, match))
    if not utterances:
        raise CorpusError(
            f"{root}: {_EXPECTED} ({listing(root)}); pass the folder that contains webservice"
        )
    return CorpusReading(tuple(utterances), dict(skipped))


def _utterance(file: str, place: str, match: re.Match[str]) -> Utterance:
    keyword, user = match["keyword"], match["user"]
    has_command = keyword != BACKGROUND
    return Utterance(
        id=f"{place}/{match.group()}",
        file=file,
        speaker=None if user == UNKNOWN_USER else user[:_DIGITS],
        language=KEYWORDS.get(keyword),
        transcript=_transcript(keyword),
        emotion=EMOTION_NAMES[match["emotion"].lower()] if has_command else None,
    )


def _transcript(keyword: str) -> str | None:
    """The spoken word; "" if nothing is said, None if the word is unknown."""
    if keyword == BACKGROUND:
        return ""
    return None if keyword == "unknown" else keyword
