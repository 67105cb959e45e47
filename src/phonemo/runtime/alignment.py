"""CTC posteriors to phonemes in time: forced alignment, and where one phoneme ends.

Two steps. ``align`` (a given phoneme string) and ``decode_phonemes`` (the most probable path) say
which frames emit each phoneme; ``time_phonemes`` makes stretches of time of them. The second is
needed because CTC is peaky: it emits a phoneme in a frame or two somewhere inside it and calls the
rest blank, so a blank is not a silence and somebody must own it. A gap between two phonemes is
divided by one of ``RULES`` unless it is too long to be speech.

Works on one utterance or window: memory grows with frames times phonemes.

Phonemes with names and in seconds: those that are heard, or those that are known to be said.
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
#: twenty of EmoDB lasts over 0.17 s, and CTC emits two such neighbours as far apart as that.
PAUSE_SECONDS = 0.25
#: How far a phoneme reaches past its own frames into a pause, or into the recording's ends:
#: half of a usual phoneme, as CTC emits it near its middle.
EDGE_SECONDS = 0.04
#: Stands for the logarithm of zero, so that a string the network calls impossible is aligned too.
_LOWEST = -1e4
#: What one frame may say for either neighbour: a posterior of zero must not outvote all others.
_LOUDEST = 20.0
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
    """A phoneme and the samples of the recording that it fills."""

    symbol: int
    """Index in the inventory."""
    start_sample: int
    end_sample: int
    """One past the last sample."""
    confidence: float
    """Geometric mean of its posterior over the frames that emit it, 0 to 1."""

    @property
    def start_seconds(self) -> float:
        """Where it begins."""
        return self.start_sample / RATE

    @property
    def end_seconds(self) -> float:
        """Where it ends."""
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
    scores = _checked(log_posteriors, blank)
    wanted = _checked_symbols(symbols, scores.shape[1], blank)
    if len(wanted) == 0:
        return ()
    if (fewest := fewest_frames(symbols)) > len(scores):
        raise PhonemeError(
            f"{len(symbols)} phonemes need at least {fewest} frames and the recording has "
            f"{len(scores)}; check that they are what is said in it"
        )
    states = np.full(2 * len(wanted) + 1, blank)  # a blank around every phoneme
    states[1::2] = wanted
    skips = np.zeros(len(states), dtype=bool)  # a blank may be left out between two that differ
    skips[3::2] = wanted[1:] != wanted[:-1]
    floored = np.maximum(scores, _LOWEST)[:, states]
    return _emissions(scores, wanted, _best_states(floored, skips))


def decode_phonemes(log_posteriors: npt.ArrayLike, blank: int = 0) -> tuple[AlignedPhoneme, ...]:
    """What is heard: the best symbol of each frame, repeats merged, blanks out (best path).

    Args and errors are those of ``align``. The symbols are those of phonemo.model.heads.best_path.
    """
    scores = _checked(log_posteriors, blank)
    best = scores.argmax(axis=1)
    if len(best) == 0:
        return ()
    starts = np.flatnonzero(np.diff(best, prepend=-1))  # the first frame of every run
    stops = np.append(starts[1:], len(best))
    heard = [(int(best[one]), int(one), int(stop)) for one, stop in zip(starts, stops, strict=True)]
    return tuple(_emission(scores, *run) for run in heard if run[0] != blank)


def fewest_frames(symbols: Sequence[int]) -> int:
    """Frames that a phoneme string needs: one each, and a blank between two that are the same."""
    repeats = sum(one == after for one, after in pairwise(symbols))
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
    """Where each phoneme begins and ends.

    Phonemes touch unless a pause parts them: a gap longer than ``pause_seconds`` (with the rule
    "spike", any gap). They never overlap, and each holds the hops of its own frames as far as
    these lie in the recording.

    Args:
        aligned: what ``align`` or ``decode_phonemes`` gave for the posteriors.
        log_posteriors: (frame, phoneme), as there.
        grid: where the frames lie.
        samples: length of the recording.
        rule: a key of ``RULES``, which divides the gaps. The default asks the gap's own frames,
            so it is right where CTC emits a phoneme early or late; it falls back to the middle.
        pause_seconds: the longest gap that is speech.
        edge_seconds: how far a phoneme reaches into a pause or towards the recording's ends; not
            with "spike".

    Raises:
        PhonemeError: an unknown rule.
    """
    if rule not in RULES:
        raise PhonemeError(f"no rule {rule!r} for the gaps; rules: {', '.join(RULES)}")
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
        TimedPhoneme(one.symbol, *_samples(grid, start, end, samples), one.confidence)
        for one, start, end in zip(aligned, starts, ends, strict=True)
    )


def _checked(log_posteriors: npt.ArrayLike, blank: int) -> Floats:
    scores = np.asarray(log_posteriors, dtype=np.float64)  # (frame, phoneme)
    if scores.ndim != 2 or scores.shape[1] <= blank:
        raise PhonemeError(
            f"posteriors have shape {scores.shape}; (frame, phoneme) with the blank {blank} in it "
            "is wanted"
        )
    if not np.all(scores <= _SLACK):  # NaN is not
        raise PhonemeError(
            "posteriors are NaN or above zero; natural logarithms of probabilities are wanted: "
            "logits need a log-softmax first"
        )
    return scores


def _checked_symbols(symbols: Sequence[int], size: int, blank: int) -> Indices:
    strays = [one for one in symbols if not 0 <= one < size or one == blank]
    if strays:
        raise PhonemeError(
            f"phoneme {strays[0]} cannot be aligned; wanted 0 to {size - 1} without the blank "
            f"{blank}: encode the string with the inventory of the network"
        )
    return np.array(symbols, dtype=np.int64)


def _best_states(scores: Floats, skips: npt.NDArray[np.bool_]) -> Indices:
    """Viterbi over (frame, state): the state of every frame; each step goes on 0, 1 or 2 states."""
    frames, states = scores.shape
    barred = np.where(skips, 0.0, -np.inf)
    total = np.full(states + 2, -np.inf)  # before the first state two that nobody is in
    total[2:4] = scores[0, :2]
    moves = np.empty((3, states))
    steps = np.zeros((frames, states), dtype=np.int8)
    for frame in range(1, frames):
        moves[0], moves[1] = total[2:], total[1:-1]
        np.add(total[:-2], barred, out=moves[2])
        steps[frame] = moves.argmax(axis=0)
        np.add(moves.max(axis=0), scores[frame], out=total[2:])
    return _traced(steps, states - 1 if total[-1] >= total[-2] else states - 2)


def _traced(steps: npt.NDArray[np.int8], state: int) -> Indices:
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


def _samples(grid: FrameGrid, start: float, end: float, samples: int) -> tuple[int, int]:
    first, stop = (round(grid.sample_at(position)) for position in (start, end))
    return min(max(first, 0), samples), min(max(stop, 0), samples)


def _keep(balance: Floats, end: int) -> tuple[float, float]:
    """Each keeps its own frames; the gap is nobody's."""
    return end, end + len(balance)


