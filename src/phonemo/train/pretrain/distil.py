"""Distillation losses: the student matches the teacher's front end, or every hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phonemo.model.backbone import Backbone
from phonemo.train.pretrain.teacher import Teacher

#: Smallest deviation of a feature, relative to the mean deviation of its layer.
_LEAST_MOVEMENT = 0.1


@dataclass(frozen=True)
class Scales:
    """Statistics of the teacher's features over frames of real speech.

    Attributes:
        stem_mean: mean output of its convolutions, (feature,).
        stem: root of the mean variance of that output.
        layers: standard deviation of each hidden state's features, (layer, feature).
    """

    stem_mean: Tensor
    stem: Tensor
    layers: Tensor


@torch.no_grad()
def measure_scales(teacher: Teacher, crops: Sequence[Tensor]) -> Scales:
    """Measure the teacher's scales on crops, each (sample,), already at its level."""
    stems, states = [], []
    for crop in crops:
        stems.append(teacher.stem(crop[None])[0])
        states.append(torch.stack([state[0] for state in teacher(crop[None])]))
    stem = torch.cat(stems)  # (frame, feature)
    layers = torch.cat(states, dim=1).std(dim=1)  # (layer, feature)
    least = _LEAST_MOVEMENT * layers.mean(dim=1, keepdim=True)
    return Scales(stem.mean(dim=0), stem.var(dim=0).mean().sqrt(), layers.clamp(min=least))


class Distillation(nn.Module):
    """Student and teacher on the same clips; the loss has one part for each hidden state.

    Args:
        student: the trained network; it normalizes every clip to mean 0 and variance 1.
        teacher: the target network.
        scales: the teacher's feature statistics.
        level: root mean square of the teacher's input.
        shift: index of the teacher's frame that matches the student's frame 0.
        whole: False compares the outputs of the two front ends, True every hidden state.
    """

    def __init__(
        self,
        student: Backbone,
        teacher: Teacher,
        scales: Scales,
        level: float,
        shift: int,
        whole: bool,
    ) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher
        self.scales = scales
        self.level = level
        self.shift = shift
        self.whole = whole

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        """Compute relative squared errors on clips (batch, sample): ``loss`` and its parts."""
        leveled = at_level(waveform, self.level)
        samples = torch.full((len(waveform),), waveform.shape[1], device=waveform.device)
        projected = self.student.project(self.student.convolve(waveform, samples))
        if not self.whole:
            expected = self.teacher.stem(leveled)[:, self.shift :]
            return {"loss": _error(projected, expected, self.scales.stem)}
        return self._layers(projected, self.teacher(leveled))

    def _layers(self, projected: Tensor, teacher: list[Tensor]) -> dict[str, Tensor]:
        mask = torch.ones(projected.shape[:2], dtype=torch.bool, device=projected.device)
        hidden = self.student.embed(projected, mask)
        states = self.student.run(hidden, mask, 0, range(len(teacher)))
        parts = {
            f"layer_{number}": _error(states[number], expected[:, self.shift :], scale)
            for number, (expected, scale) in enumerate(
                zip(teacher, self.scales.layers, strict=True)
            )
        }
        return {"loss": torch.stack(list(parts.values())).mean(), **parts}


def at_level(waveform: Tensor, level: float) -> Tensor:
    """Scale clips (batch, sample) to mean 0 and this root mean square; silence stays silent."""
    centred = waveform - waveform.mean(dim=-1, keepdim=True)
    return centred * (level / (centred.square().mean(dim=-1, keepdim=True) + 1e-7).sqrt())


def _error(actual: Tensor, expected: Tensor, scale: Tensor) -> Tensor:
    frames = min(actual.shape[1], expected.shape[1])
    difference = actual[:, :frames] - expected[:, :frames]
    return (difference / scale.to(difference.device)).square().mean()
