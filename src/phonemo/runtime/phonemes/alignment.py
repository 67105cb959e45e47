"""CTC posteriors to phonemes in time: forced alignment, decoding and phoneme boundaries.

There are two steps. ``align`` (a given phoneme string) and ``decode_phonemes`` (the most probable
path) determine which frames emit each phoneme; ``time_phonemes`` turns them into time spans. The
second step is needed because CTC is peaky: it emits a phoneme in a frame or two somewhere inside it
and blanks elsewhere, so a blank is not a silence and its time must be assigned. A gap between two
phonemes is divided by one of ``RULES`` unless it is too long to be speech.

Works on one utterance or window: memory grows with frames times phonemes. ``recognized_spans`` and
``aligned_spans`` return named phonemes in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import RATE
from phonemo.audio.frames import FrameGrid
from phonemo.errors import PhonemeError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: A longer gap between the frames of two phonemes is a pause and belongs to neither. One phone in
#: twenty of EmoDB lasts over 0.17 s, and CTC emits two such neighbors as far apart as that.
PAUSE_SECONDS = 0.25
#: How far a phoneme extends past its own frames into a pause or the recording's ends: half of a
#: typical phoneme, as CTC emits it near its middle.
EDGE_SECONDS = 0.04
#: Replaces the logarithm of zero, so that strings with probability zero can be aligned too.
_LOWEST = -1e4
#: Bounds the log odds of one frame: a posterior of zero must not outweigh all other frames.
_MAX_ODDS = 20.0
#: Logarithms of float32 probabilities may pass zero by a rounding error.
_SLACK = 1e-3


@dataclass(frozen=True)
class AlignedPhoneme:
    """A phoneme and the frames that emit it."""

    symbol: int
    """Index in the inventory."""
    first: int
    """Its first frame."""
    last: int
    """Its last frame, included."""
    confidence: float
    """Geometric mean of its posterior over these frames, 0 to 1."""


@dataclass(frozen=True)
class TimedPhoneme:
    """A phoneme and the samples of the recording that it covers."""

    symbol: int
    """Index in the inventory."""
    start_sample: int
    end_sample: int
    """One past the last sample."""
    confidence: float
    """Geometric mean of its posterior over the frames that emit it, 0 to 1."""

    @property
    def start_seconds(self) -> float:
        """Start time in seconds."""
        return self.start_sample / RATE

    @property
    def end_seconds(self) -> float:
        """End time in seconds."""
        return self.end_sample / RATE


def align(
    log_posteriors: npt.ArrayLike, symbols: Sequence[int], blank: int = 0
) -> tuple[AlignedPhoneme, ...]:
    """The most probable CTC path that spells a given phoneme string (Viterbi).

    Args:
        log_posteriors: natural logarithms of probabilities, (frame, phoneme); -inf is allowed.
        symbols: indices of the phonemes, without blanks; may be empty.
        blank: index of CTC's blank.

    Returns:
        One for each of ``symbols``, in their order.

    Raises:
        PhonemeError: the string needs more frames than there are (``fewest_frames``), a symbol is
            outside the posteriors, or they are no logarithms of probabilities.
    """
    scores = _check_posteriors(log_posteriors, blank)
    expected = _check_symbols(symbols, scores.shape[1], blank)
    if len(expected) == 0:
        return ()
    if (fewest := fewest_frames(symbols)) > len(scores):
        raise PhonemeError(
            f"expected at least {fewest} frames for {len(symbols)} phonemes, got {len(scores)}; "
            "check that the phonemes belong to the recording"
        )
    states = np.full(2 * len(expected) + 1, blank)  # a blank around every phoneme
    states[1::2] = expected
    skips = np.zeros(len(states), dtype=bool)  # a blank may be left out between two that differ
    skips[3::2] = expected[1:] != expected[:-1]
    floored = np.maximum(scores, _LOWEST)[:, states]
    return _emissions(scores, expected, _best_states(floored, skips))


def decode_phonemes(log_posteriors: npt.ArrayLike, blank: int = 0) -> tuple[AlignedPhoneme, ...]:
    """Decode the best path: the best symbol of each frame, repeats merged, blanks removed.

    Args and errors are those of ``align``. The symbols are those of phonemo.model.heads.best_path.
    """
    scores = _check_posteriors(log_posteriors, blank)
    best = scores.argmax(axis=1)
    if len(best) == 0:
        return ()
    starts = np.flatnonzero(np.diff(best, prepend=-1))  # the first frame of every run
    stops = np.append(starts[1:], len(best))
    runs = [
        (int(best[start]), int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)
    ]
    return tuple(_emission(scores, *run) for run in runs if run[0] != blank)


def fewest_frames(symbols: Sequence[int]) -> int:
    """Frames that a phoneme string needs: one each, and a blank between equal neighbors."""
    repeats = sum(symbol == following for symbol, following in pairwise(symbols))
    return len(symbols) + repeats


def time_phonemes(
    aligned: Sequence[AlignedPhoneme],
    log_posteriors: npt.ArrayLike,
    grid: FrameGrid,
    samples: int,
    *,
    rule: str = "posterior",
    pause_seconds: float = PAUSE_SECONDS,
    edge_seconds: float = EDGE_SECONDS,
) -> tuple[TimedPhoneme, ...]:
    """Determine where each phoneme begins and ends.

    Phonemes touch unless a pause separates them: a gap longer than ``pause_seconds`` (with the rule
    "spike", any gap). They never overlap, and each covers the hops of its own frames as far as
    these lie in the recording.

    Args:
        aligned: the result of ``align`` or ``decode_phonemes`` for the posteriors.
        log_posteriors: (frame, phoneme), as there.
        grid: frame positions.
        samples: length of the recording.
        rule: a key of ``RULES``, which divides the gaps. The default uses the posteriors of the
            gap's frames, so it is correct where CTC emits a phoneme early or late; it falls back to
            the middle.
        pause_seconds: the longest gap that is speech.
        edge_seconds: how far a phoneme extends into a pause or towards the recording's ends; not
            with "spike".

    Raises:
        PhonemeError: an unknown rule.
    """
    if rule not in RULES:
        raise PhonemeError(f"expected a rule of {', '.join(RULES)}, got {rule!r}; choose one")
    scores = np.maximum(np.asarray(log_posteriors, dtype=np.float64), _LOWEST)
    hops = RATE / grid.hop_samples  # a second
    reach = 0.0 if rule == "spike" else edge_seconds * hops
    edges = [
        _gap_edges(left, right, scores, rule, pause_seconds * hops, reach)
        for left, right in pairwise(aligned)
    ]
    starts = [aligned[0].first - reach, *(start for _, start in edges)] if aligned else []
    ends = [*(end for end, _ in edges), aligned[-1].last + 1 + reach] if aligned else []
    return tuple(
        TimedPhoneme(phoneme.symbol, *_sample_range(grid, start, end, samples), phoneme.confidence)
        for phoneme, start, end in zip(aligned, starts, ends, strict=True)
    )


def _check_posteriors(log_posteriors: npt.ArrayLike, blank: int) -> Floats:
    scores = np.asarray(log_posteriors, dtype=np.float64)  # (frame, phoneme)
    if scores.ndim != 2 or scores.shape[1] <= blank:
        raise PhonemeError(
            f"expected posteriors (frame, phoneme) that include the blank {blank}, got shape "
            f"{scores.shape}"
        )
    if not np.all(scores <= _SLACK):  # NaN is not
        raise PhonemeError(
            "expected natural logarithms of probabilities, got NaN or numbers above zero; apply a "
            "log-softmax to logits first"
        )
    return scores


def _check_symbols(symbols: Sequence[int], size: int, blank: int) -> Indices:
    invalid = [symbol for symbol in symbols if not 0 <= symbol < size or symbol == blank]
    if invalid:
        raise PhonemeError(
            f"expected phonemes from 0 to {size - 1} without the blank {blank}, got {invalid[0]}; "
            "encode the string with the network's inventory"
        )
    return np.array(symbols, dtype=np.int64)


def _best_states(scores: Floats, skips: npt.NDArray[np.bool_]) -> Indices:
    """Viterbi over (frame, state): the state of every frame; steps advance by 0, 1 or 2 states."""
    frames, states = scores.shape
    barred = np.where(skips, 0.0, -np.inf)
    total = np.full(states + 2, -np.inf)  # preceded by two unreachable states
    total[2:4] = scores[0, :2]
    moves = np.empty((3, states))
    steps = np.zeros((frames, states), dtype=np.int8)
    for frame in range(1, frames):
        moves[0], moves[1] = total[2:], total[1:-1]
        np.add(total[:-2], barred, out=moves[2])
        steps[frame] = moves.argmax(axis=0)
        np.add(moves.max(axis=0), scores[frame], out=total[2:])
    return _backtrace(steps, states - 1 if total[-1] >= total[-2] else states - 2)


def _backtrace(steps: npt.NDArray[np.int8], state: int) -> Indices:
    path = np.empty(len(steps), dtype=np.int64)
    for frame in range(len(steps) - 1, -1, -1):
        path[frame] = state
        state -= int(steps[frame, state])
    return path


def _emissions(scores: Floats, symbols: Indices, path: Indices) -> tuple[AlignedPhoneme, ...]:
    states = np.arange(1, 2 * len(symbols), 2)
    firsts = np.searchsorted(path, states, side="left")
    stops = np.searchsorted(path, states, side="right")
    rows = zip(symbols.tolist(), firsts.tolist(), stops.tolist(), strict=True)
    return tuple(_emission(scores, *row) for row in rows)


def _emission(scores: Floats, symbol: int, first: int, stop: int) -> AlignedPhoneme:
    mean = float(scores[first:stop, symbol].mean())
    return AlignedPhoneme(symbol, first, stop - 1, min(1.0, float(np.exp(mean))))


def _gap_edges(
    left: AlignedPhoneme,
    right: AlignedPhoneme,
    scores: Floats,
    rule: str,
    pause: float,
    reach: float,
) -> tuple[float, float]:
    """Positions (in hops) where the left phoneme ends and the right one begins."""
    end, start = left.last + 1, right.first
    if start - end > pause:
        reach = min(reach, (start - end) / 2)
        return end + reach, start - reach
    return RULES[rule](scores[end:start, left.symbol] - scores[end:start, right.symbol], end)


def _sample_range(grid: FrameGrid, start: float, end: float, samples: int) -> tuple[int, int]:
    first, stop = (round(grid.sample_at(position)) for position in (start, end))
    return min(max(first, 0), samples), min(max(stop, 0), samples)


def _keep_own_frames(balance: Floats, end: int) -> tuple[float, float]:
    """Each phoneme keeps its own frames; the gap is unassigned."""
    return end, end + len(balance)


def _split_in_half(balance: Floats, end: int) -> tuple[float, float]:
    """Each phoneme gets half of the gap."""
    middle = end + len(balance) / 2
    return middle, middle


def _split_by_evidence(balance: Floats, end: int) -> tuple[float, float]:
    """Split where the gap's frames change from the left to the right phoneme.

    This is the cut with the most evidence on either side, since single frames may be wrong; between
    its two frames, where the straight line through their log odds crosses zero. Equally good cuts,
    as between repeats of one phoneme, are averaged.
    """
    odds = np.clip(balance, -_MAX_ODDS, _MAX_ODDS)
    evidence = np.concatenate([[0.0], np.cumsum(odds)])
    cuts = np.flatnonzero(evidence >= evidence.max() - 1e-9)
    cut = float(cuts.mean())
    if len(cuts) == 1 and 0 < cut < len(odds):
        before, after = odds[int(cut) - 1], odds[int(cut)]
        cut += before / (before - after) - 0.5
    return end + cut, end + cut


#: How the frames between two phonemes are divided: name -> a function of their log odds for the
#: left against the right phoneme, (frame,), and of the position where the gap begins.
RULES: dict[str, Callable[[Floats, int], tuple[float, float]]] = {
    "spike": _keep_own_frames,
    "midpoint": _split_in_half,
    "posterior": _split_by_evidence,
}


def recognized_spans(
    log_posteriors: npt.ArrayLike, symbols: Sequence[str], grid: FrameGrid, samples: int
) -> tuple[PhonemeSpan, ...]:
    """Decode the best path to named phonemes in seconds.

    Args:
        log_posteriors: (frame, phoneme), as for ``align``, with the blank first.
        symbols: phoneme names, (phoneme,).
        grid: frame positions.
        samples: length of the recording.
    """
    return to_spans(decode_phonemes(log_posteriors), log_posteriors, symbols, grid, samples)


def aligned_spans(
    log_posteriors: npt.ArrayLike,
    symbols: Sequence[str],
    said: Sequence[str],
    grid: FrameGrid,
    samples: int,
) -> tuple[PhonemeSpan, ...]:
    """Align known phonemes (``align``), in seconds; arguments as for ``recognized_spans``.

    Args:
        said: names of the spoken phonemes, without blanks.

    Raises:
        PhonemeError: a name that is not in ``symbols``, or more phonemes than frames.
    """
    indices = {name: index for index, name in enumerate(symbols) if index}
    unknown = [name for name in said if name not in indices]
    if unknown:
        raise PhonemeError(
            f"expected phonemes of this model ({' '.join(indices)}), got {unknown[0]!r}"
        )
    aligned = align(log_posteriors, [indices[name] for name in said])
    return to_spans(aligned, log_posteriors, symbols, grid, samples)


def to_spans(
    aligned: Sequence[AlignedPhoneme],
    log_posteriors: npt.ArrayLike,
    symbols: Sequence[str],
    grid: FrameGrid,
    samples: int,
) -> tuple[PhonemeSpan, ...]:
    """Name decoded or aligned phonemes, in seconds; arguments as for ``recognized_spans``."""
    return tuple(
        PhonemeSpan(
            symbols[phoneme.symbol], phoneme.start_seconds, phoneme.end_seconds, phoneme.confidence
        )
        for phoneme in time_phonemes(aligned, log_posteriors, grid, samples)
    )
