"""Hand-made phoneme times against those the network's posteriors give."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from phonemo.boundaries import Times, boundary_errors
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.phonemes import PhonemeInventory
from phonemo.frames import FrameGrid
from phonemo.model.heads import BLANK
from phonemo.runtime.alignment import align, fewest_frames, time_phonemes


def aligned_times(
    utterance: Utterance, inventory: PhonemeInventory | None, logits: Tensor, grid: FrameGrid
) -> Times | None:
    """The utterance's phonemes aligned to what the network heard, in seconds.

    Args:
        utterance: what was said, with its hand-made times.
        inventory: the units of the phoneme head.
        logits: (frame, phoneme), without padding.
        grid: where the frames lie.

    Returns:
        Start and end of each of its phonemes; None where they are not known by hand, where the
        inventory has other units (they join phonemes), or where the frames are too few.
    """
    symbols = _timed_symbols(utterance, inventory)
    if not symbols or fewest_frames(symbols) > len(logits):
        return None
    posteriors = logits.double().log_softmax(dim=1).cpu().numpy()  # (frame, phoneme)
    aligned = align(posteriors, symbols, BLANK)
    samples = grid.fewest_samples(len(posteriors))
    timed = time_phonemes(aligned, posteriors, grid, samples)
    return [(one.start_seconds, one.end_seconds) for one in timed]


def boundary_row(utterance: Utterance, times: Times | None) -> dict[str, list[float]]:
    """``boundary_errors_ms`` of a prediction row; no key where nothing was aligned."""
    phonemes = utterance.phonemes
    if times is None or phonemes is None or phonemes.times is None:
        return {}
    errors = boundary_errors(phonemes.times, times)
    return {"boundary_errors_ms": [round(1000 * float(one), 1) for one in errors]}


def _timed_symbols(utterance: Utterance, inventory: PhonemeInventory | None) -> Sequence[int]:
    """Indices of the phonemes whose times are known, one for each time."""
    phonemes = utterance.phonemes
    if phonemes is None or phonemes.times is None or inventory is None:
        return ()
    if inventory.name != "phonemes":
        return ()
    return inventory.encode(phonemes, None, None) or ()
