"""The log-mel front end by hand, and a backbone of it that padding does not change."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from phonemo.audio import RATE
from phonemo.config import ModelConfig
from phonemo.labels import LabelSet
from phonemo.model.encoders.logmel import (
    LogMel,
    LogMelConfig,
    LogMelModel,
    _fourier,
    _mel_filters,
    _Recurrent,
    _reverse_frames,
)
from phonemo.model.masks import mask_of
from phonemo.model.pretrained import build_network, load_backbone
from phonemo.train.model_folder import load_trained, save_trained

MELS, WINDOW, HOP = 64, 400, 160
LABELS = LabelSet(("anger", "neutral", "sadness"))


def mel(hertz: float) -> float:
    """O'Shaughnessy 1987."""
    return 2595 * math.log10(1 + hertz / 700)


def tops(mels: int = MELS) -> list[float]:
    """Where each triangle is highest, in hertz: evenly apart in mel, none at 0 or at 8000 Hz."""
    apart = mel(RATE / 2) / (mels + 1)
    return [700 * (10 ** (apart * (number + 1) / 2595) - 1) for number in range(mels)]


def tone(hertz: float, samples: int = 4000, level: float = 0.3) -> torch.Tensor:
    """(1, 1, sample)."""
    time = torch.arange(samples, dtype=torch.float64) / RATE
    return (level * torch.sin(2 * math.pi * hertz * time)).float()[None, None]


def energies(signal: torch.Tensor) -> torch.Tensor:
    """(mel,), averaged over the frames."""
    return LogMel(MELS, WINDOW, HOP)(signal)[0, 0].mean(dim=1)


# Energies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [12, 20, 31, 47, 60])
def test_a_tone_excites_the_band_whose_top_it_is(number):
    result = energies(tone(tops()[number]))
    assert int(result.argmax()) == number
    assert result[number] - result[(number + 32) % 64] > math.log(1000)


@pytest.mark.parametrize("hertz", [150.0, 440.0, 1000.0, 3333.0, 7000.0])
def test_a_tone_excites_a_band_that_contains_its_frequency(hertz):
    place = mel(hertz) / mel(RATE / 2) * (MELS + 1)  # tops are 1, 2, ...
    assert int(energies(tone(hertz)).argmax()) + 1 in (math.floor(place), math.ceil(place))


def test_ten_times_as_loud_is_a_hundred_times_the_energy():
    number = 40
    quiet, loud = (energies(tone(tops()[number], level=level))[number] for level in (0.05, 0.5))
    assert loud - quiet == pytest.approx(math.log(100), abs=1e-3)


def test_silence_has_the_floor_and_no_infinity():
    assert torch.allclose(energies(torch.zeros(1, 1, 1000)), torch.tensor(math.log(1e-6)))


