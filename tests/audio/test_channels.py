"""Channels of a recording: mixed, one of them, or each on its own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from phonemo.audio import (
    RATE,
    WARNINGS,
    AudioLimits,
    Excerpt,
    channel_count,
    load_channels,
    load_waveform,
    parse_channels,
)
from phonemo.audio.arrays import BLOCK_FRAMES
from phonemo.audio.each_channel import chosen_excerpt
from phonemo.audio.formats import ffmpeg
from phonemo.errors import AudioError, UsageError

SECONDS = 3.0


def syllables(seed: int, seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    """A tone with pauses like those of speech, (sample,), other ones for each seed."""
    rng = np.random.default_rng(seed)
    size = round(seconds * rate)
    loud = np.repeat(rng.uniform(size=size // (rate // 8) + 1) < 0.6, rate // 8)[:size]
    tone = np.sin(2 * np.pi * (150 + 40 * seed) * np.arange(size) / rate)
    return (0.3 * tone * loud).astype(np.float32)


def noise(size: int, gain: float, seed: int = 0) -> np.ndarray:
    return (gain * np.random.default_rng(seed).normal(size=size)).astype(np.float32)


LEFT, RIGHT = syllables(1), syllables(2)
STEREO = np.stack([LEFT, RIGHT])


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


class Pipe(io.RawIOBase):
    """A stream that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


@pytest.mark.parametrize(
    ("text", "channels"),
    [("mix", "mix"), (" Split ", "split"), ("1", 1), (2, 2), ("64", 64), ("02", 2)],
)
def test_channels_are_parsed(text, channels):
    assert parse_channels(text) == channels


@pytest.mark.parametrize("text", ["", "left", "0", "65", "-1", "1.0", True, None, 10**9, "²"])
def test_other_channels_are_one_clear_error(text):
    with pytest.raises(UsageError, match="channels: expected mix, split or a number from 1 to 64"):
        parse_channels(text)


@given(st.text(max_size=12))
def test_any_text_is_channels_or_a_usage_error(text):
    try:
        channels = parse_channels(text)
    except UsageError:
        return
    assert channels in ("mix", "split") or 1 <= channels <= 64


@pytest.mark.parametrize("source", [STEREO, wav(STEREO)], ids=["array", "file"])
def test_one_channel_is_decoded_exactly(source):
    rate = RATE if isinstance(source, np.ndarray) else None
    for channel, expected in ((1, LEFT), (2, RIGHT)):
        waveform = load_waveform(source, rate=rate, channel=channel)
        assert waveform.channel == channel
        assert np.array_equal(waveform.samples, expected)
    assert load_waveform(source, rate=rate).channel is None
    assert channel_count(source, rate) == 2


