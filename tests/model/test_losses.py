"""Losses by hand: CTC by enumerating every path, its reductions, cross-entropy, and the sum."""

from __future__ import annotations

import itertools
import math
import typing

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from phonemo.config import AuxiliaryConfig
from phonemo.errors import ModelError
from phonemo.model.losses import (
    ABSENT,
    REDUCTIONS,
    Term,
    combine,
    ctc_loss,
    emotion_loss,
    frames_needed,
    gradient_share,
)

NAN = float("nan")

# Two utterances over the symbols blank, 1, 2, all equally likely in every frame.
# A: 2 frames, target (1): paths 11, 10, 01 of 9.
# B: 3 frames, target (1, 2): paths 112, 122, 012, 102, 120 of 27.
NLL_A, NLL_B = -math.log(3 / 9), -math.log(5 / 27)
PAIR = (
    torch.zeros(2, 3, 3),
    torch.tensor([2, 3]),
    torch.tensor([[1, ABSENT], [1, 2]]),
    torch.tensor([1, 2]),
)


def value(term: Term) -> float:
    assert term.value is not None
    return term.value.item()


def enumerated(logits: Tensor, target: tuple[int, ...]) -> float:
    """Negative log of the summed probability of all paths (frame, phoneme) that spell a target."""
    shares = logits.double().softmax(dim=1)
    frames, symbols = shares.shape
    total = 0.0
    for path in itertools.product(range(symbols), repeat=frames):
        if tuple(symbol for symbol, _ in itertools.groupby(path) if symbol) == target:
            total += math.prod(float(shares[frame, symbol]) for frame, symbol in enumerate(path))
    return -math.log(total)


def test_ctc_of_two_frames_by_hand() -> None:
    """Blank .6 a .4, then blank .3 a .7. Paths aa .28, a- .12, -a .42: together .82."""
    logits = torch.tensor([[[0.6, 0.4], [0.3, 0.7]]]).log()
    term = ctc_loss(logits, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]))
    assert value(term) == pytest.approx(-math.log(0.82))


@pytest.mark.parametrize("target", [(1,), (2, 1), (1, 1), (1, 2, 1), (2, 2, 3)])
def test_ctc_is_the_sum_over_all_paths(target: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 5, 4)
    term = ctc_loss(
        logits,
        torch.tensor([5]),
        torch.tensor([target]),
        torch.tensor([len(target)]),
        "per_utterance",
    )
    assert value(term) == pytest.approx(enumerated(logits[0], target), rel=1e-5)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("per_token", (NLL_A / 1 + NLL_B / 2) / 2),
        ("per_frame", (NLL_A / 2 + NLL_B / 3) / 2),
        ("per_utterance", (NLL_A + NLL_B) / 2),
    ],
)
def test_reductions_by_hand(reduction: str, expected: float) -> None:
    assert value(ctc_loss(*PAIR, reduction)) == pytest.approx(expected)


def test_reductions_are_those_of_the_config() -> None:
    field = AuxiliaryConfig.model_fields["reduction"]
    assert set(REDUCTIONS) == set(typing.get_args(field.annotation))
    assert value(ctc_loss(*PAIR)) == value(ctc_loss(*PAIR, field.default))


def test_an_unknown_reduction_is_rejected() -> None:
    with pytest.raises(ModelError, match="per_token, per_frame, per_utterance, got 'mean'"):
        ctc_loss(*PAIR, "mean")


def test_ctc_padding_changes_nothing() -> None:
    """NaN after an utterance's frames, anything after its symbols: same value and gradients."""
    torch.manual_seed(1)
    logits, lengths = torch.randn(2, 6, 4), torch.tensor([6, 3])
    targets, target_lengths = torch.tensor([[1, 1, 3], [2, 77, -5]]), torch.tensor([3, 1])
    poisoned = logits.clone()
    poisoned[1, 3:] = NAN
    poisoned.requires_grad_()
    term = ctc_loss(poisoned, lengths, targets, target_lengths, "per_utterance")
    expected = (enumerated(logits[0], (1, 1, 3)) + enumerated(logits[1, :3], (2,))) / 2
    assert value(term) == pytest.approx(expected, rel=1e-5)
    assert term.value is not None
    term.value.backward()
    assert poisoned.grad is not None
    assert poisoned.grad.isfinite().all()
    assert poisoned.grad[0].abs().amax(dim=1).gt(0).all()
    assert not poisoned.grad[1, 3:].any()


def test_frames_needed_counts_equal_neighbours_within_the_target() -> None:
    targets = torch.tensor([[1, 1, 1, 2], [1, 2, 2, 2], [1, 2, 1, 1], [3, 3, 3, 3]])
    assert frames_needed(targets, torch.tensor([4, 2, 3, 0])).tolist() == [6, 2, 3, 0]