def test_energies_are_those_of_a_fourier_transform():
    signal = np.random.default_rng(4).normal(0, 0.1, 900)
    result = LogMel(MELS, WINDOW, HOP)(torch.from_numpy(signal).float()[None, None])
    assert result.shape == (1, 1, MELS, 1 + (900 - WINDOW) // HOP)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    for frame in range(result.shape[3]):
        window = signal[frame * HOP : frame * HOP + WINDOW] * hann
        power = np.abs(np.fft.rfft(window)) ** 2
        expected = np.log(_mel_filters(MELS, WINDOW).double().numpy() @ power + 1e-6)
        np.testing.assert_allclose(result[0, 0, :, frame], expected, atol=1e-4)


def test_the_transform_has_a_cosine_and_a_sine_for_every_band():
    kernels = _fourier(WINDOW)
    assert kernels.shape == (2 * 201, 1, WINDOW)
    assert float(kernels[0].sum()) == pytest.approx(WINDOW / 2, rel=1e-6), "a Hann window"
    assert float(kernels[201].abs().max()) == 0, "no sine at 0 Hz"


# Filters ------------------------------------------------------------------------------------------


def test_triangles_add_up_to_one_between_the_first_and_the_last_top():
    filters, bands = _mel_filters(MELS, WINDOW), torch.linspace(0, RATE / 2, 201)
    total = filters.sum(dim=0)
    inside = (bands >= tops()[0]) & (bands <= tops()[-1])
    assert int(inside.sum()) > 180
    torch.testing.assert_close(total[inside], torch.ones(int(inside.sum())))
    assert float(total[0]) == 0, "what does not move is not heard"
    assert float(total[-1]) == pytest.approx(0, abs=1e-6)
    assert ((total[~inside] >= 0) & (total[~inside] < 1)).all()


def test_a_triangle_is_one_at_its_top_and_nothing_beyond_its_neighbours():
    """A window so long that every top lies on a band, to a hertz."""
    filters = _mel_filters(10, RATE)
    result = tops(10)
    for number, row in enumerate(filters):
        top = round(result[number])
        assert int(row.argmax()) == pytest.approx(top, abs=1)
        assert float(row.max()) == pytest.approx(1, abs=0.01)
        below = result[number - 1] if number else 0
        above = result[number + 1] if number < 9 else RATE / 2
        assert float(row[: math.floor(below)].sum()) == 0
        assert float(row[math.ceil(above) + 1 :].sum()) == 0
        halfway = round((result[number] + above) / 2)
        assert float(row[halfway]) == pytest.approx(0.5, abs=0.01)


def test_no_filter_of_the_network_is_empty():
    filters = LogMelModel(LogMelConfig()).feature_extractor.conv_layers[0].filters
    assert filters.shape == (64, 201)
    assert float(filters.max(dim=1).values.min()) > 0.4


# Both ways over time ------------------------------------------------------------------------------


def test_reversing_keeps_the_padding_in_place():
    hidden = torch.arange(10.0).view(2, 5, 1)
    result = _reverse_frames(hidden, torch.tensor([5, 3]))
    assert result[..., 0].tolist() == [[4, 3, 2, 1, 0], [7, 6, 5, 8, 9]]


def test_reversing_is_its_own_inverse():
    hidden = torch.randn(4, 7, 3)
    frames = torch.tensor([7, 1, 4, 0])
    assert torch.equal(_reverse_frames(_reverse_frames(hidden, frames), frames), hidden)


def attention_mask(frames: torch.Tensor, size: int) -> torch.Tensor:
    """As the backbone makes it: 0 where there is a frame."""
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(len(frames), size).masked_fill(~mask_of(frames, size), lowest)[:, None, None]


def test_padding_does_not_reach_the_backward_lstm():
    layer = _Recurrent(8, 0.1).eval()
    frames = torch.tensor([9, 5, 1])
    hidden = torch.randn(3, 9, 8)
    hidden[1, 5:], hidden[2, 1:] = 100.0, -100.0
    with torch.no_grad():
        together = layer(hidden, attention_mask(frames, 9))
        for row, size in enumerate(frames.tolist()):
            alone = layer(hidden[row : row + 1, :size], attention_mask(frames[row, None], size))
            torch.testing.assert_close(together[row, :size], alone[0], atol=1e-6, rtol=0)


def test_first_and_last_frames_depend_on_each_other():
    layer = _Recurrent(8, 0.0).eval()
    hidden, mask = torch.randn(1, 6, 8), attention_mask(torch.tensor([6]), 6)
    with torch.no_grad():
        before = layer(hidden, mask)[0]
        for changed, window in ((5, 0), (0, 5)):
            other = hidden.clone()
            other[0, changed] += 1
            after = layer(other, mask)[0]
            halves = (slice(0, 4), slice(4, 8))  # forwards, backwards
            moves = [
                not torch.equal(before[window, halve], after[window, halve]) for halve in halves
            ]
            assert moves == [changed < window, changed > window]


# The whole backbone -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    """model.backbone: log-mel, of the shape that a config gives, with small heads."""
    torch.manual_seed(2)
    model = ModelConfig(
        backbone="log-mel", width=8, attention_heads=2, hops=2, layers=1, auxiliary=None
    )
    return build_network(model, LABELS, None).eval()


def test_a_config_builds_it_and_its_folder_opens_again(network, tmp_path):
    save_trained(tmp_path / "model", network, LABELS)
    again = load_trained(tmp_path / "model").model
    assert again.config.backbone["model_type"] == "log-mel"
    assert again.state_dict().keys() == network.state_dict().keys()
    waveform = torch.randn(2, 6000) * 0.1
    with torch.no_grad():
        torch.testing.assert_close(again(waveform).logits, network(waveform).logits)
    assert again.backbone.depth == 1


def test_it_is_another_network_with_another_seed_and_the_same_with_the_same():
    result = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        result.append(load_backbone("log-mel")[0].feature_projection.projection.weight)
    assert torch.equal(result[0], result[1])
    assert not torch.equal(result[0], result[2])


def test_its_model_folder_is_a_backbone_too(network, tmp_path):
    save_trained(tmp_path / "model", network, LABELS)
    again, normalise = load_backbone(str(tmp_path / "model"))
    assert normalise
    expected = network.backbone.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def test_a_frame_is_twenty_milliseconds(network):
    """One window, then two convolutions of three frames, the second by two: 400 + 4 * 160."""
    assert network.backbone.fewest_samples == 1040
    assert network.backbone.grid.hop_samples == 320
    with torch.no_grad():
        for samples, frames in ((1040, 1), (1359, 1), (1360, 2), (RATE, 47)):
            result = network(torch.zeros(1, samples))
            assert result.frames.tolist() == [frames]


def test_normalization_removes_only_the_level(network):
    with torch.no_grad():
        loud, quiet = network(torch.cat([tone(500.0)[0], tone(500.0)[0] / 4])).logits
        other = network(tone(900.0)[0]).logits[0]
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=0)
    assert not torch.allclose(loud, other, atol=1e-4)


def test_energies_are_finite_and_exact_under_bf16(network):
    layer = network.backbone.network.feature_extractor.conv_layers[0]
    for signal in (tone(440.0), tone(440.0, level=1e-4), torch.zeros(1, 1, 4000)):
        expected = layer(signal)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = layer(signal)
            halved = layer(signal.bfloat16())
        assert result.dtype == torch.float32
        assert torch.equal(result, expected)
        assert torch.isfinite(halved).all()


def test_the_whole_network_is_finite_under_bf16(network):
    waveform = torch.cat([tone(300.0)[0], torch.zeros(1, 4000)])
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        result = network(waveform)
    assert torch.isfinite(result.logits).all()


def test_it_is_trained_except_for_its_kernels(network):
    fixed = {name for name in network.state_dict() if name.endswith((".kernels", ".filters"))}
    assert len(fixed) == 2
    assert not fixed & dict(network.named_parameters()).keys()
    network(tone(300.0)[0], labels=torch.tensor([1])).loss.backward()
    for part in network.backbone.parts():
        gradients = [p.grad for module in part for p in module.parameters()]
        assert all(
            gradient is not None and torch.isfinite(gradient).all() for gradient in gradients
        )
    network.zero_grad()