def test_a_slice_of_one_channel_equals_the_channel():
    waveform = load_waveform(wav(STEREO), start=0.5, end=1.5, channel=2)
    assert np.array_equal(waveform.samples, RIGHT[RATE // 2 : 3 * RATE // 2])


def test_a_channel_beyond_those_of_the_file_is_an_error():
    with pytest.raises(AudioError, match="expected a channel from 1 to 2, got 3;") as caught:
        load_waveform(wav(STEREO), channel=3)
    assert caught.value.code == "invalid_channel"
    with pytest.raises(AudioError, match="array: expected channel 1, got 2"):
        load_waveform(LEFT, rate=RATE, channel=2)


@pytest.mark.parametrize("channel", [0, -1, True, "split", 1.5])
def test_a_channel_that_is_no_number_is_a_usage_error(channel):
    with pytest.raises(UsageError):
        load_waveform(LEFT, rate=RATE, channel=channel)


def test_only_the_chosen_channel_is_checked_and_measured():
    loud = np.stack([LEFT, np.ones_like(LEFT)])
    assert load_waveform(loud, rate=RATE, channel=1).warnings == ()
    broken = np.stack([LEFT, np.full_like(LEFT, np.nan)])
    assert np.array_equal(load_waveform(broken, rate=RATE, channel=1).samples, LEFT)
    with pytest.raises(AudioError, match="NaN"):
        load_waveform(broken, rate=RATE)


@pytest.mark.parametrize("make", [wav, lambda x: io.BytesIO(wav(x)), lambda x: Pipe(wav(x))])
def test_split_gives_each_channel(make):
    first, second = load_channels(make(STEREO), "split")
    assert (first.channel, second.channel) == (1, 2)
    assert np.array_equal(first.samples, LEFT)
    assert np.array_equal(second.samples, RIGHT)
    assert first.warnings == second.warnings == ()


def test_a_stream_is_split_from_its_current_position():
    stream = io.BytesIO(b"before" + wav(STEREO))
    stream.seek(6)
    assert len(load_channels(stream, "split")) == 2


def test_a_silent_channel_is_left_out_with_a_warning():
    (only,) = load_channels(np.stack([0 * LEFT, RIGHT, 0 * LEFT]), "split", rate=RATE)
    assert (only.channel, only.warnings) == (2, ("silent_channel",))
    offset = np.stack([LEFT, 0 * LEFT + 0.2])
    assert [one.channel for one in load_channels(offset, "split", rate=RATE)] == [1]


def test_silent_channels_only_are_the_silent_mix():
    (only,) = load_channels(np.zeros((3, RATE), np.float32), "split", rate=RATE)
    assert (only.channel, only.warnings) == (None, ("silent",))


def test_mono_is_split_into_one_channel():
    (only,) = load_channels(LEFT, "split", rate=RATE)
    assert only.channel == 1
    assert np.array_equal(only.samples, LEFT)


def test_mix_and_a_number_give_one_waveform():
    (mixed,) = load_channels(STEREO, "mix", rate=RATE)
    (second,) = load_channels(STEREO, 2, rate=RATE, start=1.0)
    assert mixed.channel is None
    assert np.array_equal(mixed.samples, load_waveform(STEREO, rate=RATE).samples)
    assert np.array_equal(second.samples, RIGHT[RATE:])


def test_an_excerpt_keeps_its_own_channel():
    assert chosen_excerpt("a.wav", 2) == Excerpt("a.wav", channel=2)
    assert chosen_excerpt(Excerpt("a.wav", 1.0, channel=1), 2) == Excerpt("a.wav", 1.0, channel=1)
    assert chosen_excerpt("a.wav", "split") == chosen_excerpt("a.wav", "mix") == Excerpt("a.wav")


@pytest.mark.parametrize("gain", [1.0, 0.5, 1.5])
@pytest.mark.parametrize("rate", [8000, RATE, 44_100])
def test_channels_in_opposite_phase_are_not_silence(gain, rate):
    voice = syllables(1, rate=rate)
    opposite = np.stack([voice, -gain * voice]).astype(np.float32)
    waveform = load_waveform(opposite, rate=rate)
    loudest = load_waveform(opposite, rate=rate, channel=2 if gain > 1 else 1)
    assert waveform.warnings == ("opposite_phase",)
    assert np.array_equal(waveform.samples, loudest.samples)


def test_opposite_phase_is_recognized_after_a_pause_and_below_noise():
    quiet = np.zeros(5 * RATE, np.float32)
    voice = np.concatenate([quiet, LEFT])
    opposite = np.stack([voice, -voice]) + [noise(len(voice), 1e-3, seed) for seed in (1, 2)]
    waveform = load_waveform(opposite.astype(np.float32), rate=RATE)
    assert waveform.warnings == ("opposite_phase",)
    assert waveform.samples[5 * RATE :].std() == pytest.approx(LEFT.std(), rel=0.02)


def test_opposite_phase_that_begins_late_is_recognized():
    """The first seconds are an ordinary mix."""
    begin = 0.1 * syllables(3, 2 * BLOCK_FRAMES / RATE)
    stereo = np.concatenate([np.stack([begin, begin]), np.tile([LEFT, -LEFT], 5)], axis=1)
    waveform = load_waveform(stereo.astype(np.float32), rate=RATE)
    assert waveform.warnings == ("opposite_phase",)
    assert waveform.samples[-len(LEFT) :].std() == pytest.approx(LEFT.std(), rel=0.01)


@pytest.mark.parametrize("rate", [8000, RATE, 48_000])
@pytest.mark.parametrize("begins", [1.0, 8.3])
def test_no_part_in_opposite_phase_is_lost(rate, begins):
    """As where a plug is turned in the middle of a recording."""
    voice = syllables(1, 12.0, rate)
    turned = np.arange(len(voice)) >= begins * rate
    stereo = np.stack([voice, np.where(turned, -voice, voice)])
    waveform = load_waveform(stereo, rate=rate)
    expected = load_waveform(voice, rate=rate).samples
    assert "opposite_phase" in waveform.warnings
    assert np.count_nonzero(np.abs(waveform.samples - expected) > 0.01) < RATE


def test_a_call_with_hum_in_opposite_phase_is_still_mixed():
    """The hum in the pauses is too faint to choose one side."""
    hum = 0.001 * np.sin(np.arange(LEFT.size) * 2 * np.pi * 50 / RATE)
    call = np.concatenate([[LEFT + hum, RIGHT - hum], [hum, -hum], [LEFT + hum, RIGHT - hum]], 1)
    waveform = load_waveform(call.astype(np.float32), rate=RATE)
    assert waveform.warnings == ("channels_differ",)
    assert np.allclose(waveform.samples, call.mean(axis=0), atol=1e-6)


def test_opposite_phase_beside_silent_channels_and_offsets():
    six = np.stack([LEFT, -LEFT, 0 * LEFT, 0 * LEFT + 0.1, 0 * LEFT, 0 * LEFT])
    assert load_waveform(six, rate=RATE).warnings == ("opposite_phase",)
    offset = np.stack([LEFT + 0.2, -LEFT - 0.1]).astype(np.float32)
    assert "opposite_phase" in load_waveform(offset, rate=RATE).warnings


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_a_mix_of_two_sides_says_so(rate):
    sides = np.stack([syllables(1, 20, rate), syllables(2, 20, rate)])
    assert load_waveform(sides, rate=rate).warnings == ("channels_differ",)
    taking_turns = np.concatenate([sides * [[1], [0]], sides * [[0], [1]]], axis=1)
    waveform = load_waveform(taking_turns.astype(np.float32), rate=rate)
    assert waveform.warnings == ("channels_differ",)
    assert load_waveform(sides, rate=rate, channel=1).warnings == ()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(LEFT, id="the same"),
        pytest.param(np.roll(LEFT, 16), id="later by 1 ms"),
        pytest.param(0.1 * LEFT + noise(len(LEFT), 3e-4), id="fainter, with its own noise"),
        pytest.param(LEFT + noise(len(LEFT), 0.02), id="noisy"),
        pytest.param(0 * LEFT, id="silent"),
        pytest.param(0 * LEFT + np.float32(0.3), id="a constant offset"),
        pytest.param(noise(len(LEFT), 1e-3), id="noise only"),
    ],
)
def test_a_mix_of_one_scene_says_nothing_of_channels(other):
    waveform = load_waveform(np.stack([LEFT, other]).astype(np.float32), rate=RATE)
    assert not {"channels_differ", "opposite_phase"} & set(waveform.warnings)


