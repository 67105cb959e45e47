"""Padding must change nothing, and our loop must give what transformers gives."""

from __future__ import annotations

import pytest
import torch

from phonemo.model.backbone import BACKBONES, Backbone
from phonemo.model.masks import fewest_samples, frames_of, lengths_of, mask_of
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from tests.tiny_nets import KINDS, make_network

LENGTHS = (1600, 700, 431, 90, 3)

# transformers hands WavLM's attention a boolean padding mask beside a float bias
pytestmark = pytest.mark.filterwarnings(
    "ignore:Support for mismatched key_padding_mask and attn_mask:UserWarning"
)


def _clips() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, generator=generator) * 0.3 + 0.1 for length in LENGTHS]


def _poisoned(clips: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.full((len(clips), int(lengths.max())), float("nan"))
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return batch, lengths


def _states(backbone: Backbone, waveform: torch.Tensor, samples: torch.Tensor):
    frames = backbone.frames(samples)
    cnn = backbone.convolve(waveform, samples)
    mask = mask_of(frames, cnn.shape[1])
    hidden = backbone.embed(backbone.project(cnn), mask)
    states = backbone.run(hidden, mask, 0, range(backbone.depth + 1))
    return frames, backbone.acoustic(cnn), states


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_batch_equals_single_with_poisoned_padding(kind: str, normalise: bool) -> None:
    backbone = Backbone(make_network(kind), normalise).eval()
    clips = _clips()
    with torch.no_grad():
        frames, acoustic, states = _states(backbone, *_poisoned(clips))
        for row, clip in enumerate(clips):
            alone = _states(backbone, clip[None], torch.tensor([len(clip)]))
            size = int(frames[row])
            assert int(alone[0][0]) == size
            torch.testing.assert_close(acoustic[row, :size], alone[1][0], atol=1e-4, rtol=0)
            for number, state in states.items():
                torch.testing.assert_close(
                    state[row, :size], alone[2][number][0], atol=1e-4, rtol=0
                )


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_transformers_without_padding(kind: str) -> None:
    network = make_network(kind)
    backbone = Backbone(network, normalise=False).eval()
    clip = _clips()[0][None]
    with torch.no_grad():
        theirs = network(clip, output_hidden_states=True)
        _, _, states = _states(backbone, clip, torch.tensor([clip.shape[1]]))
    # logarithms of energies near nothing differ by the order in which the sums were made
    near = {"atol": 1e-5, "rtol": 1e-4 if kind == "log-mel" else 0}
    torch.testing.assert_close(states[backbone.depth], theirs.last_hidden_state, **near)
    for number in range(backbone.depth):
        torch.testing.assert_close(states[number], theirs.hidden_states[number], **near)


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_from_a_layer_equals_a_full_pass(kind: str) -> None:
    backbone = Backbone(make_network(kind), normalise=True).eval()
    waveform, samples = _poisoned(_clips())
    with torch.no_grad():
        frames, _, states = _states(backbone, waveform, samples)
        mask = mask_of(frames, states[0].shape[1])
        resumed = backbone.run(states[1], mask, 1, [backbone.depth])[backbone.depth]
    torch.testing.assert_close(resumed[mask], states[backbone.depth][mask], atol=1e-6, rtol=0)


def test_every_kind_is_covered() -> None:
    assert {model_type for model_type, _ in KINDS.values()} == set(BACKBONES)


def test_frames_by_hand() -> None:
    # 400 samples, kernel 10 stride 5: 79; kernel 3 stride 2: 39; kernel 2 stride 2: 19
    assert frames_of(400, (10, 3, 2), (5, 2, 2)) == 19
    assert frames_of(torch.tensor([400, 405]), (10,), (5,)).tolist() == [79, 80]


def test_fewest_samples_is_the_edge() -> None:
    kernels, strides = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
    assert fewest_samples(kernels, strides) == 400
    assert frames_of(400, kernels, strides) == 1
    assert frames_of(399, kernels, strides) == 0


def test_masks_and_lengths() -> None:
    mask = mask_of(torch.tensor([2, 0, 3]), 3)
    assert mask.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert lengths_of(mask.long()).tolist() == [2, 0, 3]


def _config(kind: str, **settings: object) -> PhonemoConfig:
    network = make_network(kind)
    return PhonemoConfig(
        backbone=network.config.to_diff_dict() | {"model_type": network.config.model_type},
        width=8,
        attention_heads=2,
        hops=2,
        auxiliary={"task": "phonemes", "symbols": ["<blank>", "a", "b"]},
        id2label={0: "anger", 1: "neutral", 2: "sadness"},
        **settings,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_network_scores_are_independent_of_the_batch(kind: str) -> None:
    torch.manual_seed(0)
    model = PhonemoForAudioClassification(_config(kind), make_network(kind)).eval()
    clips = _clips()
    batch, lengths = _poisoned(clips)
    with torch.no_grad():
        together = model(batch, mask_of(lengths, batch.shape[1]).long())
        for row, clip in enumerate(clips):
            alone = model(clip[None])
            size = int(alone.frames[0])
            torch.testing.assert_close(together.logits[row], alone.logits[0], atol=1e-4, rtol=0)
            torch.testing.assert_close(
                together.phoneme_logits[row, :size], alone.phoneme_logits[0], atol=1e-4, rtol=0
            )


@pytest.mark.parametrize("layers", [None, 0, 1, 3])
@pytest.mark.parametrize("semantic", ["last", "upper_mix", "all_mix"])
@pytest.mark.parametrize("acoustic", ["cnn", "lower_mix"])
def test_lower_then_upper_equals_forward(acoustic: str, semantic: str, layers: int | None) -> None:
    torch.manual_seed(0)
    config = _config("wav2vec2-layer", acoustic=acoustic, semantic=semantic)
    model = PhonemoForAudioClassification(config, make_network("wav2vec2-layer")).eval()
    batch, lengths = _poisoned(_clips())
    with torch.no_grad():
        whole = model(batch, mask_of(lengths, batch.shape[1]).long())
        halves = model(frozen=model.forward_frozen(batch, lengths, layers))
    torch.testing.assert_close(halves.logits, whole.logits, atol=1e-5, rtol=0)
