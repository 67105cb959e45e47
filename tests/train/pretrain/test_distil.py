"""The loss: 0 for the teacher himself, 1 for whoever says the mean."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from phonemo.model.backbone import Backbone
from phonemo.train.pretrain.distil import Distillation, Scales, at_level, measure_scales
from phonemo.train.pretrain.student import build_student, frame_shift
from phonemo.train.pretrain.teacher import Teacher
from tests.train.pretrain.test_student import SHIFTED
from tests.train.pretrain.tiny_teaching import make_teacher, make_wave

LEVEL = 0.08


class Parrot(nn.Module):
    """Stands for a student: says frames of the teacher, from ``shift`` on, changed or not."""

    def __init__(self, teacher: Teacher, shift: int, change: Any = lambda state, number: state):
        super().__init__()
        self.teacher, self.shift, self.change = teacher, shift, change
        self.wave = torch.zeros(0)

    def convolve(self, waveform: Tensor, samples: Tensor) -> Tensor:
        assert samples.tolist() == [waveform.shape[1]] * len(waveform)
        self.wave = at_level(waveform, LEVEL)
        return waveform

    def project(self, cnn: Tensor) -> Tensor:
        return self.change(self.teacher.stem(self.wave)[:, self.shift :], None)

    def embed(self, projected: Tensor, mask: Tensor) -> Tensor:
        assert mask.shape == projected.shape[:2]
        assert mask.all()
        return projected

    def run(self, hidden: Tensor, mask: Tensor, start: int, wanted: Any) -> dict[int, Tensor]:
        assert start == 0
        states = self.teacher(self.wave)
        return {n: self.change(states[n][:, self.shift :], n) for n in wanted}


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return make_teacher()


@pytest.fixture(scope="module")
def wave() -> Tensor:
    return make_wave(2, clips=3)


@pytest.fixture(scope="module")
def scales(teacher, wave) -> Scales:
    return measure_scales(teacher, list(at_level(wave, LEVEL)))


def losses(student: Any, teacher: Any, scales: Scales, wave: Tensor, shift: int, whole: bool):
    with torch.no_grad():
        errors = Distillation(student, teacher, scales, LEVEL, shift, whole)(wave)
    return {name: float(value) for name, value in errors.items()}


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("whole", [False, True])
def test_the_loss_is_zero_if_the_student_equals_the_teacher(teacher, scales, wave, shift, whole):
    errors = losses(Parrot(teacher, shift), teacher, scales, wave, shift, whole)
    assert list(errors) == (["loss", "layer_0", "layer_1", "layer_2"] if whole else ["loss"])
    assert all(value == 0 for value in errors.values())


@pytest.mark.parametrize("whole", [False, True])
def test_misaligned_frames_increase_the_loss(teacher, scales, wave, whole):
    errors = losses(Parrot(teacher, 1), teacher, scales, wave, 2, whole)
    assert errors["loss"] > 0.05


def test_a_student_that_predicts_the_mean_has_an_error_of_one(teacher, scales, wave):
    def mean(state: Tensor, number: int | None) -> Tensor:
        return state.mean(dim=(0, 1)).expand_as(state)

    front = losses(Parrot(teacher, 0, mean), teacher, scales, wave, 0, False)
    assert front["loss"] == pytest.approx(1, abs=0.01)
    layers = losses(Parrot(teacher, 0, mean), teacher, scales, wave, 0, True)
    for number in range(3):
        # a feature that hardly moves counts less, never more
        assert 0.7 < layers[f"layer_{number}"] < 1.001


def test_the_parts_average_to_the_loss(teacher, scales, wave):
    def noisy(state: Tensor, number: int | None) -> Tensor:
        return state if number is None else state + (number + 1)

    errors = losses(Parrot(teacher, 0, noisy), teacher, scales, wave, 0, True)
    parts = [errors[f"layer_{number}"] for number in range(3)]
    assert errors["loss"] == pytest.approx(sum(parts) / 3)
    assert len(set(parts)) == 3
    expected = [(((n + 1) / scales.layers[n]) ** 2).mean() for n in range(3)]
    torch.testing.assert_close(torch.tensor(parts), torch.stack(expected), rtol=1e-4, atol=0)


def test_scales_by_hand():
    """Two frames a crop: a feature that says 0 then 2, and one that never moves."""

    class Counting(nn.Module):
        def stem(self, wave: Tensor) -> Tensor:
            return torch.tensor([[[0.0, 5.0], [2.0, 5.0]]])

        def forward(self, wave: Tensor) -> list[Tensor]:
            return [self.stem(wave), 10 * self.stem(wave)]

    measured = measure_scales(Counting(), [torch.zeros(9)] * 2)  # type: ignore[arg-type]
    assert measured.stem_mean.tolist() == [1, 5]
    variance = 4 / 3  # of 0 2 0 2, unbiased
    torch.testing.assert_close(measured.stem, torch.tensor((variance / 2) ** 0.5))
    moves = torch.tensor(variance**0.5)
    least = 0.1 * moves / 2
    torch.testing.assert_close(
        measured.layers,
        torch.stack([torch.stack([moves, least]), 10 * torch.stack([moves, least])]),
    )


def test_the_error_is_relative(teacher, wave):
    """A teacher, and with it a student, that speaks ten times as loud changes nothing."""

    class Louder(nn.Module):
        def stem(self, heard: Tensor) -> Tensor:
            return 10 * teacher.stem(heard)

        def forward(self, heard: Tensor) -> list[Tensor]:
            return [10 * state for state in teacher(heard)]

    def wrong(state: Tensor, number: int | None) -> Tensor:
        return 0.9 * state

    crops, errors = list(at_level(wave, LEVEL)), {}
    for name, item in (("plain", teacher), ("louder", Louder())):
        for every_layer in (False, True):
            parrot = Parrot(item, 0, wrong)  # type: ignore[arg-type]
            errors[name, every_layer] = losses(
                parrot, item, measure_scales(item, crops), wave, 0, every_layer
            )
    for every_layer in (False, True):
        assert errors["plain", every_layer] == pytest.approx(
            errors["louder", every_layer], rel=1e-3
        )
        assert errors["plain", every_layer]["loss"] > 1e-3


def test_the_level_of_a_clip_does_not_change_the_loss(teacher, scales, wave):
    student = Backbone(build_student(SHIFTED, teacher), normalise=True)
    shift = frame_shift(SHIFTED)
    errors = [losses(student, teacher, scales, gain * wave, shift, True) for gain in (1, 5)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-2)
    assert errors[0]["loss"] > 0.1


def test_only_the_student_is_trained(teacher, scales, wave):
    student = Backbone(build_student(SHIFTED, teacher), normalise=True)
    distillation = Distillation(student, teacher, scales, LEVEL, 2, True).train()
    distillation(wave)["loss"].backward()
    learning = [name for name, p in distillation.named_parameters() if p.grad is not None]
    assert learning
    assert all(name.startswith("student.") for name in learning)
    assert {name for name, p in student.named_parameters() if p.grad is None} == set()


def test_at_level_sets_mean_and_rms():
    wave = make_wave(0.5, clips=2) * torch.tensor([[1.0], [30.0]]) + 0.2
    leveled = at_level(wave, LEVEL)
    torch.testing.assert_close(leveled.mean(dim=1), torch.zeros(2), atol=1e-6, rtol=0)
    level = leveled.square().mean(dim=1).sqrt()
    torch.testing.assert_close(level, torch.full((2,), LEVEL), rtol=1e-3, atol=0)
    assert torch.equal(at_level(torch.zeros(2, 100), LEVEL), torch.zeros(2, 100))
    assert torch.equal(at_level(wave[0], LEVEL), leveled[0]), "one clip alone"


def test_digital_silence_is_finite(teacher, scales):
    student = Backbone(build_student(SHIFTED, teacher), normalise=True)
    errors = losses(student, teacher, scales, torch.zeros(2, 8000), 2, True)
    assert all(torch.isfinite(torch.tensor(value)) for value in errors.values())