def test_ctc_skips_and_counts_what_it_cannot_use() -> None:
    """Rows: fits exactly; one frame short because of a repeat; no target; too few frames."""
    logits = torch.zeros(4, 3, 3, requires_grad=True)
    lengths = torch.tensor([3, 2, 3, 1])
    targets, target_lengths = torch.tensor([[1, 1]] * 4), torch.tensor([2, 2, 0, 2])
    term = ctc_loss(logits, lengths, targets, target_lengths, "per_utterance")
    assert term.counts == {"phonemes": 1, "phonemes_absent": 1, "phonemes_too_long": 2}
    assert value(term) == pytest.approx(-math.log(1 / 27))  # the path 1 0 1 alone
    assert term.value is not None
    term.value.backward()
    assert logits.grad is not None
    assert logits.grad[0].any()
    assert not logits.grad[1:].any()


@pytest.mark.parametrize("symbol", [0, 3, -1])
def test_ctc_refuses_symbols_outside_the_inventory(symbol: int) -> None:
    targets = torch.tensor([[1, symbol]])
    with pytest.raises(ModelError, match=f"expected phoneme targets from 1 to 2, got {symbol}"):
        ctc_loss(torch.zeros(1, 4, 3), torch.tensor([4]), targets, torch.tensor([2]))


def test_ctc_is_float32_under_half_precision() -> None:
    term = ctc_loss(PAIR[0].bfloat16(), *PAIR[1:], "per_utterance")
    assert term.value is not None
    assert term.value.dtype == torch.float32
    assert value(term) == pytest.approx((NLL_A + NLL_B) / 2)


def test_batch_without_any_target_is_absent_and_trainable() -> None:
    """No part, a total of zero, and a backward pass with zero gradients, NaN logits or not."""
    emotions = torch.full((2, 4), NAN, requires_grad=True)
    logits = torch.zeros(2, 3, 3, requires_grad=True)
    nothing = torch.tensor([0, 0])
    phonemes = ctc_loss(logits, torch.tensor([3, 3]), torch.zeros(2, 0, dtype=torch.long), nothing)
    emotion = emotion_loss(emotions, torch.tensor([ABSENT, ABSENT]))
    loss = combine({"emotion": (emotion, 1.0), "phonemes": (phonemes, 0.5)})
    assert (emotion.value, phonemes.value, dict(loss.parts)) == (None, None, {})
    assert loss.counts["emotion_absent"] == loss.counts["phonemes_absent"] == 2
    loss.total.backward()
    assert loss.total.item() == 0.0
    for tensor in (emotions, logits):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_emotion_loss_by_hand() -> None:
    """Probabilities 1/4 and 3/4 of the right class."""
    logits = torch.tensor([[0.25, 0.75], [0.25, 0.75]]).log()
    term = emotion_loss(logits, torch.tensor([0, 1]))
    assert value(term) == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2)
    assert term.counts == {"emotion": 2, "emotion_absent": 0}


def test_class_weights_by_hand() -> None:
    """The weighted mean: a class of weight 3 counts three times."""
    logits = torch.tensor([[0.25, 0.75], [0.25, 0.75]]).log()
    term = emotion_loss(logits, torch.tensor([0, 1]), class_weights=torch.tensor([3.0, 1.0]))
    assert value(term) == pytest.approx(-(3 * math.log(0.25) + math.log(0.75)) / 4)


def test_label_smoothing_by_hand() -> None:
    """A fifth of the target is spread evenly over both classes."""
    logits = torch.tensor([[0.25, 0.75]]).log()
    term = emotion_loss(logits, torch.tensor([1]), label_smoothing=0.2)
    assert value(term) == pytest.approx(-(0.9 * math.log(0.75) + 0.1 * math.log(0.25)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_emotion_loss_is_torchs_own(weighted: bool, smoothing: float) -> None:
    """Reference: torch's cross-entropy that ignores the absent ones."""
    torch.manual_seed(2)
    logits, targets = torch.randn(6, 4), torch.tensor([0, 3, ABSENT, 1, 1, ABSENT])
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0]) if weighted else None
    expected = functional.cross_entropy(
        logits, targets, weight=weights, ignore_index=ABSENT, label_smoothing=smoothing
    )
    poisoned = logits.masked_fill((targets == ABSENT)[:, None], NAN).requires_grad_()
    term = emotion_loss(poisoned, targets, weights, smoothing)
    assert value(term) == pytest.approx(float(expected))
    assert term.counts == {"emotion": 4, "emotion_absent": 2}
    assert term.value is not None
    term.value.backward()
    assert poisoned.grad is not None
    assert not poisoned.grad[targets == ABSENT].any()


