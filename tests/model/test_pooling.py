"""Every pooling keeps one contract; each one's arithmetic by hand."""

from __future__ import annotations

import math
import typing

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from phonemo.config import ModelConfig
from phonemo.model.masks import mask_of
from phonemo.model.pooling import (
    LEAST_VARIANCE,
    POOLINGS,
    AttentiveStatistics,
    MaskedMean,
    Pooling,
    StructuredSelfAttention,
    VowelStatistics,
    statistics,
)

WIDTH, HOPS = 8, 3
LENGTHS = (9, 5, 1)
NAN = float("nan")

every_pooling = pytest.mark.parametrize("name", sorted(POOLINGS))


def make(name: str) -> Pooling:
    torch.manual_seed(5)
    pooling = POOLINGS[name](WIDTH, 2, HOPS, 0.3)
    for parameter in pooling.parameters():
        nn.init.normal_(parameter, std=0.5)
    return pooling.eval()


def make_batch(padding: float) -> tuple[Tensor, Tensor]:
    torch.manual_seed(6)
    mask = mask_of(torch.tensor(LENGTHS), max(LENGTHS))
    sequence = torch.randn(len(LENGTHS), max(LENGTHS), WIDTH)
    return sequence.masked_fill(~mask[:, :, None], padding), mask


def gradients(pooling: Pooling, batches: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    pooling.zero_grad()
    readout = torch.linspace(-1, 1, pooling.features)
    for sequence, mask in batches:
        (pooling(sequence, mask).vector @ readout).square().sum().backward()
    grads = [parameter.grad for parameter in pooling.parameters()]
    assert all(grad is not None for grad in grads)
    return [grad.clone() for grad in grads if grad is not None]


def singles(padding: float) -> list[tuple[Tensor, Tensor]]:
    sequence, mask = make_batch(padding)
    return [(sequence[[row], :n], mask[[row], :n]) for row, n in enumerate(LENGTHS)]


def test_names_are_those_of_the_config() -> None:
    field = ModelConfig.model_fields["pooling"]
    assert set(POOLINGS) == set(typing.get_args(field.annotation))
    assert field.default in POOLINGS


@every_pooling
def test_shapes(name: str) -> None:
    pooling, (sequence, mask) = make(name), make_batch(NAN)
    pooled = pooling(sequence, mask)
    assert pooled.vector.shape == (len(LENGTHS), pooling.features)
    assert pooled.weights.shape == mask.shape


@every_pooling
def test_weights_are_shares_of_the_valid_frames(name: str) -> None:
    sequence, mask = make_batch(NAN)
    weights = make(name)(sequence, mask).weights
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(LENGTHS)))
    assert (weights[mask] > 0).all()
    assert torch.equal(weights[~mask], torch.zeros_like(weights[~mask]))


@every_pooling
def test_padding_has_no_effect_at_all(name: str) -> None:
    pooling = make(name)
    clean, *others = [pooling(*make_batch(padding)) for padding in (0.0, NAN, math.inf)]
    for other in others:
        assert torch.equal(clean.vector, other.vector)
        assert torch.equal(clean.weights, other.weights)


