"""The network as a whole: what it gives, what it computes, and where spans are masked."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForAudioClassification

from phonemo.errors import ModelError
from phonemo.model.fusion import FUSIONS
from phonemo.model.heads import BLANK
from phonemo.model.layer_mix import ACOUSTIC, SEMANTIC
from phonemo.model.masks import mask_of
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.model.pooling import POOLINGS, statistics
from tests.tiny_nets import KINDS, make_network

KIND = "wav2vec2-layer"
SYMBOLS = ["<blank>", "a", "b"]
LENGTHS = (1600, 700, 431)


@cache
def _backbone(kind: str) -> nn.Module:
    return make_network(kind)


def _config(kind: str = KIND, auxiliary: bool = True, **settings: Any) -> PhonemoConfig:
    shape = _backbone(kind).config
    return PhonemoConfig(
        backbone=shape.to_diff_dict() | {"model_type": shape.model_type},
        width=8,
        attention_heads=2,
        hops=2,
        auxiliary={"task": "phonemes", "symbols": SYMBOLS} if auxiliary else None,
        id2label={0: "anger", 1: "neutral", 2: "sadness"},
        **settings,
    )


def _model(kind: str = KIND, **settings: Any) -> PhonemoForAudioClassification:
    """With heads that are not near zero."""
    torch.manual_seed(0)
    backbone = deepcopy(_backbone(kind))
    model = PhonemoForAudioClassification(_config(kind, **settings), backbone).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("backbone."):
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor(LENGTHS)
    generator = torch.Generator().manual_seed(1)
    waves = torch.randn(len(LENGTHS), max(LENGTHS), generator=generator) * 0.3
    return waves, mask_of(lengths, max(LENGTHS)).long()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_arm_gives_a_whole_output(fusion, pooling):
    model = _model(fusion=fusion, pooling=pooling)
    with torch.no_grad():
        output = model(*_batch())
    # kernel 10 stride 5, 3/2, 2/2: 1600 -> 319 -> 159 -> 79, and 431 -> 85 -> 42 -> 21
    assert output.frames.tolist() == [79, 34, 21]
    assert output.logits.shape == (3, 3)
    assert output.phoneme_logits.shape == (3, 79, 3)
    torch.testing.assert_close(output.frame_weights.sum(dim=1), torch.ones(3))
    assert not output.frame_weights[1, 34:].any()
    assert output.logits.isfinite().all()
    assert output.loss is None
    assert len({tuple(row) for row in output.logits.tolist()}) == 3


@pytest.mark.parametrize("semantic", SEMANTIC)
@pytest.mark.parametrize("acoustic", ACOUSTIC)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_fusion_uses_every_required_stream(fusion, acoustic, semantic):
    """Gradients reach exactly the layers and the norm that the streams read."""
    model = _model(fusion=fusion, acoustic=acoustic, semantic=semantic)
    model(*_batch()).logits.sum().backward()
    layers = model.backbone.network.encoder.layers
    used = [
        any(p.grad is not None and p.grad.any() for p in layer.parameters()) for layer in layers
    ]
    wants = FUSIONS[fusion].needs
    numbers = set(SEMANTIC[semantic](3)) if "semantic" in wants else set()
    numbers |= set(ACOUSTIC[acoustic](3)) if "acoustic" in wants else set()
    assert used == [number < max(numbers, default=0) for number in range(3)]
    assert model.required_states == numbers
    assert model.reads_cnn == ("acoustic" in wants and acoustic == "cnn")


def test_without_the_task_there_is_no_head():
    model = _model(auxiliary=False)
    with torch.no_grad():
        assert model(*_batch()).phoneme_logits is None
    assert model.auxiliary is None
    assert not [name for name in model.state_dict() if "auxiliary" in name]


def test_making_a_model_keeps_the_given_weights():
    """Transformers reinitializes weights not marked as loaded; none of these may be."""
    backbone = make_network(KIND)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    model = PhonemoForAudioClassification(_config(), backbone)
    for name, tensor in model.backbone.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    bias = model.auxiliary.output.bias
    assert bias[BLANK] > 0
    assert not bias[1:].any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "log-mel"])
def test_fresh_adapters_are_the_identity(kind):
    """LoRA begins with B = 0, so that training begins from the pretrained network."""
    model = PhonemoForAudioClassification(_config(kind, lora_rank=2), deepcopy(_backbone(kind)))
    sides = {"lora_A": 0, "lora_B": 0}
    for name, parameter in model.named_parameters():
        for side in sides:
            if side in name:
                sides[side] += 1
                assert parameter.any() == (side == "lora_A"), name
    assert sides == {"lora_A": 6, "lora_B": 6}


def test_labels_give_the_plain_cross_entropy():
    model, labels = _model(), torch.tensor([2, 0, 1])
    with torch.no_grad():
        output = model(*_batch(), labels=labels)
    torch.testing.assert_close(output.loss, functional.cross_entropy(output.logits, labels))


def test_without_a_mask_all_samples_are_audio():
    model = _model()
    waves, mask = _batch()
    with torch.no_grad():
        everywhere = model(waves, torch.ones_like(mask)).logits
        torch.testing.assert_close(model(waves).logits, everywhere)
        assert not torch.allclose(model(waves, mask).logits, everywhere)


@pytest.mark.parametrize(
    ("settings", "layers", "names"),
    [
        ({}, None, {"cnn"}),
        ({}, 0, {"acoustic", "layer_0"}),
        ({}, 2, {"acoustic", "layer_2"}),
        ({}, 3, {"acoustic", "layer_3"}),
        ({"fusion": "acoustic"}, 3, {"acoustic"}),
        ({"fusion": "semantic"}, 1, {"layer_1"}),
        ({"acoustic": "lower_mix"}, 1, {"layer_0", "layer_1"}),
        ({"acoustic": "lower_mix", "fusion": "acoustic"}, 3, {"layer_0", "layer_1"}),
        ({"semantic": "all_mix"}, 1, {"acoustic", "layer_0", "layer_1"}),
        ({"semantic": "upper_mix"}, 3, {"acoustic", "layer_2", "layer_3"}),
    ],
)
def test_the_output_of_the_frozen_part(settings, layers, names):
    """No more than what the streams and the layers above read; and it gives the same scores."""
    model = _model(**settings)
    waves, mask = _batch()
    with torch.no_grad():
        lower = model.forward_frozen(waves, mask.sum(dim=1), layers)
        kept, whole = model(frozen=lower), model(waves, mask)
    assert lower.named().keys() == names
    torch.testing.assert_close(kept.logits, whole.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(kept.phoneme_logits, whole.phoneme_logits, atol=1e-5, rtol=0)


def _everything(kind: str) -> dict[str, torch.Tensor]:
    edges = {"time": [0.0, 1000.0], "feature": [0.0, 1.0]}[kind]
    return {kind: torch.tensor(edges).repeat(3, 1, 1)}


def _scores(model, spans, layers: int | None, clips: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        lower = model.forward_frozen(clips, torch.full((3,), clips.shape[1]), layers)
        return model(frozen=lower, spans=spans).logits


@pytest.mark.parametrize("kind", ["time", "feature"])
@pytest.mark.parametrize(("streams", "layers"), [(False, None), (True, None), (True, 3)])
@pytest.mark.parametrize("acoustic", ["cnn", "lower_mix"])
def test_fully_masked_clips_give_equal_scores(kind, streams, layers, acoustic):
    """Masking all frames, or all features, makes all clips of one length alike.

    At the Transformer's input that silences the semantic stream alone, so both are asked for.
    """
    model = _model(acoustic=acoustic)
    model.mask_streams = streams
    clips = torch.randn(3, 900) * 0.3
    scores = _scores(model, None, layers, clips)
    assert (scores[0] - scores[1]).abs().max() > 1e-3
    deaf = _scores(model, _everything(kind), layers, clips)
    torch.testing.assert_close(deaf[0], deaf[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(deaf[0], deaf[2], atol=1e-6, rtol=0)


def test_spans_are_those_of_their_utterance():
    """Only the one that has a span changes."""
    model, clips = _model(), torch.randn(3, 900) * 0.3
    spans = {"time": torch.tensor([[[0.0, 0.0]], [[3.0, 20.0]], [[0.0, 0.0]]])}
    plain, masked = (_scores(model, item, None, clips) for item in (None, spans))
    torch.testing.assert_close(masked[[0, 2]], plain[[0, 2]])
    assert (masked[1] - plain[1]).abs().max() > 1e-4


def test_stream_masking_is_the_same_for_cached_features():
    model, clips = _model(), torch.randn(3, 900) * 0.3
    model.mask_streams = True
    spans = {"time": torch.tensor([[3.0, 20.0]]).repeat(3, 1, 1)}
    results = [_scores(model, spans, layers, clips) for layers in (None, 1, 3)]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], atol=1e-5, rtol=0)


def test_transformers_can_open_the_model():
    assert isinstance(AutoConfig.for_model("phonemo"), PhonemoConfig)
    model = AutoModelForAudioClassification.from_config(_config())
    assert isinstance(model, PhonemoForAudioClassification)
    assert model.config.num_labels == 3


# Statistics past the fusion -----------------------------------------------------------------------


def test_the_emotion_head_reads_statistics_beside_the_fusion():
    plain, model = _model(), _model(statistics=(2, 0), head="linear")
    waves, mask = _batch()
    with torch.no_grad():
        output, without = model(waves, mask), plain(waves, mask)
        lower = model.forward_frozen(waves, torch.tensor(LENGTHS), None)
        valid = mask_of(lower.frames, lower.cnn.shape[1])
        hidden = model.backbone.embed(model.backbone.project(lower.cnn), valid)
        states = model.backbone.run(hidden, valid, 0, (0, 2))
    width, pooled = model.backbone.semantic_features, without.vector.shape[1]
    assert output.vector.shape == (3, pooled + 4 * width)
    expected = torch.cat([statistics(states[number], valid) for number in (0, 2)], dim=1)
    torch.testing.assert_close(output.vector[:, pooled:], expected)
    torch.testing.assert_close(output.logits, model.head(output.vector))


@pytest.mark.filterwarnings(  # torch's own, of wavlm
    "ignore:Support for mismatched key_padding_mask and attn_mask:UserWarning"
)
@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_of_each_clip_alone(kind):
    model = _model(kind, statistics=(0, 1))
    waves, mask = _batch()
    with torch.no_grad():
        together = model(waves.masked_fill(mask == 0, float("nan")), mask)
        for row, length in enumerate(LENGTHS):
            alone = model(waves[[row], :length])
            torch.testing.assert_close(together.vector[[row]], alone.vector, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layers", [None, 0, 1, 2])
def test_statistics_from_kept_features_are_the_same(layers):
    model = _model(statistics=(1, 2))
    waves, mask = _batch()
    with torch.no_grad():
        lower = model.forward_frozen(waves, torch.tensor(LENGTHS), layers)
        torch.testing.assert_close(model(frozen=lower).vector, model(waves, mask).vector)


def test_a_missing_hidden_state_is_rejected_in_one_line():
    with pytest.raises(
        ModelError, match=r"expected model\.statistics from 0 to 3, got hidden state 9"
    ):
        _model(statistics=(0, 9))


def test_logits_are_calibrated_outside_of_training_alone():
    """Transformers' pipeline takes the softmax of the logits; phonemo requests them unscaled."""
    model = AutoModelForAudioClassification.from_config(_config())
    model.config.temperature = 2.5
    waveform = torch.randn(2, 8000)
    with torch.no_grad():
        raw = model.eval()(waveform, calibrated=False).logits
        assert torch.equal(model(waveform).logits, raw / 2.5)
        lower = model.forward_frozen(waveform, torch.full((2,), 8000), None)
        assert torch.equal(model.forward_from(lower).logits, raw)
    trained = model.train()
    trained.config.temperature = 1e9
    assert trained(waveform).logits.abs().max() > 1e-3


def test_the_gradient_of_the_phonemes_alone_reaches_the_shared_layers():
    """Multi-task learning is that: the phonemes train the fusion and the layers below it."""
    model = _model()
    waves, mask = _batch()
    model(waves, mask).phoneme_logits.square().mean().backward()
    shared = {
        "fusion": model.fusion,
        "backbone": model.backbone,
    }
    for name, part in shared.items():
        gradients = [p.grad for p in part.parameters() if p.grad is not None]
        assert any(gradient.abs().max() > 0 for gradient in gradients), name
    assert all(p.grad is None for p in model.head.parameters())
