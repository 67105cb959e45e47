"""Heads: shapes, dropout, and greedy decoding by hand."""

from __future__ import annotations

import typing

import numpy as np
import pytest
import torch

from phonemo.config import AuxiliaryConfig, ModelConfig
from phonemo.evaluation.calibration import flattened
from phonemo.model.heads import (
    AUXILIARIES,
    BLANK_SHARE,
    HEADS,
    EmotionHead,
    LinearDimensionHead,
    LinearHead,
    PhonemeHead,
    best_path,
)
from phonemo.model.masks import mask_of

NAN = float("nan")


def one_hot(rows: list[list[int]], symbols: int) -> torch.Tensor:
    """Logits (batch, frame, phoneme) that prefer the given symbols."""
    return 5 * torch.nn.functional.one_hot(torch.tensor(rows), symbols).float()


def test_names_are_those_of_the_config() -> None:
    task = AuxiliaryConfig.model_fields["task"]
    assert task.default in AUXILIARIES
    assert set(AUXILIARIES) == set(typing.get_args(task.annotation))


def test_emotion_head_shape_and_dropout() -> None:
    torch.manual_seed(0)
    head, vector = EmotionHead(6, 4, 0.5), torch.randn(3, 6)
    assert head(vector).shape == (3, 4)
    assert not torch.equal(head(vector), head(vector))
    head.eval()
    assert torch.equal(head(vector), head(vector))


def test_emotion_head_is_not_linear() -> None:
    torch.manual_seed(0)
    head, vector = EmotionHead(6, 4, 0.0), torch.randn(1, 6)
    zero = head(torch.zeros(1, 6))
    assert not torch.allclose(head(2 * vector) - zero, 2 * (head(vector) - zero), atol=1e-3)


def test_emotion_head_learns_everywhere() -> None:
    torch.manual_seed(0)
    head = EmotionHead(6, 4, 0.0)
    head(torch.randn(5, 6)).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_a_new_dimension_head_gives_about_the_middle() -> None:
    torch.manual_seed(0)
    head, vector = LinearDimensionHead(64, 3, 0.0).eval(), torch.randn(500, 64)
    assert (head(vector) - 0.5).abs().max() < 0.25
    assert head(torch.zeros(1, 64)).tolist() == [[0.5, 0.5, 0.5]]


def test_dimensions_are_limited_to_their_scale_outside_of_training() -> None:
    head = LinearDimensionHead(2, 3, 0.0)
    with torch.no_grad():
        head.linear.bias.copy_(torch.tensor([-2.0, 0.75, 3.0]))
    given = torch.zeros(1, 2)
    assert head(given).tolist() == [[-2.0, 0.75, 3.0]]
    assert head.eval()(given).tolist() == [[0.0, 0.75, 1.0]]


def test_a_head_without_emotions_says_so_and_gives_nothing() -> None:
    for head in (EmotionHead(6, 0, 0.0), LinearHead(6, 0, 0.0)):
        last = [layer for layer in head.modules() if isinstance(layer, torch.nn.Linear)][-1]
        assert last.out_features == 0
        assert head(torch.randn(3, 6)).shape == (3, 0)


def test_the_hidden_layer_has_128_units_by_default() -> None:
    sizes = [parameter.shape[0] for parameter in EmotionHead(6, 4, 0.0).parameters()]
    assert sizes == [128, 128, 4, 4]


def test_phoneme_head_shape_and_dropout() -> None:
    torch.manual_seed(0)
    head, sequence = PhonemeHead(6, 11, 0.5), torch.randn(2, 7, 6)
    assert head(sequence).shape == (2, 7, 11)
    assert not torch.equal(head(sequence), head(sequence))


def test_phoneme_head_is_exact_under_poisoned_padding() -> None:
    torch.manual_seed(0)
    head, mask = PhonemeHead(6, 11, 0.0), mask_of(torch.tensor([7, 3]), 7)
    sequence = torch.randn(2, 7, 6).masked_fill(~mask[:, :, None], NAN).requires_grad_()
    logits = head(sequence, mask)
    torch.testing.assert_close(logits[1, :3], head(sequence[1:, :3])[0])
    logits[mask].square().sum().backward()
    assert logits.isfinite().all()
    assert sequence.grad is not None
    assert sequence.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_best_path_by_hand() -> None:
    """Repeats merge, blanks go, a blank between equal symbols keeps both."""
    logits = one_hot([[0, 1, 1, 0, 1, 2, 2], [2, 2, 2, 2, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]], 3)
    assert best_path(logits, torch.tensor([7, 7, 7])) == [[1, 1, 2], [2, 1], []]


def test_best_path_reads_valid_frames_only() -> None:
    logits = one_hot([[1, 2, 1], [1, 2, 1]], 3)
    logits[1, 1:] = NAN
    assert best_path(logits, torch.tensor([3, 1])) == [[1, 2, 1], [1]]
    assert best_path(logits, torch.tensor([2, 0])) == [[1, 2], []]


def test_names_of_emotion_heads_are_those_of_the_config() -> None:
    assert set(HEADS) == set(typing.get_args(ModelConfig.model_fields["head"].annotation))


@pytest.mark.parametrize("name", HEADS)
def test_a_network_without_emotions_has_a_head_without_outputs(name: str) -> None:
    head = HEADS[name](4, 0, 0.1)
    assert head(torch.ones(2, 4)).shape == (2, 0)


def test_linear_head_by_hand() -> None:
    head = LinearHead(2, 2, 0.0)
    standardise, _, linear = head.layers
    with torch.no_grad():
        standardise.centre.copy_(torch.tensor([1.0, 2.0]))
        standardise.spread.copy_(torch.tensor([2.0, 4.0]))
        linear.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        linear.bias.copy_(torch.tensor([0.5, 0.0]))
    assert head(torch.tensor([[3.0, 10.0]])).tolist() == [[1.5, 3.0]]


@pytest.mark.parametrize("radius", [None, 0.3, 1.0, 3.0])
def test_a_linear_head_with_a_radius_is_that_of_the_evaluation(radius: float | None) -> None:
    torch.manual_seed(0)
    head, vector = LinearHead(6, 4, 0.0).eval(), 2 * torch.randn(5, 6)
    head.radius = radius
    logits = vector @ head.linear.weight.T + head.linear.bias
    expected = flattened(logits.detach(), vector, np.inf if radius is None else radius)
    np.testing.assert_allclose(head(vector).detach(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("symbols", [2, 40])
def test_a_new_phoneme_head_gives_the_blank_its_share(symbols: int) -> None:
    """Of zeros, which the weights do not change."""
    logits = PhonemeHead(6, symbols, 0.0)(torch.zeros(1, 1, 6))
    shares = logits.detach().softmax(dim=-1)[0, 0]
    assert float(shares[0]) == pytest.approx(BLANK_SHARE)
    assert shares[1:].tolist() == pytest.approx([(1 - BLANK_SHARE) / (symbols - 1)] * (symbols - 1))