@every_pooling
def test_batch_equals_single(name: str) -> None:
    pooling = make(name)
    batch = pooling(*make_batch(NAN))
    for row, single in enumerate(singles(NAN)):
        expected = pooling(*single)
        weights = batch.weights[row, : LENGTHS[row]]
        torch.testing.assert_close(batch.vector[row], expected.vector[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(weights, expected.weights[0], atol=1e-5, rtol=0)


@every_pooling
def test_gradient_of_a_poisoned_batch_is_that_of_its_utterances(name: str) -> None:
    pooling = make(name)
    batch = gradients(pooling, [make_batch(NAN)]) if list(pooling.parameters()) else []
    alone = gradients(pooling, singles(0.0)) if batch else []
    for result, expected in zip(batch, alone, strict=True):
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-4)


@every_pooling
def test_gradient_reaches_every_parameter_and_every_valid_frame(name: str) -> None:
    pooling, (sequence, mask) = make(name), make_batch(NAN)
    sequence.requires_grad_()
    readout = torch.linspace(-1, 1, pooling.features)
    (pooling(sequence, mask).vector @ readout).square().sum().backward()
    for parameter, tensor in pooling.named_parameters():
        assert tensor.grad is not None, parameter
        assert tensor.grad.isfinite().all(), parameter
        assert tensor.grad.abs().max() > 1e-5, parameter
    assert sequence.grad is not None
    assert sequence.grad.isfinite().all()
    assert sequence.grad[mask].abs().amax(dim=1).gt(0).all()
    assert not sequence.grad[~mask].any()


@every_pooling
def test_frames_not_kept_count_as_removed(name: str) -> None:
    """The same as pooling only the kept frames, whatever values the others have."""
    pooling, (sequence, mask) = make(name), make_batch(NAN)
    keep = torch.ones_like(mask)
    keep[0, [0, 3, 4]] = False
    keep[1, 4] = False
    poisoned = sequence.masked_fill(~keep[:, :, None], NAN)
    pooled = pooling(poisoned, mask, keep)
    assert torch.equal(pooled.vector, pooling(poisoned, mask & keep).vector)
    assert not pooled.weights[~keep].any()
    for row in range(len(LENGTHS)):
        cut = sequence[row, mask[row] & keep[row]][None]
        expected = pooling(cut, torch.ones(1, cut.shape[1], dtype=torch.bool)).vector[0]
        torch.testing.assert_close(pooled.vector[row], expected, atol=1e-5, rtol=0)


@every_pooling
def test_nothing_kept_is_finite_with_finite_gradients(name: str) -> None:
    pooling, (sequence, mask) = make(name), make_batch(NAN)
    sequence.requires_grad_()
    pooled = pooling(sequence, mask, torch.zeros_like(mask))
    pooled.vector.square().sum().backward()
    assert pooled.vector.isfinite().all()
    assert not pooled.weights.any()
    assert sequence.grad is not None
    assert not sequence.grad.any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in pooling.parameters())


@every_pooling
def test_eval_is_deterministic(name: str) -> None:
    pooling, batch = make(name), make_batch(0.0)
    assert torch.equal(pooling(*batch).vector, pooling(*batch).vector)


def test_structured_training_drops_out() -> None:
    pooling, batch = make("structured").train(), make_batch(0.0)
    assert not torch.equal(pooling(*batch).vector, pooling(*batch).vector)


def test_structured_by_hand() -> None:
    """Two frames that the norm makes (1, -1) and (-1, 1); hop 1 looks at feature 1, hop 2 at none.

    Hop 1 scores them tanh(1) and -tanh(1), so its first weight is sigmoid(2 tanh(1)) and its sum
    (w - (1 - w)) (1, -1) = tanh(tanh(1)) (1, -1). Hop 2 takes half of each, which is nothing.
    """
    pooling = StructuredSelfAttention(2, 1, 2, 0.0)
    nn.init.zeros_(pooling.attention.output.weight)
    nn.init.zeros_(pooling.attention.output.bias)
    nn.init.eye_(pooling.score[0].weight)
    nn.init.zeros_(pooling.score[0].bias)
    pooling.score[2].weight.data = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    sequence = torch.tensor([[[2.0, 0.0], [-6.0, 4.0], [NAN, NAN]]])
    pooled = pooling(sequence, torch.tensor([[True, True, False]]))
    sharp, first = math.tanh(math.tanh(1)), 1 / (1 + math.exp(-2 * math.tanh(1)))
    vector = torch.tensor([[sharp, -sharp, 0.0, 0.0]])
    weights = torch.tensor([[(first + 0.5) / 2, (1 - first + 0.5) / 2, 0.0]])
    torch.testing.assert_close(pooled.vector, vector, atol=2e-5, rtol=0)  # the norm's epsilon
    torch.testing.assert_close(pooled.weights, weights, atol=2e-5, rtol=0)


def test_structured_frames_attend_to_each_other() -> None:
    """With a live attention block the first frame's weight depends on the second frame."""
    pooling = make("structured")
    sequence, every = torch.randn(1, 2, WIDTH), torch.ones(1, 2, dtype=torch.bool)
    scores = []
    for other in (1.0, -1.0):
        pooling.score.register_forward_hook(lambda _, __, out: scores.append(out[0, 0].clone()))
        pooling(torch.cat((sequence[:, :1], other * sequence[:, 1:]), dim=1), every)
    assert not torch.allclose(scores[0], scores[-1])


