"""Losses of rated targets: arousal, valence and dominance, and raters' votes for emotions.

An utterance without a value is left out of that dimension, not counted as zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from phonemo.model.losses import Term, anchor_of

#: Smallest variance of the targets (0 to 1) for which a concordance is defined.
_LEAST_VARIANCE = 1e-8
#: Subtracted before sums of squares, which cancel less in the middle of 0..1.
_CENTER = 0.5


@dataclass(frozen=True)
class MomentTerm:
    """A loss of sums over a batch, which several processes can add before it is computed.

    Attributes:
        moments: (6, dimension) in float64, sums over this process's utterances: their number,
            predictions, targets, squares of both, products.
        anchor: a scalar 0 that depends on the predictions.
        counts: numbers of values used and missing.
    """

    moments: Tensor
    anchor: Tensor
    counts: dict[str, int]

    def of_sums(self, total: Tensor, processes: int = 1) -> Term:
        """The loss of the whole batch, with the gradient of this process's utterances.

        Args:
            total: the moments summed over all processes.
            processes: their number. ``gradient_share`` divides by it, so the gradient is
                multiplied: the processes' gradients then add up to that of the whole batch's loss.
        """
        value = concordance_loss(total.detach() + (self.moments - self.moments.detach()))
        size = torch.full((), float(value is not None), device=self.moments.device)
        if value is not None:
            value = value.detach() + processes * (value - value.detach())
        return Term(value, self.anchor, self.counts, size)


def ccc_term(predicted: Tensor, targets: Tensor) -> MomentTerm:
    """Sums for the concordance loss (Lin 1989), 1 - CCC averaged over dimensions.

    Args:
        predicted: (batch, dimension).
        targets: (batch, dimension), NaN where unknown.

    Returns:
        A term with the counts ``dimensions`` (values used) and ``dimensions_absent``.
    """
    known = ~targets.isnan()
    values = torch.where(known, predicted, _CENTER).double() - _CENTER
    truth = torch.where(known, targets, _CENTER).double() - _CENTER
    sums = (known.double(), values, truth, values.square(), truth.square(), values * truth)
    moments = torch.stack([part.sum(dim=0) for part in sums])
    return MomentTerm(moments, anchor_of(predicted), _counts(known))


def concordance_loss(moments: Tensor) -> Tensor | None:
    """Return 1 - CCC averaged over the dimensions where it is defined; None without any.

    It is undefined for fewer than two values, and for constant targets, for which the CCC is 0
    whatever is predicted, without a gradient.

    Args:
        moments: (6, dimension).
    """
    count = moments[0]
    number = count.clamp(min=1.0)
    mean, mean_truth, square, square_truth, product = (row / number for row in moments[1:])
    variance = (square - mean**2).clamp(min=0.0)
    variance_truth = (square_truth - mean_truth**2).clamp(min=0.0)
    usable = (count >= 2) & (variance_truth.detach() > _LEAST_VARIANCE)
    if not bool(usable.any()):
        return None
    covariance = product - mean * mean_truth
    distance = variance + variance_truth + (mean - mean_truth) ** 2
    # unusable dimensions are replaced before the division, as its gradient would be NaN
    agreement = 2 * covariance[usable] / distance[usable]
    loss: Tensor = (1 - agreement).mean().float()
    return loss


def mse_term(predicted: Tensor, targets: Tensor) -> Term:
    """Mean squared error over all known values; arguments and counts as for ``ccc_term``."""
    known = ~targets.isnan()
    value = None
    if bool(known.any()):
        value = (predicted.float()[known] - targets[known]).square().mean()
    return Term(value, anchor_of(predicted), _counts(known), known.sum())


def vote_loss(
    logits: Tensor,
    votes: Tensor,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Term:
    """Cross-entropy against the raters' distribution.

    With one vote per utterance it equals ``emotion_loss``.

    Args:
        logits: (batch, emotion).
        votes: (batch, emotion), each row summing to 1, or to 0 where there is no vote.
        class_weights: (emotion,); the mean is then the weighted one.
        label_smoothing: share of the target spread over all emotions.

    Returns:
        A term with the counts ``emotion`` (used) and ``emotion_absent``.
    """
    present = votes.sum(dim=1) > 0
    used = int(present.sum())
    weights = torch.ones_like(logits[0]) if class_weights is None else class_weights
    weights, shares = weights.float(), votes[present].float()
    size, value = (shares * weights).sum(), None
    if used:
        target = (1 - label_smoothing) * shares + label_smoothing / logits.shape[1]
        likelihood = logits[present].float().log_softmax(dim=1)
        value = -(target * weights * likelihood).sum() / size
    counts = {"emotion": used, "emotion_absent": len(votes) - used}
    return Term(value, anchor_of(logits), counts, size)


def _counts(known: Tensor) -> dict[str, int]:
    used = int(known.sum())
    return {"dimensions": used, "dimensions_absent": known.numel() - used}


#: Name in DimensionsConfig.loss -> the term of a batch's predictions and targets.
DIMENSION_LOSSES: dict[str, Callable[[Tensor, Tensor], Term | MomentTerm]] = {
    "ccc": ccc_term,
    "mse": mse_term,
}
