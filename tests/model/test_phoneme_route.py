"""Where the phonemes enter: each arm trains the layers that it says, and feeds what it says."""

from __future__ import annotations

import pytest
import torch

from phonemo.errors import ModelError
from phonemo.model.phoneme_route import with_vowels
from phonemo.model.pooling import VowelStatistics
from tests.model.test_network import SYMBOLS, _batch, _config, _model

#: Setting -> the parts that the phonemes alone train.
ARMS = {
    "all": ({}, {"fusion", "backbone"}),
    "fusion": ({"gradient": "fusion"}, {"fusion"}),
    "none": ({"gradient": "none"}, set()),
    "layer": ({"layer": 2}, {"backbone"}),
    "layer, stopped": ({"layer": 2, "gradient": "none"}, set()),
}


def make(**auxiliary):
    given = {"task": "phonemes", "symbols": SYMBOLS} | auxiliary
    model = _model(auxiliary=True)
    config = _config(auxiliary=True)
    config.auxiliary = given
    rebuilt = type(model)(config).eval()
    own = rebuilt.state_dict()
    known = {k: v for k, v in model.state_dict().items() if own.get(k, v[:0]).shape == v.shape}
    rebuilt.load_state_dict(known, strict=False)
    return rebuilt


def trained_parts(model, loss) -> set[str]:
    model.zero_grad()
    loss.backward()
    parts = {"fusion": model.fusion, "backbone": model.backbone}
    return {
        name
        for name, part in parts.items()
        if any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())
    }


@pytest.mark.parametrize("arm", ARMS)
def test_the_phonemes_train_the_layers_that_the_arm_names(arm):
    auxiliary, expected = ARMS[arm]
    model = make(**auxiliary)
    output = model(*_batch())
    assert trained_parts(model, output.phoneme_logits.square().mean()) == expected
    assert model.auxiliary.output.weight.grad.abs().max() > 0


@pytest.mark.parametrize("arm", ARMS)
def test_the_emotion_trains_every_layer_in_every_arm(arm):
    model = make(**ARMS[arm][0])
    assert trained_parts(model, model(*_batch()).logits.square().mean()) == {"fusion", "backbone"}


@pytest.mark.parametrize("arm", ["all", "fusion", "none"])
def test_a_stopped_gradient_changes_no_output(arm):
    with torch.no_grad():
        plain, stopped = make()(*_batch()), make(**ARMS[arm][0])(*_batch())
    torch.testing.assert_close(plain.logits, stopped.logits)
    torch.testing.assert_close(plain.phoneme_logits, stopped.phoneme_logits)


def test_posteriors_in_the_fusion_are_an_input_that_does_not_train_their_head():
    model = make(layer=2, posteriors="fusion")
    waves, mask = _batch()
    before = model(waves, mask)
    before.logits.square().mean().backward()
    assert model.auxiliary.output.weight.grad is None
    with torch.no_grad():
        model.auxiliary.output.bias += torch.arange(len(SYMBOLS)).float()
        after = model(waves, mask)
    assert not torch.allclose(before.logits, after.logits)


def test_posteriors_in_the_pooling_weigh_the_vowels():
    model = make(posteriors="pooling", vowels=[1])
    assert isinstance(model.pooling, VowelStatistics)
    waves, mask = _batch()
    with torch.no_grad():
        output = model(waves, mask)
        weights = output.frame_weights[0, : output.frames[0]]
        vowels = output.phoneme_logits.softmax(dim=2)[0, : output.frames[0], 1] + 1e-3
    torch.testing.assert_close(weights, vowels / vowels.sum())
    assert output.features.shape[2] == model.frame_features


@pytest.mark.parametrize(
    "auxiliary",
    [{"layer": 1}, {"layer": 2, "posteriors": "fusion"}, {"posteriors": "pooling", "vowels": [1]}],
)
def test_an_arm_gives_each_clip_the_scores_that_it_has_alone(auxiliary):
    model = make(**auxiliary)
    waves, mask = _batch()
    with torch.no_grad():
        together = model(waves.masked_fill(mask == 0, float("nan")), mask)
        for row, length in enumerate(mask.sum(dim=1).tolist()):
            alone = model(waves[[row], :length])
            torch.testing.assert_close(together.logits[[row]], alone.logits, atol=1e-4, rtol=1e-4)
        lower = model.forward_frozen(waves, mask.sum(dim=1), 1)
        torch.testing.assert_close(model(frozen=lower).logits, model(waves, mask).logits)


@pytest.mark.parametrize(
    ("auxiliary", "message"),
    [
        ({"layer": 9}, r"expected auxiliary\.layer from 0 to 3, got 9"),
        ({"posteriors": "fusion"}, "expected auxiliary.layer"),
        ({"posteriors": "pooling"}, "expected an inventory with vowels"),
        ({"layer": 1, "gradient": "fusion"}, "expected no auxiliary.layer"),
    ],
)
def test_impossible_combinations_are_refused(auxiliary, message):
    with pytest.raises(ModelError, match=message):
        make(**auxiliary)


@pytest.mark.parametrize("speech", [True, False])
def test_vowels_come_before_speech_and_after_all_else(speech):
    logits = torch.tensor([[[0.0, 2.0, 1.0]]])
    mask, kept, last = torch.zeros(1), torch.ones(1), torch.full((1,), 2.0)
    probability = logits.softmax(dim=2)[:, :, [1, 2]].sum(dim=2, keepdim=True)
    found = with_vowels([mask, kept, last], logits, (1, 2), speech)
    expected = [mask, kept, probability, last] if speech else [mask, kept, last, probability]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_vowels_without_any_are_pooled_evenly():
    pooling = VowelStatistics(4, 1, 1, 0.0)
    sequence, mask = torch.randn(2, 6, 4), torch.ones(2, 6, dtype=torch.bool)
    even = pooling(sequence, mask, None, torch.zeros(2, 6)).vector
    torch.testing.assert_close(even, pooling(sequence, mask).vector)
    torch.testing.assert_close(even[:, :4], sequence.mean(dim=1))
