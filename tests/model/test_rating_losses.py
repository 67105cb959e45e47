"""Losses of rated dimensions and of votes, with their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonemo.evaluation.ratings.concordance import ccc, moments_of
from phonemo.model.heads import DIMENSION_HEADS
from phonemo.model.losses import ABSENT, combine, emotion_loss, gradient_share
from phonemo.model.rating_losses import ccc_term, mse_term, vote_loss

NAN = float("nan")
DRAW = torch.Generator().manual_seed(3)
PREDICTED = torch.rand(7, 3, generator=DRAW)
TRUTH = torch.rand(7, 3, generator=DRAW)
TRUTH[1, 0] = TRUTH[2] = NAN


def ccc_loss(predicted, targets):
    term = ccc_term(predicted, targets)
    return term.of_sums(term.moments)


def test_the_loss_is_one_minus_the_metric():
    term = ccc_loss(PREDICTED, TRUTH)
    agreement = ccc(moments_of(PREDICTED.numpy(), TRUTH.numpy()).sum(axis=0))
    assert term.value.item() == pytest.approx(1 - agreement.mean(), abs=1e-6)
    assert term.counts == {"dimensions": 17, "dimensions_absent": 4}


def test_perfect_predictions_cost_nothing_and_can_be_trained_on():
    predicted = TRUTH[[0, 3, 4, 5]].clone().requires_grad_()
    term = ccc_term(predicted, predicted.detach())
    value = term.of_sums(term.moments, processes=2).value
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    value.backward()
    assert predicted.grad.isfinite().all()


def test_a_hand_computed_concordance():
    predicted, truth = torch.tensor([[0.2], [0.4], [0.6]]), torch.tensor([[0.1], [0.5], [0.9]])
    # means .4 and .5, variances .08/3 and .32/3, covariance .16/3
    expected = 2 * (0.16 / 3) / (0.08 / 3 + 0.32 / 3 + 0.01)
    assert ccc_loss(predicted, truth).value.item() == pytest.approx(1 - expected)


@pytest.mark.parametrize(
    "targets",
    [
        torch.full((4, 1), 0.5),
        torch.tensor([[NAN], [NAN], [0.3], [NAN]]),
        torch.full((4, 1), NAN),
    ],
    ids=["constant", "one value", "no value"],
)
def test_an_undefined_concordance_is_absent_and_has_zero_gradients(targets):
    predicted = torch.rand(4, 1, generator=DRAW).requires_grad_()
    loss = combine({"dimensions": (ccc_loss(predicted, targets), 1.0)})
    loss.total.backward()
    assert dict(loss.parts) == {}
    assert not predicted.grad.any()


def test_a_constant_dimension_does_not_spoil_the_others():
    targets = torch.cat([TRUTH[:, 1:2], torch.full((7, 1), 0.4)], dim=1)
    predicted = PREDICTED[:, :2].clone().requires_grad_()
    loss = ccc_loss(predicted, targets)
    loss.value.backward()
    assert loss.value.item() == pytest.approx(ccc_loss(PREDICTED[:, :1], targets[:, :1]).value)
    assert torch.isfinite(predicted.grad).all()
    assert predicted.grad[0, 0] != 0
    assert not predicted.grad[:, 1].any()


def test_equal_predictions_have_finite_gradients():
    predicted = torch.full((5, 1), 0.5, requires_grad=True)
    ccc_loss(predicted, torch.linspace(0.1, 0.9, 5)[:, None]).value.backward()
    assert torch.isfinite(predicted.grad).all()
    assert predicted.grad.any()


@pytest.mark.parametrize("parts", [[[0, 1, 2], [3, 4, 5, 6]], [[2], [0, 1], [3, 4, 5, 6]]])
@pytest.mark.parametrize("kind", [ccc_term, mse_term])
def test_processes_together_have_the_loss_and_the_gradient_of_one(parts, kind):
    """Also where a process has a single utterance, or none with a rating."""

    def term_of(given, total=None):
        if hasattr(given, "moments"):
            return given.of_sums(given.moments if total is None else total, len(parts))
        return given

    whole = PREDICTED.clone().requires_grad_()
    one = kind(whole, TRUTH)
    alone = combine({"dimensions": (one.of_sums(one.moments) if kind is ccc_term else one, 0.5)})
    alone.total.backward()
    shared = PREDICTED.clone().requires_grad_()
    given = [kind(shared[rows], TRUTH[rows]) for rows in parts]
    total = sum(item.moments.detach() for item in given) if kind is ccc_term else None
    terms = [{"dimensions": (term_of(item, total), 0.5)} for item in given]
    sums = []
    for item in terms:
        gradient_share(item, lambda values: sums.append(values) or values)
    results = [gradient_share(item, lambda _: torch.stack(sums).sum(0)) for item in terms]
    torch.stack([result.total for result in results]).sum().backward()
    torch.testing.assert_close(shared.grad, whole.grad)
    for result in results:
        torch.testing.assert_close(result.value, alone.value, check_dtype=False)
        assert result.counts == alone.counts


def test_squared_errors_are_averaged_over_known_values():
    term = mse_term(torch.tensor([[0.5, 0.2]]), torch.tensor([[0.1, NAN]]))
    assert term.value.item() == pytest.approx(0.16)
    assert int(term.size) == 1


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0])])
def test_one_vote_each_is_the_cross_entropy_of_labels(weights):
    logits = torch.randn(4, 3, generator=DRAW)
    labels = torch.tensor([0, 2, ABSENT, 1])
    votes = torch.zeros(4, 3)
    votes[[0, 1, 3], [0, 2, 1]] = 1.0
    expected = emotion_loss(logits, labels, weights)
    term = vote_loss(logits, votes, weights)
    assert term.value.item() == pytest.approx(expected.value.item(), abs=1e-6)
    assert term.counts == expected.counts


def test_smoothed_votes_are_smoothed_labels_and_utterances_without_votes_are_counted():
    logits = torch.randn(7, 3, generator=DRAW)
    labels = torch.tensor([0, 2, ABSENT, ABSENT, 1, ABSENT, ABSENT])
    votes = torch.zeros(7, 3)
    votes[[0, 1, 4], [0, 2, 1]] = 1.0
    expected = emotion_loss(logits, labels, None, 0.2)
    term = vote_loss(logits, votes, None, 0.2)
    assert term.value.item() == pytest.approx(expected.value.item(), abs=1e-6)
    assert term.counts == expected.counts == {"emotion": 3, "emotion_absent": 4}


def test_split_votes_are_a_soft_target():
    logits = torch.tensor([[1.0, 0.0]])
    term = vote_loss(logits, torch.tensor([[0.5, 0.5]]))
    likelihood = logits.log_softmax(dim=1)
    assert term.value.item() == pytest.approx(-likelihood.mean().item())


def test_a_dimension_that_nobody_rated_does_not_spoil_the_others():
    targets = torch.cat([TRUTH[:, 1:2], torch.full((7, 1), NAN)], dim=1)
    predicted = PREDICTED[:, :2].clone().requires_grad_()
    loss = ccc_loss(predicted, targets)
    loss.value.backward()
    alone = ccc_loss(PREDICTED[:, :1], TRUTH[:, 1:2])
    assert loss.value.item() == pytest.approx(alone.value.item())
    assert torch.isfinite(predicted.grad).all()
    assert not predicted.grad[:, 1].any()


def test_a_linear_head_begins_in_the_middle_and_is_limited_in_evaluation_only():
    head = DIMENSION_HEADS["linear"](5, 3, 0.0)
    with torch.no_grad():
        torch.testing.assert_close(head(torch.zeros(1, 5)), torch.full((1, 3), 0.5))
        head.linear.bias.copy_(torch.tensor([-0.4, 0.4, 1.4]))
        assert head(torch.zeros(1, 5))[0].tolist() == pytest.approx([-0.4, 0.4, 1.4])
        assert head.eval()(torch.zeros(1, 5))[0].tolist() == pytest.approx([0.0, 0.4, 1.0])


@pytest.mark.parametrize("kind", sorted(DIMENSION_HEADS))
def test_heads_give_values_from_0_to_1(kind):
    head = DIMENSION_HEADS[kind](5, 3, 0.1).eval()
    values = head(100 * torch.randn(8, 5, generator=DRAW))
    assert values.shape == (8, 3)
    assert np.all((values.detach().numpy() >= 0) & (values.detach().numpy() <= 1))
