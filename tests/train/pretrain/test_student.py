"""The graft is exact; the front end begins as a filter bank."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from phonemo.audio.frames import FrameGrid
from phonemo.errors import ConfigError
from phonemo.model.backbone import Backbone
from phonemo.train.pretrain.pretrain_config import StudentConfig
from phonemo.train.pretrain.student import _sinusoids, build_student, frame_shift, open_student
from tests.tiny_nets import make_backbone_folder
from tests.train.pretrain.tiny_teaching import RATE, make_teacher, make_wave

#: Frames that lie where the teacher's lie: half the receptive field is half a hop.
UNSHIFTED = StudentConfig(channels=8, kernels=(320,), strides=(320,))
SHIFTED = StudentConfig(channels=8)


def states_of(backbone: Backbone, stem: torch.Tensor) -> dict[int, torch.Tensor]:
    """The hidden states of a student whose front end says this."""
    mask = torch.ones(stem.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        return backbone.run(backbone.embed(stem, mask), mask, 0, range(backbone.depth + 1))


def make_student(config: StudentConfig, teacher) -> Backbone:
    return Backbone(build_student(config, teacher), normalise=True).eval()


def test_with_the_teachers_stem_the_states_equal_the_teachers():
    teacher, wave = make_teacher(), make_wave(2)
    assert frame_shift(UNSHIFTED) == 0
    states = states_of(make_student(UNSHIFTED, teacher), teacher.stem(wave))
    expected = teacher(wave)
    assert len(states) == len(expected) == 3
    for number, state in enumerate(expected):
        torch.testing.assert_close(states[number], state, atol=1e-5, rtol=0)


def test_the_first_frame_has_the_position_of_the_matching_teacher_frame():
    teacher, wave = make_teacher(), make_wave(2)
    student = make_student(SHIFTED, teacher)
    assert student.network.config.first_position == frame_shift(SHIFTED) == 2
    stem = teacher.stem(wave)[:, 2:]
    states = states_of(student, stem)
    torch.testing.assert_close(states[0], teacher(wave)[0][:, 2:], atol=1e-5, rtol=0)
    # A teacher that begins at its third frame says the same in every layer.
    table = teacher.encoder.embed_positions
    table.weight = torch.nn.Parameter(table.weight[2:], requires_grad=False)
    teacher.stem = lambda _: stem
    for number, state in enumerate(teacher(wave)):
        torch.testing.assert_close(states[number], state, atol=1e-5, rtol=0)


def test_the_student_has_the_teachers_shape_and_no_dropout():
    config = make_student(SHIFTED, make_teacher()).network.config
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (16, 2, 32)
    assert config.num_attention_heads == 2
    assert config.do_stable_layer_norm
    off = [name for name in config.to_dict() if "dropout" in name or name == "layerdrop"]
    assert len(off) > 5
    assert all(getattr(config, name) == 0 for name in off)


def test_the_seed_determines_the_front_end():
    teacher = make_teacher()

    def weights(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(build_student(SHIFTED, teacher).state_dict().values())

    assert all(
        torch.equal(first, second) for first, second in zip(weights(1), weights(1), strict=True)
    )
    assert not all(map(torch.equal, weights(1), weights(2)))


@pytest.mark.parametrize(
    ("kernels", "strides", "shift"),
    [
        ((400, 1, 3, 3), (160, 1, 1, 2), 2),
        ((400, 3, 3), (160, 1, 2), 2),
        ((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), 1),
        ((320,), (320,), 0),
        ((1280,), (320,), 2),
    ],
)
def test_the_shift_maps_frame_0_to_the_teacher_frame_at_its_center(kernels, strides, shift):
    assert frame_shift(StudentConfig(kernels=kernels, strides=strides)) == shift
    # By the runtime's arithmetic: frame 0's centre, in hops of the teacher.
    centre = FrameGrid.of(kernels, strides).sample_at(0.5) / 320
    assert abs(centre - shift) <= 0.5


def test_the_shift_matches_frames_of_real_audio():
    """The frames that a click changes: the teacher's middle one is ``shift`` later."""
    teacher = make_teacher()
    wave = 0.1 * torch.randn(1, RATE)
    click = wave.clone()
    click[0, 520 + 20 * 320] += 0.2  # the middle of what the student's frame 20 hears
    student = Backbone(build_student(SHIFTED, teacher), normalise=False).eval()
    samples = torch.tensor([RATE])
    with torch.no_grad():
        before, after = (student.project(student.convolve(item, samples)) for item in (wave, click))
    assert changed_frames(before, after) == [19, 20, 21]
    assert changed_frames(teacher.stem(wave), teacher.stem(click)) == [21, 22, 23]


def changed_frames(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    return ((before - after).abs().amax(dim=(0, 2)) > 1e-4).nonzero().flatten().tolist()


@pytest.mark.parametrize("strides", [(160, 1, 1, 1), (160, 1, 2, 2), (80, 1, 1, 2)])
def test_a_wrong_hop_is_refused(strides):
    with pytest.raises(ConfigError, match=f"samples per frame, got {math.prod(strides)}"):
        build_student(StudentConfig(channels=8, strides=strides), make_teacher())


def test_a_start_of_another_shape_is_refused(tmp_path):
    teacher = make_teacher()
    folder = make_backbone_folder(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"expected conv_kernel .*got .*10, 3, 2") as caught:
        open_student(str(folder), SHIFTED, teacher)
    assert "\n" not in str(caught.value)
    shape = StudentConfig(channels=8, kernels=(10, 3, 2), strides=(5, 2, 2))
    with pytest.raises(ConfigError, match=r"num_hidden_layers .*got 3"):
        open_student(str(folder), shape, teacher)


# ---- the filter bank

HERTZ = 700 * (10 ** (np.linspace(31.748, 2840.023, 128) / 2595) - 1)


@pytest.fixture(scope="module")
def waves() -> torch.Tensor:
    """(frequency, phase, sample)."""
    sinusoids = _sinusoids(512, 400)
    assert sinusoids.shape == (512, 1, 400)
    return sinusoids.reshape(128, 4, 400)


def test_the_sinusoids_are_finite_and_rise_with_frequency(waves):
    assert torch.isfinite(waves).all()
    norms = waves.norm(dim=-1)
    expected = torch.tensor(1 + HERTZ / 1000, dtype=torch.float32)[:, None].expand(128, 4)
    torch.testing.assert_close(norms, expected, atol=2e-3, rtol=1e-3)


def test_filters_are_mel_spaced(waves):
    spectrum = np.abs(np.fft.rfft(waves[:, 0].numpy(), RATE))  # one bin is one hertz
    inner = (HERTZ > 200) & (HERTZ < 7800)
    assert inner.sum() > 100
    np.testing.assert_allclose(spectrum.argmax(axis=1)[inner], HERTZ[inner], atol=2)


def test_filters_come_in_four_phases_a_quarter_turn_apart(waves):
    inner = torch.from_numpy((HERTZ > 200) & (HERTZ < 7800))
    unit = (waves / waves.norm(dim=-1, keepdim=True))[inner]
    products = unit @ unit.transpose(1, 2)  # (frequency, phase, phase)
    expected = torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1]])
    torch.testing.assert_close(products, expected.expand_as(products), atol=0.01, rtol=0)


def test_filters_are_windowed(waves):
    peak = waves.abs().amax(dim=-1)
    assert bool((waves[..., 0].abs() < 1e-3 * peak).all())
    assert bool((waves[..., -1].abs() < 0.01 * peak).all())
