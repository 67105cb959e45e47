"""The loss of both tasks, with its parts.

Missing targets are excluded, not zero: an utterance without an emotion, without phonemes, or too
short for its phonemes is left out of that term's mean and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from phonemo.errors import ModelError
from phonemo.model.heads import BLANK
from phonemo.model.masks import mask_of

#: The emotion target of an utterance without an emotion.
ABSENT = -100

#: Divisor of an utterance's CTC loss, from its target's length and its frames.
REDUCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "per_token": lambda tokens, frames: tokens,
    "per_frame": lambda tokens, frames: frames,
    "per_utterance": lambda tokens, frames: torch.ones_like(frames),
}


@dataclass(frozen=True)
class Term:
    """One task's loss over a batch.

    Attributes:
        value: a scalar; None where no utterance of the batch can be used.
        anchor: a scalar 0 that depends on the logits, so that a batch without any target still
            has a backward pass, with zero gradients.
        counts: numbers of utterances used, and left out for each reason.
        size: the divisor of the mean: the utterances, or the sum of their class weights.
    """

    value: Tensor | None
    anchor: Tensor
    counts: Mapping[str, int]
    size: Tensor


@dataclass(frozen=True)
class Loss:
    """The loss to minimize and its parts.

    Attributes:
        total: a scalar with its gradient.
        parts: the value of each task that was present, by name, unweighted and detached.
        counts: the counts of all terms.
        value: ``total`` over the whole batch, detached, where ``total`` is a share of it.
    """

    total: Tensor
    parts: Mapping[str, Tensor]
    counts: Mapping[str, int]
    value: Tensor


Weighted = tuple[Term, float]
#: Function that sums a tensor over all processes.
Summed = Callable[[Tensor], Tensor]


def combine(terms: Mapping[str, Weighted]) -> Loss:
    """Sum terms with their weights; ``parts`` has the value of each term that has one.

    The phoneme term's weight is only meaningful with its reduction: report both.
    """
    total = torch.stack([term.anchor for term, _ in terms.values()]).sum()
    parts: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for name, (term, weight) in terms.items():
        counts |= term.counts
        if term.value is not None:
            total = total + weight * term.value
            parts[name] = term.value.detach()
    return Loss(total=total, parts=parts, counts=counts, value=total.detach())


def gradient_share(terms: Mapping[str, Weighted], summed: Summed) -> Loss:
    """Like ``combine``, for a batch whose utterances are distributed over several processes.

    A mean of the processes' means would be a different loss, as they may hold different numbers of
    utterances with a target, or none. So each term is divided by the size over all processes.

    Args:
        terms: of this process's utterances, with their weights.
        summed: sums a tensor over all processes; called once.

    Returns:
        A loss whose totals, summed over the processes, are the loss of the whole batch; the other
        fields already refer to the whole batch.
    """
    total = torch.stack([term.anchor for term, _ in terms.values()]).sum()
    value = torch.zeros_like(total.detach())
    parts: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    sums = iter(summed(torch.cat([_sums(term) for term, _ in terms.values()])))
    for name, (term, weight) in terms.items():
        loss, size = next(sums), next(sums)
        counts |= {reason: int(next(sums)) for reason in term.counts}
        if term.value is not None:
            total = total + weight * term.value * (term.size / size).to(term.value.dtype)
        if size > 0:
            parts[name] = (loss / size).to(value.dtype)
            value = value + weight * parts[name]
    return Loss(total=total, parts=parts, counts=counts, value=value)


def emotion_loss(
    logits: Tensor,
    targets: Tensor,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Term:
    """Cross-entropy over the utterances that have an emotion.

    Args:
        logits: (batch, emotion).
        targets: (batch,), indices; ABSENT (-100) where the emotion is unknown.
        class_weights: (emotion,); the mean is then the weighted one, as in torch.
        label_smoothing: share of the target spread over all emotions.

    Returns:
        A term with the counts ``emotion`` (used) and ``emotion_absent``.
    """
    present = targets != ABSENT
    used = int(present.sum())
    value, size = None, present.sum()
    if class_weights is not None:
        size = class_weights[targets[present]].sum()
    if used:
        value = functional.cross_entropy(
            logits[present].float(),
            targets[present],
            weight=class_weights,
            label_smoothing=label_smoothing,
        )
    counts = {"emotion": used, "emotion_absent": len(targets) - used}
    return Term(value, anchor_of(logits), counts, size)


def ctc_loss(
    frame_logits: Tensor,
    frame_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "per_token",
) -> Term:
    """Connectionist temporal classification (Graves et al. 2006), averaged over utterances.

    CTC needs a frame for each symbol of the target, plus one blank between two equal neighbors.
    Utterances with fewer frames are left out, as are those without a target.

    Args:
        frame_logits: (batch, frame, phoneme); padding may hold anything.
        frame_lengths: (batch,), valid frames.
        targets: (batch, phoneme), indices from 1; padding may hold anything.
        target_lengths: (batch,), symbols of each target; 0 where there is none.
        reduction: a name in REDUCTIONS: the divisor of each utterance's negative log-likelihood
            before the mean.

    Returns:
        A term with the counts ``phonemes`` (used), ``phonemes_absent``, ``phonemes_too_long``.

    Raises:
        ModelError: an unknown reduction, or a target symbol outside the head's inventory.
    """
    if reduction not in REDUCTIONS:
        raise ModelError(f"expected a reduction of {', '.join(REDUCTIONS)}, got {reduction!r}")
    targets = targets.masked_fill(~mask_of(target_lengths, targets.shape[1]), BLANK)
    _check_targets(targets, target_lengths, symbols=frame_logits.shape[2])
    present = target_lengths > 0
    usable = present & (frame_lengths >= frames_needed(targets, target_lengths))
    value = None
    if bool(usable.any()):
        frames, tokens = frame_lengths[usable], target_lengths[usable]
        losses = _likelihoods(frame_logits[usable], frames, targets[usable], tokens)
        value = (losses / REDUCTIONS[reduction](tokens, frames)).mean()
    return Term(value, anchor_of(frame_logits), _phoneme_counts(present, usable), usable.sum())


def frames_needed(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Minimum frames (batch,) for CTC: the symbols plus the pairs of equal neighbors.

    Args:
        targets: (batch, phoneme); padding may hold anything.
        target_lengths: (batch,).
    """
    within = mask_of(target_lengths, targets.shape[1])[:, 1:]
    repeats = (targets[:, 1:] == targets[:, :-1]) & within
    return target_lengths + repeats.sum(dim=1)


