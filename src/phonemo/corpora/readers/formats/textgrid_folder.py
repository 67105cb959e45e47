"""Recordings with Praat TextGrids beside them, such as manually corrected predictions.

The tiers are those of ``phonemo predict --format textgrid``: "emotion", whose intervals are the
utterances, "speaker", and "phonemes". A score after an emotion is dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from phonemo.annotations.textgrid import read_tiers
from phonemo.annotations.tiers import TierInterval
from phonemo.corpora.g2p.alphabets import IPA
from phonemo.corpora.manifest import Phonemes, Utterance
from phonemo.corpora.readers.base import CorpusCard, CorpusReading, listing, unique_ids
from phonemo.corpora.readers.emotion_names import EmotionNames
from phonemo.errors import CorpusError, UsageError
from phonemo.files import inside

CARD = CorpusCard(
    name="textgrid",
    title="Recordings with TextGrids (Praat)",
    language=None,
    licence="yours",
    homepage="https://www.fon.hum.uva.nl/praat/",
    acted=False,
    note="Tiers emotion, speaker and phonemes, as written by phonemo predict --format textgrid.",
)

_SUFFIX = ".TextGrid"
_SCORE = re.compile(r"\s+[01]?\.\d+\??$")
SOURCE = "TextGrid"


def read(root: Path) -> CorpusReading:
    """Read every recording of a folder that has a TextGrid with the same name.

    Raises:
        CorpusError: no folder, no such pair, no tier "emotion", or a malformed TextGrid.
    """
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder; expected one with recordings and TextGrids")
    rows: list[Utterance] = []
    skipped: Counter[str] = Counter()
    names = EmotionNames()
    for name, relative in inside(str(root)):
        grid = Path(name).with_suffix(_SUFFIX)
        if grid.is_file():
            rows += _utterances(relative.as_posix(), read_grid(grid), skipped, names, grid)
        else:
            skipped["no TextGrid beside it"] += 1
    if not rows:
        raise CorpusError(
            f"{root}: expected a recording and a TextGrid with emotions of its name "
            f"({listing(root)})"
        )
    return CorpusReading(unique_ids(rows, root), dict(skipped), names.notes())


def read_grid(path: Path) -> dict[str, list[TierInterval]]:
    """Read the tiers of a TextGrid by name; CorpusError for a malformed one."""
    try:
        return read_tiers(path)
    except UsageError as error:
        raise CorpusError(str(error)) from error


def _utterances(
    file: str,
    tiers: dict[str, list[TierInterval]],
    skipped: Counter[str],
    names: EmotionNames,
    grid: Path,
) -> list[Utterance]:
    if not any(name == "emotion" or name.startswith("emotion ") for name in tiers):
        raise CorpusError(f"{grid}: expected a tier 'emotion', got {', '.join(tiers) or 'none'}")
    intervals = [
        (interval, _speaker(name, interval, tiers))
        for name, tier in tiers.items()
        if name == "emotion" or name.startswith("emotion ")
        for interval in tier
        if interval.text
    ]
    if not intervals:
        skipped["no interval with an emotion"] += 1
    single = len(intervals) == 1
    return [
        Utterance(
            id=file if single else f"{file}#{interval.start:.6f}-{interval.end:.6f}",
            file=file,
            start=interval.start,
            end=interval.end,
            speaker=speaker,
            emotion=names.convert(_SCORE.sub("", interval.text)),
            phonemes=_phonemes(interval, tiers.get("phonemes", ()), skipped),
        )
        for interval, speaker in intervals
    ]


def _speaker(tier: str, interval: TierInterval, tiers: dict[str, list[TierInterval]]) -> str | None:
    """The speaker in the tier's name, or in the tier "speaker" at the interval's midpoint."""
    if tier != "emotion":
        return tier.removeprefix("emotion ").strip() or None
    middle = (interval.start + interval.end) / 2
    speakers = [
        other.text
        for other in tiers.get("speaker", ())
        if other.start <= middle < other.end and other.text
    ]
    return speakers[0] if speakers else None


def _phonemes(
    utterance: TierInterval, tier: Sequence[TierInterval], skipped: Counter[str]
) -> Phonemes | None:
    """Phonemes whose midpoint is in the utterance, with times from its start; None if unusable."""
    inside_it = [
        x for x in tier if x.text and utterance.start <= (x.start + x.end) / 2 < utterance.end
    ]
    if not inside_it:
        return None
    if any(x.text not in IPA for x in inside_it):
        skipped["phonemes outside the IPA inventory (the utterance stays)"] += 1
        return None
    if any(later.start < earlier.end for earlier, later in pairwise(inside_it)):
        skipped["phonemes that overlap (the utterance stays)"] += 1
        return None
    length = utterance.end - utterance.start
    times = tuple(
        (
            round(max(0.0, x.start - utterance.start), 6),
            round(min(length, x.end - utterance.start), 6),
        )
        for x in inside_it
    )
    return Phonemes(
        alphabet="ipa", source=SOURCE, symbols=tuple(x.text for x in inside_it), times=times
    )
