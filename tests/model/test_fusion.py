"""Every fusion keeps one contract; each one's arithmetic by hand."""

from __future__ import annotations

import typing

import pytest
import torch
from torch import Tensor, nn

from phonemo.config import ModelConfig
from phonemo.model.fusion import FUSIONS, CrossAttention, Fusion
from phonemo.model.masks import mask_of

ACOUSTIC, SEMANTIC, WIDTH = 6, 10, 8
LENGTHS = (9, 5, 1)

every_fusion = pytest.mark.parametrize("name", sorted(FUSIONS))


def make(name: str, dropout: float = 0.3) -> Fusion:
    torch.manual_seed(3)
    fusion = FUSIONS[name](ACOUSTIC, SEMANTIC, WIDTH, 2, dropout)
    for parameter in fusion.parameters():  # norms away from 1 and 0, where faults can hide
        nn.init.normal_(parameter, std=0.5)
    return fusion.eval()


def make_batch(padding: float) -> tuple[Tensor, Tensor, Tensor]:
    """Streams of very different scale and mixed lengths, padded with a value."""
    torch.manual_seed(4)
    mask = mask_of(torch.tensor(LENGTHS), max(LENGTHS))
    acoustic = 100 * torch.randn(len(LENGTHS), max(LENGTHS), ACOUSTIC) + 30
    semantic = torch.randn(len(LENGTHS), max(LENGTHS), SEMANTIC)
    gap = ~mask[:, :, None]
    return acoustic.masked_fill(gap, padding), semantic.masked_fill(gap, padding), mask