def _likelihoods(logits: Tensor, frames: Tensor, targets: Tensor, tokens: Tensor) -> Tensor:
    """Negative log-likelihoods (batch,), in float32 under mixed precision too."""
    gap = ~mask_of(frames, logits.shape[1])[:, :, None]
    scores = logits.float().masked_fill(gap, 0.0).log_softmax(dim=2)
    return functional.ctc_loss(
        scores.transpose(0, 1),  # (frame, batch, phoneme)
        targets,
        frames,
        tokens,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )


def _check_targets(targets: Tensor, target_lengths: Tensor, symbols: int) -> None:
    # torch reads out of bounds for a symbol too large, and accepts a blank as a symbol
    indices = targets[mask_of(target_lengths, targets.shape[1])]
    invalid = indices[(indices <= BLANK) | (indices >= symbols)]
    if len(invalid):
        raise ModelError(
            f"expected phoneme targets from 1 to {symbols - 1}, got {int(invalid[0])}; use the "
            "same inventory for the targets and the phoneme head"
        )


def _phoneme_counts(present: Tensor, usable: Tensor) -> dict[str, int]:
    return {
        "phonemes": int(usable.sum()),
        "phonemes_absent": int((~present).sum()),
        "phonemes_too_long": int((present & ~usable).sum()),
    }


def _sums(term: Term) -> Tensor:
    """Quantities that can be summed over processes: the loss sum, its divisor, and the counts."""
    size = term.size.double()
    loss = torch.zeros_like(size) if term.value is None else term.value.detach() * size
    return torch.stack([loss, size, *(torch.full_like(size, n) for n in term.counts.values())])


def anchor_of(logits: Tensor) -> Tensor:
    """A scalar 0 that depends on the logits."""
    # An empty sum: 0 even where the logits are NaN, unlike 0 * logits.sum().
    return logits[:0].float().sum()
