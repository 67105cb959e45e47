"""What makes recordings worse does what its name says, and the same again."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.benchmarks import REPOSITORY
from tests.tiny_bundle import RATE, make_clip

assert REPOSITORY
from measuring import degrading  # noqa: E402  found by the line above
from measuring.degrading import Condition, conditions, speech_level  # noqa: E402


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """Two seconds of a buzz at a tenth of full scale, a second of silence behind it."""
    return np.concatenate([0.1 * make_clip(2 * RATE, 150.0), np.zeros(RATE, np.float32)])


def named(name: str, backgrounds: list[np.ndarray] | None = None) -> Condition:
    return next(condition for condition in conditions(backgrounds or []) if condition.name == name)


def decibels(ratio: float) -> float:
    return 20 * float(np.log10(ratio))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(samples, dtype=np.float64) ** 2)))


def test_the_speech_level_ignores_pauses():
    tone = np.tile(np.array([0.5, -0.5], np.float32), 1600)
    assert speech_level(tone) == pytest.approx(0.5)
    assert speech_level(np.concatenate([tone, np.zeros(3200, np.float32)])) == pytest.approx(0.5)


@pytest.mark.parametrize("expected", [20, 10, 0])
def test_noise_has_the_requested_level_below_speech(clip, expected):
    brown = np.cumsum(np.random.default_rng(3).normal(0, 0.01, RATE)).astype(np.float32)
    for name in (f"pink noise, {expected} dB", f"background, {expected} dB"):
        result = named(name, [brown - brown.mean()]).applied(clip, 1, 0)
        assert len(result) == len(clip)
        noise = result - clip
        assert decibels(speech_level(clip) / rms(noise)) == pytest.approx(expected, abs=0.1)


def test_pink_noise_falls_by_three_decibels_an_octave():
    buzz = 0.01 * make_clip(8 * RATE, 100.0)
    noise = named("pink noise, 0 dB").applied(buzz, 1, 0) - buzz
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[8 * low : 16 * low].mean() for low in (250, 500, 1000, 2000)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx([-3, -3, -3], abs=0.5)


def test_a_telephone_has_nothing_above_four_kilohertz(clip):
    noise = 0.1 * np.random.default_rng(4).normal(0, 1, RATE).astype(np.float32)
    result = named("G.711").applied(noise, 1, 0)
    power = np.abs(np.fft.rfft(result)) ** 2
    assert power[4200:].sum() < 1e-3 * power[:3800].sum()
    speech = named("G.711").applied(clip, 1, 0)
    assert np.corrcoef(speech[:RATE], clip[:RATE])[0, 1] > 0.7


def test_opus_runs_at_about_twelve_kilobits(clip):
    result, bits = degrading.opus(clip[: 2 * RATE])
    assert 8 < bits / 2000 < 16
    assert abs(len(result) - 2 * RATE) < RATE // 50
    assert not np.allclose(result[:RATE], clip[:RATE], atol=1e-3)


def test_packets_of_ogg_are_counted_without_headers():
    def page(*packets: int) -> bytes:
        lacing = b"".join(b"\xff" * (size // 255) + bytes([size % 255]) for size in packets)
        head = b"OggS" + bytes(22) + struct.pack("B", len(lacing))
        return head + lacing + bytes(sum(packets))

    assert degrading.packet_bytes(page(19) + page(300) + page(40, 255, 7)) == 40 + 255 + 7


def test_a_room_decays_by_sixty_decibels_in_its_time():
    response = degrading.room_response(np.random.default_rng(5))
    assert response[0] == 1.0
    tail = response.copy()
    tail[0] = 0.0
    assert np.sqrt((tail**2).sum()) == pytest.approx(1.0)
    left = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] + 1e-20)  # Schroeder's integral
    at = [int(np.argmax(left < left[0] - below)) / RATE for below in (5, 35)]
    assert 2 * (at[1] - at[0]) == pytest.approx(degrading.RT60_SECONDS, rel=0.05)


def test_a_room_keeps_the_level_and_adds_a_tail(clip):
    result = named("room").applied(clip, 1, 0)
    assert speech_level(result) == pytest.approx(speech_level(clip), rel=0.05)
    assert len(result) == len(clip) + round(0.3 * RATE)
    assert rms(result[2 * RATE + 1600 : 2 * RATE + 3200]) > 10 * rms(clip[2 * RATE + 1600 :])


def test_levels_and_silence(clip):
    np.testing.assert_allclose(named("20 dB softer").applied(clip, 1, 0), clip / 10, atol=1e-7)
    np.testing.assert_allclose(named("20 dB louder").applied(clip, 1, 0), clip * 10, rtol=1e-5)
    cut = named("20 dB louder, clipped").applied(5 * clip, 1, 0)
    np.testing.assert_allclose(cut, np.clip(clip * 50, -1, 1), rtol=1e-5)
    assert np.abs(clip * 50).max() > 1
    later = named("2 s of silence").applied(clip, 1, 0)
    assert not later[: 2 * RATE].any()
    np.testing.assert_array_equal(later[2 * RATE :], clip)


def test_the_same_seed_gives_the_same_and_clips_differ(clip):
    brown = np.cumsum(np.random.default_rng(3).normal(0, 0.01, 9 * RATE)).astype(np.float32)
    for way in conditions([brown]):
        first = way.applied(clip, 1, 0)
        np.testing.assert_array_equal(first, way.applied(clip, 1, 0), err_msg=way.name)
        assert first.dtype == np.float32
        drawn = way.name.startswith(("pink", "background", "room"))
        assert drawn == (not np.array_equal(first, way.applied(clip, 1, 1))), way.name


def test_without_backgrounds_their_conditions_are_omitted():
    names = [condition.name for condition in conditions()]
    assert names[0] == "clean"
    assert not any(name.startswith("background") for name in names)