def _halve(balance: Floats, end: int) -> tuple[float, float]:
    """Half of the gap each."""
    middle = end + len(balance) / 2
    return middle, middle


def _weigh(balance: Floats, end: int) -> tuple[float, float]:
    """Where the gap's frames, asked for the left or the right phoneme alone, change sides.

    The cut with the most evidence on either side, since a single frame may err; between its two
    frames, where the straight line through their log odds crosses zero. Cuts that are as good as
    each other, as between repeats of one phoneme, give their mean.
    """
    odds = np.clip(balance, -_LOUDEST, _LOUDEST)
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
    "spike": _keep,
    "midpoint": _halve,
    "posterior": _weigh,
}


def recognized_spans(
    log_posteriors: npt.ArrayLike, symbols: Sequence[str], grid: FrameGrid, samples: int
) -> tuple[PhonemeSpan, ...]:
    """What is heard (the best path), in seconds and with names.

    Args:
        log_posteriors: (frame, phoneme), as for ``align``, with the blank first.
        symbols: the names of the phonemes, (phoneme,).
        grid: where the frames lie.
        samples: length of the recording.
    """
    return _named(decode_phonemes(log_posteriors), log_posteriors, symbols, grid, samples)


def aligned_spans(
    log_posteriors: npt.ArrayLike,
    symbols: Sequence[str],
    said: Sequence[str],
    grid: FrameGrid,
    samples: int,
) -> tuple[PhonemeSpan, ...]:
    """What is known to be said (``align``), in seconds; arguments as for ``recognized_spans``.

    Args:
        said: names of phonemes, without blanks.

    Raises:
        PhonemeError: a name that is none of ``symbols``, or more phonemes than frames.
    """
    places = {name: place for place, name in enumerate(symbols) if place}
    strangers = [name for name in said if name not in places]
    if strangers:
        raise PhonemeError(
            f"{strangers[0]!r} is no phoneme of this model; it knows {' '.join(places)}"
        )
    aligned = align(log_posteriors, [places[name] for name in said])
    return _named(aligned, log_posteriors, symbols, grid, samples)


def _named(
    aligned: Sequence[AlignedPhoneme],
    log_posteriors: npt.ArrayLike,
    symbols: Sequence[str],
    grid: FrameGrid,
    samples: int,
) -> tuple[PhonemeSpan, ...]:
    return tuple(
        PhonemeSpan(symbols[one.symbol], one.start_seconds, one.end_seconds, one.confidence)
        for one in time_phonemes(aligned, log_posteriors, grid, samples)
    )
