"""Which hidden states a stream reads, and how they are mixed."""

from __future__ import annotations

import math

import pytest
import torch

from phonemo.model.layer_mix import ACOUSTIC, SEMANTIC, LayerMix, LayerSelector


def test_numbers_by_hand():
    """Twelve layers, as in a base model, and the smallest depths there can be."""
    assert ACOUSTIC["lower_mix"](12) == (0, 1, 2, 3, 4)
    assert SEMANTIC["upper_mix"](12) == (7, 8, 9, 10, 11, 12)
    assert SEMANTIC["all_mix"](12) == tuple(range(13))
    assert SEMANTIC["last"](12) == (12,)
    assert ACOUSTIC["cnn"](12) == ()
    assert ACOUSTIC["lower_mix"](1) == ACOUSTIC["lower_mix"](3) == (0, 1)
    assert SEMANTIC["upper_mix"](1) == (1,)
    assert SEMANTIC["upper_mix"](3) == (2, 3)


@pytest.mark.parametrize("name", [*ACOUSTIC, *SEMANTIC])
def test_numbers_exist_at_every_depth(name):
    for depth in range(1, 25):
        numbers = (ACOUSTIC | SEMANTIC)[name](depth)
        assert sorted(set(numbers)) == list(numbers)
        assert set(numbers) <= set(range(depth + 1))
        assert (depth in numbers) == (name in SEMANTIC or (name == "lower_mix" and depth == 1))


def test_a_mix_by_hand():
    """Norms make (1, -1) of (3, 1) and (-1, 1) of (0, 10); shares 1/4 and 3/4 give (-1/2, 1/2)."""
    mix = LayerMix(2)
    mix.weights.data = torch.tensor([0.0, math.log(3)])
    mixed = mix([torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[0.0, 10.0]]])])
    torch.testing.assert_close(mixed, torch.tensor([[[-0.5, 0.5]]]), atol=1e-4, rtol=0)


def test_a_mix_starts_equal_and_learns_its_weights():
    """Two layers of opposite sign cancel at first; the gradient favors the right one."""
    mix, state = LayerMix(2), torch.tensor([[[1.0, -1.0]]])
    mixed = mix([state, -state])
    torch.testing.assert_close(mixed, torch.zeros_like(state))
    mixed[0, 0, 0].backward()
    assert mix.weights.grad[0] > 0 > mix.weights.grad[1]


def test_a_mix_is_independent_of_layer_scale():
    torch.manual_seed(0)
    mix, first, second = LayerMix(2), torch.randn(1, 3, 8), torch.randn(1, 3, 8)
    torch.testing.assert_close(mix([first, second]), mix([first, 1000 * second]), atol=1e-3, rtol=0)


def test_a_mix_requires_a_state_for_each_weight():
    with pytest.raises(ValueError, match="zip"):
        LayerMix(2)([torch.zeros(1, 1, 2)])


def test_a_stream_of_one_state_is_that_state():
    state = torch.randn(1, 2, 4)
    stream = LayerSelector((3,))
    assert stream({1: torch.zeros(1, 2, 4), 3: state}) is state
    assert list(stream.parameters()) == []


def test_a_stream_of_several_mixes_its_own_alone():
    torch.manual_seed(0)
    states = {number: torch.randn(1, 2, 4) for number in range(4)}
    stream = LayerSelector((1, 3))
    torch.testing.assert_close(stream(states), stream.mix([states[1], states[3]]))
    poisoned = states | {0: torch.full((1, 2, 4), float("nan"))}
    assert stream(poisoned).isfinite().all()
