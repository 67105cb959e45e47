"""The linear head of rated dimensions: ridge regression in closed form on a network's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from phonemo.errors import ModelError
from phonemo.evaluation.ratings.concordance import Floats, ccc, moments_of
from phonemo.model.heads import LinearDimensionHead
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.calibrate import speakers_of
from phonemo.train.dataset import SpeechDataset
from phonemo.train.evaluate import outputs_of

#: Penalties to select from, for standardized features and the sum of squared errors.
PENALTIES = tuple(float(value) for value in 10.0 ** np.arange(0.0, 6.5, 0.5))
#: Folds over speakers for the selection.
_PARTS = 5
#: Penalty where speakers are too few to select one.
_DEFAULT = 1000.0
_LEAST_SPREAD = 1e-8


@dataclass(frozen=True, eq=False)
class Ridge:
    """Weights (feature,) for standardized features, and the intercept."""

    weight: Floats
    intercept: float


def fit_ridge(
    model: PhonemoForAudioClassification,
    training: SpeechDataset,
    penalty: float | None,
    batch_size: int,
) -> dict[str, float]:
    """Fit the network's linear head of dimensions; utterances without a rating are left out.

    Args:
        model: has a linear head of dimensions, which is overwritten.
        training: the data, without augmentation.
        penalty: for standardized features; None selects it by the CCC on held-out speakers.
        batch_size: utterances processed at once.

    Returns:
        The penalty of each dimension.

    Raises:
        ModelError: another head, or a dimension with fewer than two ratings.
    """
    head = model.dimensions
    if not isinstance(head, LinearDimensionHead):
        raise ModelError("expected a linear head of dimensions; set model.head=linear")
    outputs = outputs_of(model, training, batch_size, timed=False)
    assert outputs.vectors is not None
    vectors = outputs.vectors.double().numpy()
    ratings = np.stack([training.targets.rated(row) for row in training.utterances])
    center, spread = vectors.mean(axis=0), vectors.std(axis=0)
    spread = np.where(spread > _LEAST_SPREAD, spread, 1.0)
    standardized, speakers = (vectors - center) / spread, speakers_of(training.utterances)
    penalties: dict[str, float] = {}
    with torch.no_grad():
        head.standardise.centre.copy_(torch.from_numpy(center))
        head.standardise.spread.copy_(torch.from_numpy(spread))
        for row, name in enumerate(training.targets.dimensions):
            known = np.isfinite(ratings[:, row])
            if known.sum() < 2:
                raise ModelError(f"expected two or more ratings of {name}, got {known.sum()}")
            truth = ratings[known, row].astype(np.float64)
            owners = [speaker for speaker, used in zip(speakers, known, strict=True) if used]
            best = penalty or select_penalty(standardized[known], truth, owners)
            fitted = solve_ridge(standardized[known], truth, [best])[0]
            head.linear.weight[row] = torch.from_numpy(fitted.weight).float()
            head.linear.bias[row] = fitted.intercept
            penalties[name] = best
    return penalties


def solve_ridge(features: Floats, truth: Floats, penalties: Sequence[float]) -> list[Ridge]:
    """Ridge regressions of (utterance, feature) on (utterance,), one for each penalty.

    The intercept is not penalized. One decomposition serves all penalties: of the features'
    products, or of the utterances' where there are fewer of them.
    """
    middle, mean = features.mean(axis=0), float(truth.mean())
    centered, residual = features - middle, truth - mean
    is_wide = centered.shape[1] > len(centered)
    products = centered @ centered.T if is_wide else centered.T @ centered
    values, basis = np.linalg.eigh(products)
    target = basis.T @ (residual if is_wide else centered.T @ residual)
    solutions = []
    for penalty in penalties:
        solution = basis @ (target / (np.maximum(values, 0.0) + penalty))
        weight = centered.T @ solution if is_wide else solution
        solutions.append(Ridge(weight, mean - float(middle @ weight)))
    return solutions


def select_penalty(features: Floats, truth: Floats, speakers: Sequence[str]) -> float:
    """The penalty with the highest CCC on held-out speakers; a default for a single speaker."""
    names = sorted(set(speakers))
    if len(names) < 2:
        return _DEFAULT
    parts = min(_PARTS, len(names))
    part = np.array([names.index(speaker) % parts for speaker in speakers])
    predicted = np.zeros((len(PENALTIES), len(truth)))
    for number in range(parts):
        test = part == number
        if (~test).sum() < 2:
            return _DEFAULT
        for row, ridge in enumerate(solve_ridge(features[~test], truth[~test], PENALTIES)):
            predicted[row, test] = np.clip(features[test] @ ridge.weight + ridge.intercept, 0, 1)
    scores = [np.nan_to_num(ccc(moments_of(row, truth).sum(axis=0))) for row in predicted]
    return PENALTIES[int(np.argmax(scores))]
