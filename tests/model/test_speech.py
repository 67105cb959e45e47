"""Speech frames: by hand, with silence around them, and through the network."""

from __future__ import annotations

import pytest
import torch

from phonemo.audio.frames import FrameGrid
from phonemo.errors import ModelError
from phonemo.model.masks import mask_of, speech_frames
from tests.model.test_network import _batch, _model

GRID = FrameGrid(field_samples=2, hop_samples=2)


def _signal(*levels: float) -> torch.Tensor:
    """Each level for one frame of two samples, (1, sample)."""
    return torch.tensor(levels).repeat_interleave(2)[None]


def test_the_range_by_hand():
    # powers 1, 1, and 29.5 and 30.5 dB below the reference, which is nearly 1
    signal = _signal(1.0, -1.0, 10**-1.475, 10**-1.525)
    mask = torch.ones(1, 4, dtype=torch.bool)
    assert speech_frames(signal, mask, GRID).tolist() == [[True, True, True, False]]


def test_silence_around_an_utterance_has_no_effect():
    spoken = [0.5, 0.02, 0.01, 0.3]
    bare = speech_frames(_signal(*spoken), torch.ones(1, 4, dtype=torch.bool), GRID)
    around = _signal(*[1e-4] * 50, *spoken, *[1e-4] * 50)
    speech = speech_frames(around, torch.ones(1, 104, dtype=torch.bool), GRID)
    assert speech[:, 50:54].tolist() == bare.tolist()
    assert speech.sum() == bare.sum()


def test_padding_is_not_speech_but_digital_silence_is():
    mask = mask_of(torch.tensor([2, 3]), 3)
    signal = torch.cat([_signal(1.0, 1.0, 0.0), _signal(0.0, 0.0, 0.0)])
    assert speech_frames(signal, mask, GRID).tolist() == [[True, True, False], [True, True, True]]


def test_padding_has_no_effect():
    spoken = _signal(1.0, -1.0, 10**-1.475, 10**-1.525, *[0.0] * 50)
    mask = mask_of(torch.tensor([4]), 54)
    assert speech_frames(spoken, mask, GRID)[0, :5].tolist() == [True, True, True, False, False]


def test_level_has_no_effect():
    signal = _signal(0.5, 0.02, 0.0155, 0.3)
    mask = torch.ones(1, 4, dtype=torch.bool)
    quiet = speech_frames(signal * 1e-4, mask, GRID)
    assert quiet.tolist() == speech_frames(signal, mask, GRID).tolist()


def _spoken(seconds: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    quiet = 1e-4 * torch.randn(2, seconds * 400, generator=generator)
    quiet[:, 400:1200] += 0.3 * torch.randn(2, 800, generator=generator)
    return quiet


def test_the_head_uses_speech_frames_only():
    model = _model(statistics=(0,), pooled=False, frames="speech", head="linear").eval()
    waves = _spoken(5)
    with torch.no_grad():
        output = model(waves)
        states = model.backbone
        mask = mask_of(output.frames, int(output.frames.max()))
        samples = torch.tensor([waves.shape[1]] * 2)
        spoken = states.speech(waves, samples, mask)
        hidden = states.embed(states.project(states.convolve(waves, samples)), mask)
    assert 0 < spoken[0].sum() < mask[0].sum() / 2
    expected = hidden[0][spoken[0]].mean(dim=0)
    torch.testing.assert_close(output.vector[0, : len(expected)], expected)
    assert output.vector.shape[1] == 2 * len(expected)
    weights = spoken / spoken.sum(dim=1, keepdim=True)
    torch.testing.assert_close(output.frame_weights, weights)


def test_cached_features_give_the_same_output():
    model = _model(statistics=(1,), pooled=False, frames="speech", head="linear").eval()
    waves, mask = _batch()
    with torch.no_grad():
        expected = model(waves, mask)
        lower = model.forward_frozen(waves, mask.sum(dim=1), 1)
        result = model.forward_from(lower)
    torch.testing.assert_close(result.vector, expected.vector)


def test_speech_that_is_left_out_leaves_the_rest():
    model = _model(statistics=(1,), pooled=False, frames="speech", head="linear").eval()
    with torch.no_grad():
        output = model(_spoken(5)[:1])
        mask = mask_of(output.frames, output.features.shape[1])
        keep = output.features[:, :, -1] == 0
        _, pooled = model.classify_frames(output.features, mask, keep)
    assert pooled.vector.isfinite().all()
    torch.testing.assert_close(pooled.weights.sum(dim=1), torch.ones(1))
    assert not pooled.weights[~keep].any()


def test_a_head_without_input_is_rejected():
    with pytest.raises(ModelError, match="the emotion head has no input"):
        _model(pooled=False)


def test_the_mean_alone_is_half_of_the_statistics():
    both = _model(statistics=(0, 1), pooled=False, head="linear")
    mean = _model(statistics=(0, 1), pooled=False, moments="mean", head="linear")
    with torch.no_grad():
        whole, half = (model.eval()(*_batch()).vector for model in (both, mean))
    width = mean.backbone.semantic_features
    assert half.shape[1] == 2 * width
    torch.testing.assert_close(half[:, :width], whole[:, :width])
    torch.testing.assert_close(half[:, width:], whole[:, 2 * width : 3 * width])
