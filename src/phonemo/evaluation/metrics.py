"""Metrics of emotion and phoneme recognition: arrays in, floats out, independent of models.

Every function raises ResultError for empty or impossible input and never returns NaN. An undefined
score, such as the recall of a class without utterances, is None and not zero.

Boundary errors compare the times of aligned phonemes with hand-made ones. The reference alone
determines the boundaries, so that every alignment of an utterance is measured at the same ones:

- where two reference phonemes touch there is one boundary: the end of the first is the start of the
  second. An alignment with a gap there has two times, and their mean error counts;
- beside a pause, and at both ends of the utterance, the edge of the phoneme is a separate boundary:
  the end before the pause, the start after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.errors import ResultError

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassScores:
    """One class: its number of utterances and its scores (None where undefined)."""

    support: int
    precision: float | None
    """Share of correct ones among the utterances predicted as this class; None without any."""
    recall: float | None
    """Share of correct ones among the utterances of this class; None without any."""
    f1: float | None
    """2 hits / (support + predicted); None if the class is in neither truth nor prediction."""


@dataclass(frozen=True)
class EmotionScores:
    """The scores of a set of utterances, as shares from 0 to 1."""

    utterances: int
    wa: float
    ua: float
    macro_f1: float
    weighted_f1: float
    classes: tuple[ClassScores, ...]
    """In the order of the class indices."""


@dataclass(frozen=True)
class PhonemeErrors:
    """Edits that turn the references into the hypotheses, summed over utterances."""

    substitutions: int
    deletions: int
    insertions: int
    tokens: int
    """Phonemes in the references."""

    @property
    def rate(self) -> float:
        """Phoneme error rate: edits per reference phoneme, micro-averaged; may exceed 1."""
        return (self.substitutions + self.deletions + self.insertions) / self.tokens


@dataclass(frozen=True)
class CalibrationBin:
    """Utterances whose highest probability lies in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float | None
    """Mean of the highest probabilities; None in an empty bin."""
    accuracy: float | None
    """Share of correct predictions; None in an empty bin."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of probabilities."""

    ece: float
    """Expected calibration error, 0 to 1 (Guo et al. 2017)."""
    brier: float
    """Mean squared distance between probabilities and truth, summed over classes: 0 to 2."""
    nll: float
    """Mean negative log likelihood of the truth in nats."""
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class ConfidenceInterval:
    """A statistic with its bootstrap interval."""

    estimate: float
    """The statistic over all utterances, not over resamples."""
    low: float
    high: float
    level: float
    clusters: int
    samples: int


@dataclass(frozen=True)
class ChanceLevels:
    """Scores of the best constant prediction."""

    majority_wa: float
    ua: float


