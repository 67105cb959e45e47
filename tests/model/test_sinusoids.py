"""Whisper's positions without its table."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel
from transformers.models.whisper.modeling_whisper import sinusoids

from phonemo.model.encoders.positions import (
    SinusoidalPositions,
    SinusoidalWav2Vec2Config,
    SinusoidalWav2Vec2Model,
)
from tests.tiny_nets import make_network


@pytest.mark.parametrize("features", [4, 16, 512])
def test_equals_whispers_table(features):
    result = SinusoidalPositions(features, 0)(torch.zeros(3, 1500, features))
    assert result.shape == (1, 1500, features)
    assert torch.equal(result[0], sinusoids(1500, features))


def test_positions_begin_at_the_configured_index():
    result = SinusoidalPositions(16, 2)(torch.zeros(1, 20, 16))
    assert torch.equal(result[0], sinusoids(22, 16)[2:])


def test_by_hand():
    """Frame 3 of four features: periods of 2 pi and 20000 pi frames."""
    result = SinusoidalPositions(4, 1)(torch.zeros(1, 3, 4))[0, 2]
    expected = torch.tensor([3.0, 3e-4]).sin().tolist() + torch.tensor([3.0, 3e-4]).cos().tolist()
    torch.testing.assert_close(result, torch.tensor(expected), atol=1e-6, rtol=0)


def test_takes_the_type_of_the_hidden_states_but_counts_in_full():
    half = SinusoidalPositions(16, 0)(torch.zeros(1, 1500, 16, dtype=torch.float16))
    assert half.dtype == torch.float16
    torch.testing.assert_close(half[0].float(), sinusoids(1500, 16), atol=1e-3, rtol=0)


def test_export_keeps_the_length_open():
    module = SinusoidalPositions(8, 2)
    frame = torch.export.Dim("frame", min=2, max=1500)
    program = torch.export.export(module, (torch.zeros(1, 7, 8),), dynamic_shapes=({1: frame},))
    other = torch.zeros(1, 30, 8)
    torch.testing.assert_close(program.module()(other), module(other))


def test_it_has_no_weights():
    model = make_network("wav2vec2-sinusoidal")
    assert not [name for name in model.state_dict() if "pos_conv_embed" in name]


def test_auto_classes_open_what_was_saved(tmp_path):
    model = make_network("wav2vec2-sinusoidal")
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, SinusoidalWav2Vec2Config)
    assert (config.model_type, config.first_position) == ("wav2vec2-sinusoidal", 2)
    again, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(again, SinusoidalWav2Vec2Model)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    clip = torch.randn(1, 900)
    with torch.no_grad():
        assert torch.equal(model(clip).last_hidden_state, again.eval()(clip).last_hidden_state)
