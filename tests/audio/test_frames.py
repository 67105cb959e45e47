"""Frame timing: receptive field, hop and centers."""

from __future__ import annotations

import pytest

from phonemo.audio.frames import FrameGrid, fewest_samples, frames_of

WAV2VEC2 = ((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
SMALL = ((400, 1, 3, 3), (160, 1, 1, 2))


@pytest.mark.parametrize(("stack", "field"), [(WAV2VEC2, 400), (SMALL, 1040)])
def test_field_and_hop(stack, field):
    assert FrameGrid.of(*stack) == FrameGrid(field_samples=field, hop_samples=320)
    assert fewest_samples(*stack) == field


@pytest.mark.parametrize("stack", [WAV2VEC2, SMALL])
def test_the_shortest_recording_of_a_number_of_frames(stack):
    grid = FrameGrid.of(*stack)
    for frames in (1, 2, 7):
        samples = grid.fewest_samples(frames)
        assert frames_of(samples, *stack) == frames
        assert frames_of(samples - 1, *stack) == frames - 1


def test_a_frame_is_centered_in_its_receptive_field():
    """Frame 2 covers samples 640 to 1680; position 2.5 is its center, 1160."""
    grid = FrameGrid.of(*SMALL)
    assert grid.sample_at(2.5) == (640 + 1680) / 2
    assert grid.sample_at(3) - grid.sample_at(2) == 320
