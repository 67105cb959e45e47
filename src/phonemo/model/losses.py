"""The loss of both tasks, which keeps its parts.

What a batch does not hold is absent, not zero: an utterance without an emotion, without phonemes,
or too short for its phonemes is left out of that term's mean and counted.
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

#: The emotion target of an utterance that has none.
ABSENT = -100

#: What an utterance's CTC loss is divided by, from its target's length and its frames.
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
        anchor: a scalar 0 that hangs on the logits, so that a batch without any target still
            has a backward pass, with zero gradients.
        counts: how many utterances were used, and how many left out for which reason.
        size: what the mean was divided by: the utterances, or the sum of their class weights.
    """

    value: Tensor | None
    anchor: Tensor
    counts: Mapping[str, int]
    size: Tensor


@dataclass(frozen=True)
class Loss:
    """What is minimised, and what it is made of.

    Attributes:
        total: a scalar with its gradient.
        parts: each task that was present, by name: its term before its weight, detached.
        counts: those of the terms, together.
        value: what ``total`` is over the whole batch, detached, where ``total`` is a share of it.
    """

    total: Tensor
    parts: Mapping[str, Tensor]
    counts: Mapping[str, int]
    value: Tensor


def combine(emotion: Term, phonemes: Term | None, alpha: float) -> Loss:
    """Emotion term + alpha * phoneme term; ``phonemes`` is None without an auxiliary task.

    ``alpha`` means nothing without the reduction of the phoneme term: write both down.
    """
    terms = {"emotion": (emotion, 1.0)}
    if phonemes is not None:
        terms["phonemes"] = (phonemes, alpha)
    total = torch.stack([term.anchor for term, _ in terms.values()]).sum()
    parts: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for name, (term, weight) in terms.items():
        counts |= term.counts
        if term.value is not None:
            total = total + weight * term.value
            parts[name] = term.value.detach()
    return Loss(total=total, parts=parts, counts=counts, value=total.detach())


def gradient_share(
    emotion: Term, phonemes: Term | None, alpha: float, summed: Callable[[Tensor], Tensor]
) -> Loss:
    """The same of a batch that several processes hold together, each some of its utterances.

    A mean of the processes' means would be another loss: one may hold fewer utterances with a
    target than another, or none. So each term is divided by what all hold together.

    Args:
        emotion: of the utterances here.
        phonemes: of the utterances here; None without an auxiliary task.
        alpha: weight of the phoneme term.
        summed: adds a tensor up over all processes; called once.

    Returns:
        A loss whose totals, added up over the processes, are the loss of the whole batch; the
        rest is of the whole batch already.
    """
    terms = {"emotion": (emotion, 1.0)}
    if phonemes is not None:
        terms["phonemes"] = (phonemes, alpha)
    total = torch.stack([term.anchor for term, _ in terms.values()]).sum()
    value = torch.zeros_like(total.detach())
    parts: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    known = iter(summed(torch.cat([_sums(term) for term, _ in terms.values()])))
    for name, (term, weight) in terms.items():
        loss, size = next(known), next(known)
        counts |= {reason: int(next(known)) for reason in term.counts}
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
    return Term(value, _anchor(logits), counts, size)


def ctc_loss(
    frame_logits: Tensor,
    frame_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "per_token",
) -> Term:
    """Connectionist temporal classification (Graves et al. 2006), averaged over utterances.

    CTC cannot write a target into fewer frames than it has symbols, plus one blank between two
    equal neighbours. Such utterances are left out, as are those without a target.

    Args:
        frame_logits: (batch, frame, phoneme); padding may hold anything.
        frame_lengths: (batch,), valid frames.
        targets: (batch, phoneme), indices from 1; padding may hold anything.
        target_lengths: (batch,), symbols of each target; 0 where there is none.
        reduction: a name in REDUCTIONS: what each utterance's negative log-likelihood is divided
            by before the mean.

    Returns:
        A term with the counts ``phonemes`` (used), ``phonemes_absent``, ``phonemes_too_long``.

    Raises:
        ModelError: an unknown reduction, or a target symbol outside the head's inventory.
    """
    if reduction not in REDUCTIONS:
        raise ModelError(f"unknown reduction {reduction!r}; known: {', '.join(REDUCTIONS)}")
    targets = targets.masked_fill(~mask_of(target_lengths, targets.shape[1]), BLANK)
    _check_symbols(targets, target_lengths, symbols=frame_logits.shape[2])
    present = target_lengths > 0
    usable = present & (frame_lengths >= frames_needed(targets, target_lengths))
    value = None
    if bool(usable.any()):
        frames, tokens = frame_lengths[usable], target_lengths[usable]
        losses = _likelihoods(frame_logits[usable], frames, targets[usable], tokens)
        value = (losses / REDUCTIONS[reduction](tokens, frames)).mean()
    return Term(value, _anchor(frame_logits), _phoneme_counts(present, usable), usable.sum())


def frames_needed(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Fewest frames (batch,) that CTC needs: the symbols plus the equal neighbours.

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


def _check_symbols(targets: Tensor, target_lengths: Tensor, symbols: int) -> None:
    # torch reads beyond its table on a symbol too large, and takes a blank for a symbol.
    found = targets[mask_of(target_lengths, targets.shape[1])]
    strays = found[(found <= BLANK) | (found >= symbols)]
    if len(strays):
        raise ModelError(
            f"phoneme target {int(strays[0])} is outside 1 to {symbols - 1}; "
            "the targets and the phoneme head need the same inventory"
        )


def _phoneme_counts(present: Tensor, usable: Tensor) -> dict[str, int]:
    return {
        "phonemes": int(usable.sum()),
        "phonemes_absent": int((~present).sum()),
        "phonemes_too_long": int((present & ~usable).sum()),
    }


def _sums(term: Term) -> Tensor:
    """What can be added up over processes: the sum of losses, its divisor, and the counts."""
    size = term.size.double()
    loss = torch.zeros_like(size) if term.value is None else term.value.detach() * size
    return torch.stack([loss, size, *(torch.full_like(size, n) for n in term.counts.values())])


def _anchor(logits: Tensor) -> Tensor:
    # The sum of no rows: 0 even where the logits are NaN, which 0 * logits.sum() would not be.
    return logits[:0].float().sum()