def gradients(fusion: Fusion, batches: list[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
    """Parameter gradients summed over batches, of a loss that reads valid frames alone."""
    fusion.zero_grad()
    readout = torch.linspace(-1, 1, WIDTH)
    for acoustic, semantic, mask in batches:
        (fusion(acoustic, semantic, mask)[mask] @ readout).square().sum().backward()
    grads = [parameter.grad for parameter in fusion.parameters()]
    assert all(grad is not None for grad in grads)
    return [grad.clone() for grad in grads if grad is not None]


def singles(padding: float) -> list[tuple[Tensor, Tensor, Tensor]]:
    acoustic, semantic, mask = make_batch(padding)
    return [
        (acoustic[[row], :length], semantic[[row], :length], mask[[row], :length])
        for row, length in enumerate(LENGTHS)
    ]


def test_names_are_those_of_the_config() -> None:
    field = ModelConfig.model_fields["fusion"]
    assert set(FUSIONS) == set(typing.get_args(field.annotation))
    assert field.default in FUSIONS


@every_fusion
def test_shape_and_padding_of_the_result(name: str) -> None:
    acoustic, semantic, mask = make_batch(float("nan"))
    fused = make(name)(acoustic, semantic, mask)
    assert fused.shape == (len(LENGTHS), max(LENGTHS), WIDTH)
    assert torch.equal(fused[~mask], torch.zeros_like(fused[~mask]))
    assert (fused[mask] != 0).any(dim=1).all()


@every_fusion
def test_padding_has_no_effect_at_all(name: str) -> None:
    fusion = make(name)
    results = [fusion(*make_batch(padding)) for padding in (0.0, float("nan"), float("inf"))]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@every_fusion
def test_batch_equals_single(name: str) -> None:
    fusion = make(name)
    batch = fusion(*make_batch(float("nan")))
    for row, single in enumerate(singles(float("nan"))):
        expected = fusion(*single)[0]
        torch.testing.assert_close(batch[row, : LENGTHS[row]], expected, atol=1e-5, rtol=0)


@every_fusion
def test_gradient_of_a_poisoned_batch_is_that_of_its_utterances(name: str) -> None:
    fusion = make(name)
    batch = gradients(fusion, [make_batch(float("nan"))])
    for result, expected in zip(batch, gradients(fusion, singles(0.0)), strict=True):
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


@every_fusion
def test_gradient_reaches_every_parameter(name: str) -> None:
    fusion = make(name)
    result = gradients(fusion, [make_batch(float("nan"))])
    for (parameter, _), gradient in zip(fusion.named_parameters(), result, strict=True):
        assert gradient.isfinite().all(), parameter
        assert gradient.abs().max() > 1e-5, parameter


@every_fusion
def test_gradient_to_the_streams_is_finite_and_none_on_padding(name: str) -> None:
    acoustic, semantic, mask = make_batch(float("nan"))
    streams = {"acoustic": acoustic.requires_grad_(), "semantic": semantic.requires_grad_()}
    fusion = make(name)
    fusion(acoustic, semantic, mask)[mask].square().sum().backward()
    for stream in fusion.needs:
        gradient = streams[stream].grad
        assert gradient is not None
        assert gradient[mask].isfinite().all()
        assert gradient[mask].any()
        assert not gradient[~mask].any()


@every_fusion
def test_eval_is_deterministic_and_training_drops_out(name: str) -> None:
    fusion, batch = make(name), make_batch(0.0)
    assert torch.equal(fusion(*batch), fusion(*batch))
    fusion.train()
    assert not torch.equal(fusion(*batch), fusion(*batch))


@every_fusion
def test_only_required_streams_are_used(name: str) -> None:
    fusion = make(name)
    acoustic, semantic, mask = make_batch(0.0)
    result = fusion(acoustic, semantic, mask)
    changed = {
        "acoustic": fusion(acoustic.flip(2), semantic, mask),
        "semantic": fusion(acoustic, semantic.flip(2), mask),
    }
    for stream, other in changed.items():
        assert torch.equal(result, other) == (stream not in fusion.needs)
    if fusion.needs == {"acoustic"}:
        assert torch.equal(result, fusion(acoustic, None, mask))
    if fusion.needs == {"semantic"}:
        assert torch.equal(result, fusion(None, semantic, mask))


@every_fusion
def test_scale_and_offset_of_a_stream_do_not_matter(name: str) -> None:
    fusion = make(name)
    acoustic, semantic, mask = make_batch(0.0)
    louder = fusion(7 * acoustic - 20, 3 * semantic + 5, mask)
    torch.testing.assert_close(fusion(acoustic, semantic, mask), louder, atol=1e-3, rtol=1e-3)


@every_fusion
def test_it_is_small_enough_for_two_cores(name: str) -> None:
    fusion = FUSIONS[name](512, 512, 128, 4, 0.2)
    assert sum(parameter.numel() for parameter in fusion.parameters()) < 500_000


@every_fusion
def test_an_utterance_without_frames_is_finite(name: str) -> None:
    acoustic, semantic, mask = make_batch(float("nan"))
    fused = make(name)(acoustic, semantic, torch.zeros_like(mask))
    assert torch.equal(fused, torch.zeros_like(fused))


def entered(fusion: Fusion) -> tuple[Tensor, Tensor, Tensor]:
    """What the streams are after their entrances, and the mask."""
    acoustic, semantic, mask = make_batch(0.0)
    return fusion.acoustic(acoustic, mask), fusion.semantic(semantic, mask), mask


@pytest.mark.parametrize("name", ["gate", "frame_attention"])
def test_indifferent_scores_take_half_of_each_stream(name: str) -> None:
    fusion = make(name)
    scorer = fusion.gate if name == "gate" else fusion.score[2]
    for parameter in scorer.parameters():
        nn.init.zeros_(parameter)
    acoustic, semantic, mask = entered(fusion)
    expected = fusion.norm((acoustic + semantic) / 2)
    torch.testing.assert_close(fusion(*make_batch(0.0))[mask], expected[mask])


def test_the_gate_acts_on_each_feature_separately() -> None:
    """A bias of +50 takes the acoustic, of -50 the semantic value of a feature."""
    fusion = make("gate")
    nn.init.zeros_(fusion.gate.weight)
    opening = torch.tensor([True, False] * (WIDTH // 2))
    fusion.gate.bias.data = torch.where(opening, 50.0, -50.0)
    acoustic, semantic, mask = entered(fusion)
    expected = fusion.norm(torch.where(opening, acoustic, semantic))
    torch.testing.assert_close(fusion(*make_batch(0.0))[mask], expected[mask])


def test_frame_attention_by_hand() -> None:
    """W = 1, v = 1 on the first feature: the weight is sigmoid(tanh(a) - tanh(s))."""
    fusion = make("frame_attention")
    nn.init.eye_(fusion.score[0].weight)
    nn.init.zeros_(fusion.score[0].bias)
    fusion.score[2].weight.data = torch.eye(WIDTH)[:1]
    acoustic, semantic, mask = entered(fusion)
    share = (acoustic[:, :, :1].tanh() - semantic[:, :, :1].tanh()).sigmoid()
    expected = fusion.norm(share * acoustic + (1 - share) * semantic)
    torch.testing.assert_close(fusion(*make_batch(0.0))[mask], expected[mask])


@pytest.mark.parametrize("reader", ["acoustic", "semantic"])
def test_cross_attention_reads_the_other_stream_and_other_frames(reader: str) -> None:
    """With one direction only, a distant frame of the other stream alone has an effect."""
    fusion = make("cross_attention")
    assert isinstance(fusion, CrossAttention)
    silent = fusion.semantic_reads if reader == "acoustic" else fusion.acoustic_reads
    nn.init.zeros_(silent.output.weight)
    half = slice(WIDTH, None) if reader == "acoustic" else slice(0, WIDTH)
    fusion.project.weight.data[:, half] = 0  # the other half alone remains
    acoustic, semantic, mask = make_batch(0.0)
    streams = {"acoustic": acoustic, "semantic": semantic}
    before = fusion(**streams, mask=mask)[0, 0]
    for name, stream in streams.items():
        changed = stream.clone()
        changed[0, 8] = stream[0, 8].flip(0)
        after = fusion(**(streams | {name: changed}), mask=mask)[0, 0]
        assert torch.allclose(before, after) == (name == reader)
