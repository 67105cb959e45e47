"""The times of aligned utterances, read back from TextGrids that were corrected in Praat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from phonemo.corpora.g2p.alphabets import IPA
from phonemo.corpora.manifest import ManifestStream, Phonemes, Utterance
from phonemo.corpora.readers.formats.textgrid_folder import SOURCE, read_grid
from phonemo.errors import CorpusError

#: The tier that is read.
TIER = "phonemes"
_DIGITS = 6


def corrected(
    manifest: ManifestStream, grids: Path, stems: Mapping[str, str], counts: Counter[str]
) -> Iterator[Utterance]:
    """Yield a manifest's utterances with the phonemes and times of their TextGrids.

    Args:
        manifest: what was aligned.
        grids: folder of the TextGrids, whose times begin at the utterance's start.
        stems: the names of the utterances' files; others are yielded as they are.
        counts: how many utterances were read, and how many have no TextGrid and stay as they are.

    Raises:
        CorpusError: a malformed TextGrid, one without the tier, or a phoneme outside of IPA.
    """
    for utterance in manifest:
        path = grids / f"{stems.get(utterance.id, '')}.TextGrid"
        if utterance.id not in stems or not path.is_file():
            counts["without TextGrid"] += 1
            yield utterance
            continue
        counts["with times"] += 1
        yield utterance.model_copy(update={"phonemes": _phonemes(path)})


def _phonemes(path: Path) -> Phonemes:
    tiers = read_grid(path)
    if TIER not in tiers:
        raise CorpusError(
            f"{path}: expected a tier {TIER!r}, got {', '.join(tiers) or 'none'}; rename it in "
            "Praat"
        )
    spoken = [interval for interval in tiers[TIER] if interval.text]
    for interval in spoken:
        if interval.text not in IPA:
            raise CorpusError(
                f"{path}: expected IPA phonemes of phonemo in the tier {TIER!r}, got "
                f"{interval.text!r} at {interval.start:g} s; correct it in Praat"
            )
    for earlier, later in pairwise(spoken):
        if later.start < earlier.end:
            raise CorpusError(
                f"{path}: expected phonemes one after the other in one tier {TIER!r}, got two at "
                f"{later.start:g} s; keep one such tier"
            )
    times = tuple((round(one.start, _DIGITS), round(one.end, _DIGITS)) for one in spoken)
    symbols = tuple(one.text for one in spoken)
    return Phonemes(alphabet="ipa", source=SOURCE, symbols=symbols, times=times)