def test_combine_keeps_its_parts() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    emotion, phonemes = emotion_loss(logits, torch.tensor([0, 1])), ctc_loss(*PAIR)
    loss = combine({"emotion": (emotion, 1.0), "phonemes": (phonemes, 0.1)})
    ctc = (NLL_A + NLL_B / 2) / 2
    assert loss.total.item() == pytest.approx(math.log(2) + 0.1 * ctc)
    assert loss.parts["emotion"].item() == pytest.approx(math.log(2))
    assert loss.parts["phonemes"].item() == pytest.approx(ctc)  # before alpha
    assert loss.total.requires_grad
    assert not any(part.requires_grad for part in loss.parts.values())
    assert loss.counts == {
        "emotion": 2,
        "emotion_absent": 0,
        "phonemes": 2,
        "phonemes_absent": 0,
        "phonemes_too_long": 0,
    }


def test_single_task_has_no_phoneme_part() -> None:
    emotion = emotion_loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    loss = combine({"emotion": (emotion, 1.0)})
    assert set(loss.parts) == {"emotion"}
    assert not any(name.startswith("phonemes") for name in loss.counts)
    assert loss.total.item() == pytest.approx(math.log(2))


# Shares of a batch -------------------------------------------------------------------------------

_DRAW = torch.Generator().manual_seed(5)
EMOTIONS = torch.randn(5, 3, generator=_DRAW)
PHONEMES = torch.randn(5, 4, 3, generator=_DRAW)
TARGETS = torch.tensor([0, ABSENT, 2, 2, 1])
FRAMES = torch.tensor([4, 4, 3, 2, 1])
SYMBOLS = torch.tensor([[1, 2], [1, 2], [0, 0], [2, 0], [1, 2]])
LENGTHS = torch.tensor([2, 2, 0, 1, 2])  # the third has none, the last is too long for its frame
WEIGHTS = torch.tensor([0.5, 1.0, 2.0])


def _terms(rows: list[int], emotions: Tensor, phonemes: Tensor) -> dict[str, tuple[Term, float]]:
    emotion = emotion_loss(emotions[rows], TARGETS[rows], WEIGHTS, 0.1)
    ctc = ctc_loss(phonemes[rows], FRAMES[rows], SYMBOLS[rows], LENGTHS[rows])
    return {"emotion": (emotion, 1.0), "phonemes": (ctc, 0.3)}


def _shares(parts: list[list[int]], emotions: Tensor, phonemes: Tensor) -> list[typing.Any]:
    """The loss of each process; the first pass records what each would sum up."""
    result: list[Tensor] = []
    terms = [_terms(rows, emotions, phonemes) for rows in parts]
    for item in terms:
        gradient_share(item, lambda values: result.append(values) or values)
    return [gradient_share(term, lambda _: torch.stack(result).sum(0)) for term in terms]


@pytest.mark.parametrize("parts", [[[0, 2, 4], [1, 3]], [[0, 1, 3, 4], [2]], [[0], [1, 2, 3], [4]]])
def test_shares_add_up_to_the_loss_of_the_batch(parts: list[list[int]]) -> None:
    """A mean of the means would not: targets are absent from some shares."""
    gradients, losses = [], []
    for split in ([[0, 1, 2, 3, 4]], parts):
        emotions, phonemes = EMOTIONS.clone().requires_grad_(), PHONEMES.clone().requires_grad_()
        if len(split) == 1:
            result = [combine(_terms(split[0], emotions, phonemes))]
        else:
            result = _shares(split, emotions, phonemes)
        total = torch.stack([item.total for item in result]).sum()
        total.backward()
        gradients.append((emotions.grad, phonemes.grad))
        losses.append((total, result))
    (whole, (alone,)), (total, several) = losses
    torch.testing.assert_close(total, whole)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)
    for entry in several:
        torch.testing.assert_close(entry.value, whole.detach())
        assert entry.counts == alone.counts
        torch.testing.assert_close(dict(entry.parts), dict(alone.parts))


def test_a_nan_share_reaches_every_process() -> None:
    poisoned = EMOTIONS.clone()
    poisoned[4] = NAN
    result = _shares([[0, 1], [2, 3, 4]], poisoned, PHONEMES)
    assert [bool(item.value.isnan()) for item in result] == [True, True]


def test_a_batch_without_targets_has_zero_loss() -> None:
    result = _shares([[1], [1]], EMOTIONS.clone().requires_grad_(), PHONEMES)
    assert all("emotion" not in item.parts and "phonemes" in item.parts for item in result)
