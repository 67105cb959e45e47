"""Recordings with Praat's TextGrids beside them: what a phonetician has corrected by hand.

The tiers are those that phonemo writes (``phonemo predict --format textgrid``): "emotion", whose
intervals are the utterances, "speaker", and "phonemes". A score behind an emotion is dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from phonemo.annotations.prediction import TierInterval
from phonemo.annotations.textgrid import read_tiers
from phonemo.corpora.g2p.alphabets import IPA
from phonemo.corpora.manifest import Phonemes, Utterance
from phonemo.corpora.readers.base import CorpusCard, CorpusReading, listing, unique_ids
from phonemo.corpora.readers.folders import canonical
from phonemo.errors import CorpusError, UsageError
from phonemo.files import inside

CARD = CorpusCard(
    name="textgrid",
    title="Recordings with a TextGrid each (Praat)",
    language=None,
    licence="yours",
    homepage="https://www.fon.hum.uva.nl/praat/",
    acted=False,
    note="Tiers emotion, speaker and phonemes, as phonemo predict --format textgrid writes them.",
)

_SUFFIX = ".TextGrid"
_SCORE = re.compile(r"\s+[01]?\.\d+$")
_SOURCE = "TextGrid"


def read(root: Path) -> CorpusReading:
    """Read every recording of a folder that has a TextGrid of its name.

    Raises:
        CorpusError: no folder, no such pair, no tier "emotion", or a malformed TextGrid.
    """
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder; one with recordings and TextGrids is wanted")
    rows: list[Utterance] = []
    skipped: Counter[str] = Counter()
    for name, relative in inside(str(root)):
        grid = Path(name).with_suffix(_SUFFIX)
        if grid.is_file():
            rows += _utterances(relative.as_posix(), _tiers(grid), skipped, grid)
        else:
            skipped["no TextGrid beside it"] += 1
    if not rows:
        raise CorpusError(
            f"{root}: no recording with a TextGrid of its name that has emotions ({listing(root)})"
        )
    return CorpusReading(unique_ids(rows, root), dict(skipped))


def _tiers(path: Path) -> dict[str, list[TierInterval]]:
    try:
        return read_tiers(path)
    except UsageError as error:
        raise CorpusError(str(error)) from error


def _utterances(
    file: str, tiers: dict[str, list[TierInterval]], skipped: Counter[str], grid: Path
) -> list[Utterance]:
    if not any(name == "emotion" or name.startswith("emotion ") for name in tiers):
        raise CorpusError(f"{grid}: no tier 'emotion' ({', '.join(tiers) or 'it has none'})")
    spoken = [
        (one, _speaker(name, one, tiers))
        for name, tier in tiers.items()
        if name == "emotion" or name.startswith("emotion ")
        for one in tier
        if one.text
    ]
    if not spoken:
        skipped["no interval with an emotion"] += 1
    whole = len(spoken) == 1
    return [
        Utterance(
            id=file if whole else f"{file}#{one.start:.6f}-{one.end:.6f}",
            file=file,
            start=one.start,
            end=one.end,
            speaker=speaker,
            emotion=canonical(_SCORE.sub("", one.text)),
            phonemes=_phonemes(one, tiers.get("phonemes", ()), skipped),
        )
        for one, speaker in spoken
    ]


def _speaker(tier: str, one: TierInterval, tiers: dict[str, list[TierInterval]]) -> str | None:
    """In the tier's name, or whoever speaks in the interval's middle."""
    if tier != "emotion":
        return tier.removeprefix("emotion ").strip() or None
    middle = (one.start + one.end) / 2
    said = [x.text for x in tiers.get("speaker", ()) if x.start <= middle < x.end and x.text]
    return said[0] if said else None


def _phonemes(
    one: TierInterval, tier: Sequence[TierInterval], skipped: Counter[str]
) -> Phonemes | None:
    """Those whose middle lies in the utterance, with times from its start; IPA, and all known."""
    inside_it = [x for x in tier if x.text and one.start <= (x.start + x.end) / 2 < one.end]
    if not inside_it:
        return None
    if any(x.text not in IPA for x in inside_it):
        skipped["phonemes outside the IPA inventory (the utterance stays)"] += 1
        return None
    if any(later.start < earlier.end for earlier, later in pairwise(inside_it)):
        skipped["phonemes that overlap (the utterance stays)"] += 1
        return None
    length = one.end - one.start
    times = tuple(
        (round(max(0.0, x.start - one.start), 6), round(min(length, x.end - one.start), 6))
        for x in inside_it
    )
    return Phonemes(
        alphabet="ipa", source=_SOURCE, symbols=tuple(x.text for x in inside_it), times=times
    )