def test_noise_on_both_channels_is_no_call():
    hiss = np.stack([noise(10 * RATE, 0.01, 1), noise(10 * RATE, 0.01, 2)])
    assert load_waveform(hiss, rate=RATE).warnings == ()


def test_a_silent_channel_changes_the_mix_by_its_level_only():
    mixed = load_waveform(np.stack([LEFT, 0 * LEFT]), rate=RATE)
    assert np.array_equal(mixed.samples, LEFT / 2)
    assert mixed.warnings == ()


def test_the_mix_is_the_mean_of_all_channels():
    three = np.stack([LEFT, RIGHT, syllables(3)])
    expected = three.mean(axis=0, dtype=np.float64).astype(np.float32)
    assert np.array_equal(load_waveform(three, rate=RATE).samples, expected)


def test_limits_hold_for_the_split_channels():
    with pytest.raises(AudioError) as caught:
        load_channels(wav(STEREO), "split", limits=AudioLimits(max_seconds=1.0))
    assert caught.value.code == "audio_too_long"


def test_every_warning_of_channels_is_described():
    assert {"opposite_phase", "channels_differ", "silent_channel"} <= set(WARNINGS)


# Many planes --------------------------------------------------------------------------------------


def frame_of(channels: np.ndarray, layout: str = "7.1") -> Any:
    """A planar frame with float samples of ``(channel, sample)``, as decoders give it."""
    av = pytest.importorskip("av", reason="needs the extra media")
    interleaved = np.ascontiguousarray(channels.T.reshape(1, -1))
    frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
    frame.sample_rate = RATE
    (planar,) = av.AudioResampler("fltp", layout, RATE).resample(frame)
    return planar


@pytest.mark.parametrize("layout", ["7.1", "hexadecagonal"])
def test_each_of_many_planes_is_read_with_one_graph_for_all_frames(layout, monkeypatch):
    av = pytest.importorskip("av", reason="needs the extra media")
    count = av.AudioLayout(layout).nb_channels
    levels = np.arange(1, count * 512 + 1, dtype=np.float32).reshape(count, 512) / 2**14
    frames = [frame_of(levels, layout), frame_of(-levels, layout)]
    made, kind = [], av.AudioResampler
    monkeypatch.setattr(av, "AudioResampler", lambda *given: made.append(given) or kind(*given))
    interleaver = ffmpeg._Interleaver()
    found = [ffmpeg.samples_of(one) for frame in frames for one in interleaver.frames_of(frame)]
    np.testing.assert_array_equal(found, [levels.T, -levels.T])
    assert len(made) == 1


def test_a_change_of_the_channels_and_an_empty_frame_are_no_fault():
    av = pytest.importorskip("av", reason="needs the extra media")
    interleaver = ffmpeg._Interleaver()
    for layout, count in (("7.1", 8), ("hexadecagonal", 16), ("stereo", 2), ("7.1", 8)):
        (found,) = interleaver.frames_of(frame_of(np.zeros((count, 64), np.float32), layout))
        assert ffmpeg.samples_of(found).shape == (64, count)
    empty = av.AudioFrame(format="fltp", layout="7.1", samples=0)
    empty.sample_rate = RATE
    assert interleaver.frames_of(empty) == []