def test_attentive_statistics_by_hand() -> None:
    """Scores of zero weigh alike: 1 and 3 have mean 2, deviation 1; equal frames the least."""
    pooling = AttentiveStatistics(2, 1, 1, 0.0)
    nn.init.zeros_(pooling.score[2].weight)
    sequence = torch.tensor([[[1.0, 5.0], [3.0, 5.0], [NAN, NAN]]])
    pooled = pooling(sequence, torch.tensor([[True, True, False]]))
    expected = torch.tensor([[2.0, 5.0, 1.0, math.sqrt(LEAST_VARIANCE)]])
    torch.testing.assert_close(pooled.vector, expected)
    assert torch.equal(pooled.weights, torch.tensor([[0.5, 0.5, 0.0]]))


def test_attentive_statistics_are_numpys() -> None:
    """Twin: numpy's weighted average with the pooling's own weights, which are uneven.

    The mean of feature 0, which no score reads, is large: it must not eat the deviation.
    """
    pooling, (sequence, mask) = make("attentive_statistics"), make_batch(0.0)
    pooling.score[0].weight.data[:, 0] = 0
    sequence[:, :, 0] += 1000
    pooled = pooling(sequence, mask)
    frames, weights = sequence[0].double().numpy(), pooled.weights[0].detach().numpy()
    assert weights.max() > 2 * weights.min()
    mean = np.average(frames, axis=0, weights=weights)
    deviation = np.sqrt(np.average((frames - mean) ** 2, axis=0, weights=weights))
    np.testing.assert_allclose(pooled.vector[0, :WIDTH].detach(), mean, rtol=1e-5)
    np.testing.assert_allclose(pooled.vector[0, WIDTH:].detach(), deviation, rtol=1e-3)


def test_mean_by_hand() -> None:
    sequence = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [NAN, NAN]]])
    pooled = MaskedMean(2, 1, 1, 0.0)(sequence, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(pooled.vector, torch.tensor([[2.0, 4.0]]))
    assert torch.equal(pooled.weights, torch.tensor([[0.5, 0.5, 0.0]]))


# Statistics past the fusion -----------------------------------------------------------------------


def test_statistics_are_numpys_over_the_valid_frames():
    sequence, mask = make_batch(NAN)
    result = statistics(sequence, mask)
    assert result.shape == (len(LENGTHS), 2 * WIDTH)
    for row, length in enumerate(LENGTHS):
        frames = sequence[row, :length].numpy()
        expected = np.concatenate([frames.mean(0), np.maximum(frames.std(0), LEAST_VARIANCE**0.5)])
        np.testing.assert_allclose(result[row].numpy(), expected, atol=1e-6)


def test_statistics_by_hand_and_without_frames_left_out():
    sequence = torch.tensor([[[1.0], [3.0], [100.0]]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    keep = torch.tensor([[True, True, False]])
    assert statistics(sequence, mask, keep).tolist() == [[2.0, 1.0]]
    nothing = statistics(sequence, mask, torch.zeros(1, 3, dtype=torch.bool))
    assert nothing.isfinite().all()


@pytest.mark.parametrize(
    ("vowels", "shares"),
    [
        ([0.999, 0.0, 0.5], [1.0 / 1.001, 0.001 / 1.001, 0.0]),
        ([0.0, 0.0, 1.0], [0.5, 0.5, 0.0]),
        (None, [0.5, 0.5, 0.0]),
    ],
)
def test_vowels_weigh_the_valid_frames_by_hand(
    vowels: list[float] | None, shares: list[float]
) -> None:
    """A frame that is no vowel keeps a thousandth; padding has nothing, even if it is NaN."""
    pooling = VowelStatistics(1, 1, 1, 0.0)
    sequence = torch.tensor([[[2.0], [6.0], [NAN]]])
    mask = torch.tensor([[True, True, False]])
    pooled = pooling(sequence, mask, vowels=None if vowels is None else torch.tensor([vowels]))
    mean = 2 * shares[0] + 6 * shares[1]
    deviation = math.sqrt(shares[0] * (2 - mean) ** 2 + shares[1] * (6 - mean) ** 2)
    assert pooling.features == 2
    torch.testing.assert_close(pooled.vector, torch.tensor([[mean, deviation]]))
    torch.testing.assert_close(pooled.weights, torch.tensor([shares]))
    kept = pooling(sequence, mask, keep=torch.tensor([[False, True, True]]))
    torch.testing.assert_close(kept.weights, torch.tensor([[0.0, 1.0, 0.0]]))