def confusion_matrix(truth: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Counts:
    """Count utterances by class: ``(emotion, emotion)``, rows are the truth.

    ``truth`` and ``predicted`` are class indices, ``(utterance,)``.

    Raises:
        ResultError: no utterances, unequal lengths, or an index outside 0..classes-1.
    """
    rows = _class_indices("truth", truth, classes)
    columns = _class_indices("predicted", predicted, classes)
    if len(rows) != len(columns):
        raise ResultError(
            f"expected one prediction per label, got {len(rows)} true and {len(columns)} "
            "predicted labels"
        )
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.astype(np.int64).reshape(classes, classes)  # (emotion, emotion)


def score_emotions(truth: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> EmotionScores:
    """All scores for class indices ``(utterance,)``; raises as ``confusion_matrix`` does."""
    confusion = confusion_matrix(truth, predicted, classes)
    return EmotionScores(
        utterances=int(confusion.sum()),
        wa=weighted_accuracy(confusion),
        ua=unweighted_accuracy(confusion),
        macro_f1=macro_f1(confusion),
        weighted_f1=weighted_f1(confusion),
        classes=class_scores(confusion),
    )


def weighted_accuracy(confusion: Counts) -> float:
    """WA: the share of correct utterances; classes are weighted by their size."""
    return float(np.trace(confusion) / _total(confusion))


def unweighted_accuracy(confusion: Counts) -> float:
    """UA: the mean recall over the classes PRESENT in the truth.

    An absent class has no recall; counting it as zero would penalize test speakers without that
    emotion. scikit-learn's ``balanced_accuracy_score`` does the same.
    """
    _total(confusion)
    support = confusion.sum(axis=1)
    present = support > 0
    return float(np.mean(np.diagonal(confusion)[present] / support[present]))


def macro_f1(confusion: Counts) -> float:
    """The mean F1 over the classes that occur in truth or prediction (scikit-learn's default)."""
    _total(confusion)
    twice = confusion.sum(axis=0) + confusion.sum(axis=1)
    seen = twice > 0
    return float(np.mean(2 * np.diagonal(confusion)[seen] / twice[seen]))


def weighted_f1(confusion: Counts) -> float:
    """The mean F1, weighted by the number of utterances of each class."""
    support = confusion.sum(axis=1)
    twice = np.maximum(confusion.sum(axis=0) + support, 1)
    scores = 2 * np.diagonal(confusion) / twice
    return float(np.sum(scores * support) / _total(confusion))


def class_scores(confusion: Counts) -> tuple[ClassScores, ...]:
    """Precision, recall, F1 and support of each class, in the order of the indices."""
    columns = zip(
        np.diagonal(confusion).tolist(),
        confusion.sum(axis=1).tolist(),
        confusion.sum(axis=0).tolist(),
        strict=True,
    )
    return tuple(
        ClassScores(
            support=support,
            precision=_share(hits, given),
            recall=_share(hits, support),
            f1=_share(2 * hits, support + given),
        )
        for hits, support, given in columns
    )


def chance_levels(truth: npt.ArrayLike, classes: int) -> ChanceLevels:
    """The scores of always predicting the most frequent class.

    WA is that class's share; UA is 1 / (classes present in the truth) for any constant prediction.
    """
    support = np.bincount(_class_indices("truth", truth, classes), minlength=classes)
    present = int(np.count_nonzero(support))
    return ChanceLevels(majority_wa=float(support.max() / support.sum()), ua=1 / present)


def phoneme_errors(
    references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]
) -> PhonemeErrors:
    """Levenshtein edits from references to hypotheses, one pair per utterance.

    Among the alignments with the fewest edits, the one with the most substitutions is counted, so
    the three numbers are unique and do not depend on how ties are broken.

    Raises:
        ResultError: unequal numbers of utterances, or no reference phoneme at all.
    """
    if len(references) != len(hypotheses):
        raise ResultError(
            f"expected one hypothesis per reference, got {len(references)} references and "
            f"{len(hypotheses)} hypotheses"
        )
    tokens = sum(len(reference) for reference in references)
    if tokens == 0:
        raise ResultError("expected at least one reference phoneme, got none")
    pairs = zip(references, hypotheses, strict=True)
    totals = np.sum([_edits(reference, hypothesis) for reference, hypothesis in pairs], axis=0)
    substitutions, deletions, insertions = (int(total) for total in totals)
    return PhonemeErrors(substitutions, deletions, insertions, tokens)


def calibration(probabilities: npt.ArrayLike, truth: npt.ArrayLike, bins: int = 15) -> Calibration:
    """Calibration of the highest probability in bins of equal width, with Brier score and NLL.

    Args:
        probabilities: ``(utterance, emotion)``, each row summing to 1 within 0.001 (rows are
            normalized, so that rounded scores may be given).
        truth: class indices, ``(utterance,)``.
        bins: number of bins (low, high] from 0 to 1.

    Raises:
        ResultError: no utterances, unequal lengths, or rows that are not probabilities.

    A true class of probability 0 would make the NLL infinite; it is counted as 2.2e-16, the
    precision of a double (as scikit-learn's ``log_loss`` does).
    """
    scores = _probabilities(probabilities)
    indices = _class_indices("truth", truth, scores.shape[1])
    if len(indices) != len(scores):
        raise ResultError(
            f"expected one label per row of scores, got {len(scores)} rows and {len(indices)} "
            "labels"
        )
    rows = _calibration_bins(scores.max(axis=1), scores.argmax(axis=1) == indices, bins)
    one_hot = np.eye(scores.shape[1])[indices]  # (utterance, emotion)
    likelihood = np.maximum(scores[np.arange(len(scores)), indices], np.finfo(np.float64).eps)
    return Calibration(
        ece=sum(_gap(row) * row.count for row in rows) / len(scores),
        brier=float(np.mean(np.sum((scores - one_hot) ** 2, axis=1))),
        nll=float(-np.mean(np.log(likelihood))),
        bins=rows,
    )


def bootstrap_interval(
    clusters: Sequence[str],
    statistic: Callable[[Counts], float],
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    strata: Sequence[str] | None = None,
) -> ConfidenceInterval:
    """Percentile bootstrap that resamples whole clusters (speakers), not utterances.

    Utterances of one speaker are correlated; resampling them individually would make the interval
    too narrow. ``clusters`` names each utterance's speaker; ``statistic`` maps the indices of the
    resampled utterances, ``(sample,)`` with repeats, to a float. The order of the utterances does
    not matter. With ``strata``, each utterance's corpus, speakers are resampled within their
    corpus, so that every corpus keeps its number of speakers.

    Raises:
        ResultError: no utterances, or fewer than two clusters (whose spread is unknown).
    """
    names, owner = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    if len(names) < 2:
        raise ResultError(f"expected at least two speakers for an interval, got {len(names)}")
    members = [np.flatnonzero(owner == index) for index in range(len(names))]
    groups = [np.arange(len(names))]
    if strata is not None:
        stratum = np.asarray(strata, dtype=np.str_)[[rows[0] for rows in members]]  # (cluster,)
        groups = [np.flatnonzero(stratum == name) for name in np.unique(stratum)]
    random = np.random.default_rng(seed)
    draws = np.concatenate(
        [group[random.integers(len(group), size=(samples, len(group)))] for group in groups], axis=1
    )
    values = [statistic(np.concatenate([members[index] for index in draw])) for draw in draws]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    estimate = float(statistic(np.arange(len(owner))))
    return ConfidenceInterval(estimate, float(low), float(high), level, len(names), samples)


def _class_indices(name: str, values: npt.ArrayLike, classes: int) -> Counts:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ResultError(f"expected one index per utterance in {name}, got {array.ndim} axes")
    if array.size == 0:
        raise ResultError(f"expected at least one utterance, got none: {name} is empty")
    if array.dtype.kind not in "iu":
        raise ResultError(f"expected integer class indices in {name}, got {array.dtype}")
    if array.min() < 0 or array.max() >= classes:
        invalid = array[(array < 0) | (array >= classes)][0]
        raise ResultError(f"expected classes from 0 to {classes - 1} in {name}, got {invalid}")
    return array.astype(np.int64)


def _total(confusion: Counts) -> int:
    total = int(confusion.sum())
    if total == 0:
        raise ResultError(
            "expected at least one utterance, got none: the confusion matrix is empty"
        )
    return total


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _edits(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions of one pair.

    One number encodes both criteria: a substitution costs ``unit``, the others ``unit + 1``, so the
    last digit in base ``unit`` counts deletions and insertions. Their difference follows from
    the lengths. Each row of the table is one vector step: the insertions, which run along the
    row, are a running minimum.
    """
    unit = len(reference) + len(hypothesis) + 1
    codes: dict[str, int] = {}
    symbols = np.array([codes.setdefault(symbol, len(codes)) for symbol in hypothesis], np.int64)
    ramp = np.arange(len(hypothesis) + 1, dtype=np.int64) * (unit + 1)
    row = ramp
    for symbol in reference:
        best = row + unit + 1
        best[1:] = np.minimum(best[1:], row[:-1] + unit * (symbols != codes.get(symbol, -1)))
        row = np.minimum.accumulate(best - ramp) + ramp
    edits, unpaired = divmod(int(row[-1]), unit)
    deletions = (unpaired + len(reference) - len(hypothesis)) // 2
    return edits - unpaired, deletions, unpaired - deletions


def _probabilities(values: npt.ArrayLike) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise ResultError(f"expected scores (utterance, emotion), got shape {scores.shape}")
    if not np.all(np.isfinite(scores)) or scores.min() < 0:
        raise ResultError("expected probabilities, got negative numbers, infinity or NaN")
    sums = scores.sum(axis=1, keepdims=True)
    if np.abs(sums - 1).max() > 1e-3:
        worst = int(np.abs(sums - 1).argmax())
        raise ResultError(f"expected scores that sum to 1, got {sums[worst, 0]:.4g} in row {worst}")
    normalized: Floats = scores / sums
    return normalized


def _calibration_bins(
    confidence: Floats, correct: npt.NDArray[np.bool_], bins: int
) -> tuple[CalibrationBin, ...]:
    upper = np.arange(1, bins + 1) / bins
    index = np.searchsorted(upper, confidence, side="left")
    counts = np.bincount(index, minlength=bins)
    confidences = np.bincount(index, weights=confidence, minlength=bins)
    hits = np.bincount(index, weights=correct, minlength=bins)
    return tuple(
        CalibrationBin(
            low=number / bins,
            high=(number + 1) / bins,
            count=int(count),
            confidence=float(confidences[number] / count) if count else None,
            accuracy=float(hits[number] / count) if count else None,
        )
        for number, count in enumerate(counts)
    )


def _gap(row: CalibrationBin) -> float:
    if row.confidence is None or row.accuracy is None:
        return 0.0
    return abs(row.confidence - row.accuracy)


Times = Sequence[tuple[float, float]]

#: Reference phonemes closer than this touch; hand-made times are rounded.
TOUCH_SECONDS = 1e-3


@dataclass(frozen=True)
class BoundaryErrors:
    """Summary of boundary errors."""

    boundaries: int
    median_seconds: float
    within_20_ms: float
    """Share of errors of at most 20 ms, 0 to 1."""
    within_40_ms: float


def boundary_errors(reference: Times, aligned: Times) -> Floats:
    """Absolute errors in seconds, one for each reference boundary, in order.

    Args:
        reference: start and end of each phoneme in seconds.
        aligned: start and end of the same phonemes: the aligned string is the reference.

    Returns:
        (boundary,); empty for no phonemes.

    Raises:
        ResultError: unequal numbers of phonemes.
    """
    if len(reference) != len(aligned):
        raise ResultError(
            f"expected {len(reference)} aligned phonemes, as in the reference, got {len(aligned)}; "
            "align the reference string itself"
        )
    expected = np.array(reference, dtype=np.float64).reshape(-1, 2)  # (phoneme, start and end)
    errors = np.abs(np.array(aligned, dtype=np.float64).reshape(-1, 2) - expected)
    touching = np.abs(expected[1:, 0] - expected[:-1, 1]) < TOUCH_SECONDS
    inner = np.stack([errors[:-1, 1], errors[1:, 0]], axis=1)  # (pair, end and start)
    pairs = [
        [end_start.mean()] if touch else end_start.tolist()
        for end_start, touch in zip(inner, touching, strict=True)
    ]
    return np.array([*errors[:1, 0], *(error for pair in pairs for error in pair), *errors[-1:, 1]])


def summarize_errors(errors: Iterable[float]) -> BoundaryErrors:
    """Median and shares of pooled errors in seconds; ResultError without errors."""
    seconds = np.array(list(errors), dtype=np.float64)
    if len(seconds) == 0:
        raise ResultError("expected at least one boundary error, got none")
    return BoundaryErrors(
        boundaries=len(seconds),
        median_seconds=float(np.median(seconds)),
        within_20_ms=_fraction(seconds, 0.020),
        within_40_ms=_fraction(seconds, 0.040),
    )


def _fraction(seconds: Floats, most: float) -> float:
    return float(np.mean(seconds <= most + 1e-9))  # tolerates rounding of exactly 20 ms
