"""Long recordings and streams: the same answer, in bounded memory, as soon as it is known."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import load_waveform
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.sliding import SlidingInference
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from phonemo.runtime.vad import EnergyVad
from phonemo.runtime.windows import ClipScores, PredictOptions
from tests.tiny_bundle import BUNDLE, make_clip

RATE = 16_000
LABELS = ("anger", "neutral")


def pitch(samples: np.ndarray) -> ClipScores:
    """A network to check by hand: high is anger; a phoneme in the middle of every second."""
    crossings = np.count_nonzero(np.diff(np.signbit(samples))) / len(samples)
    anger = float(crossings > 0.05)
    seconds = range(len(samples) // RATE)
    spans = tuple(PhonemeSpan("a", item + 0.4, item + 0.6, 1.0) for item in seconds)
    return ClipScores(np.array([anger, 1 - anger]), spans, {"network": 0.5})


def tone(seconds: float, hertz: float, level: float = 0.3) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    wobble = 1 + 0.9 * np.sin(2 * np.pi * 3 * time)
    return (level * wobble * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE, threads=1)


@pytest.fixture(scope="module")
def long_clip() -> np.ndarray:
    quiet = np.zeros(5 * RATE, dtype=np.float32)
    return np.concatenate([make_clip(20 * RATE, 120.0), quiet, make_clip(17 * RATE + 77, 900.0)])


def test_two_emotions_and_a_pause_in_time():
    hearing = SlidingInference(pitch, LABELS, EnergyVad())
    hearing.push(np.concatenate([tone(12, 100), 0 * tone(8, 100), tone(12, 2000)]))
    hearing.finish()
    prediction = hearing.answer()
    (first, second) = prediction.segments
    assert (first.label, second.label) == ("neutral", "anger")
    assert first.start == 0
    assert first.end == pytest.approx(12.2, abs=0.05), "the pause is cut off"
    assert second.start == pytest.approx(20, abs=0.05)
    assert second.end == pytest.approx(32, abs=0.05)
    assert prediction.scores["anger"] == pytest.approx(0.5, abs=0.02)
    assert prediction.speech_ratio == pytest.approx(24.2 / 32, abs=0.01)
    assert prediction.warnings == ("windowed",)
    assert prediction.timings["network"] == pytest.approx(0.5 * 17), (
        "four of 21 windows hold no speech"
    )


def test_every_phoneme_is_taken_once_and_in_time():
    hearing = SlidingInference(pitch, LABELS, EnergyVad(), window_seconds=4)
    hearing.push(tone(33.5, 300))
    hearing.finish()
    starts = [span.start for span in hearing.answer().spans]
    assert starts == pytest.approx([second + 0.4 for second in range(33)])


@pytest.mark.parametrize("lacking", [0, 3])
def test_spans_are_those_of_every_window_or_none(lacking):
    calls = iter(range(100))

    def recognize(samples: np.ndarray) -> ClipScores:
        clip = pitch(samples)
        return replace(clip, spans=None) if next(calls) == lacking else clip

    hearing = SlidingInference(recognize, LABELS, EnergyVad(), window_seconds=4)
    hearing.push(tone(33.5, 300))
    hearing.finish()
    assert hearing.answer().spans is None


def test_decoded_audio_of_one_pass_has_a_timeline_only_if_chosen(recognizer, long_clip):
    waveform = load_waveform((long_clip[12 * RATE : 32 * RATE], RATE))
    plain = recognizer.predict_waveform(waveform)
    chosen = recognizer.predict_waveform(waveform, PredictOptions(timeline=True))
    assert len(plain.segments) == 1 < len(chosen.segments)


def test_silence_is_reported():
    hearing = SlidingInference(pitch, LABELS, EnergyVad())
    hearing.push(np.zeros(40 * RATE, dtype=np.float32))
    events = hearing.finish()
    prediction = hearing.answer(("silent",))
    assert events == []
    assert prediction.segments == ()
    assert prediction.speech_ratio == 0
    assert prediction.warnings == ("silent", "windowed", "no_speech")
    assert sum(prediction.scores.values()) == pytest.approx(1)


def test_a_file_read_in_blocks_equals_its_samples(recognizer, long_clip, tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    soundfile.write(path, long_clip, RATE, subtype="FLOAT")
    expected = recognizer.predict(long_clip, RATE)
    assert expected.warnings == (
        "windowed",
        *(warning for warning in expected.warnings if warning == "unsure"),
    )
    assert len(expected.segments) >= 2
    for frames in (1000, 77_777):
        monkeypatch.setattr("phonemo.audio.arrays.BLOCK_FRAMES", frames)
        assert recognizer.predict(path) == expected
        assert recognizer.predict(io.BytesIO(path.read_bytes())) == expected
    assert list(recognizer.predict_many([path, path])) == [expected, expected]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(1, 90_000), min_size=1, max_size=15))
def test_a_stream_gives_the_same_result_as_the_file(recognizer, long_clip, sizes):
    expected = recognizer.predict(long_clip, RATE)
    stream, at, events = StreamingRecognizer(recognizer), 0, []
    for size in (*sizes, len(long_clip)):
        events += stream.push(long_clip[at : at + size])
        at += size
    rest, result = stream.finish()
    assert result == expected
    closed = [item.segment for item in (*events, *rest) if item.kind == "segment"]
    assert tuple(closed) == expected.segments


def test_a_stream_reports_events_as_early_as_possible(recognizer, long_clip):
    """Each window in the packet that fills it; each segment at most four cells after its end."""
    stream, packet = StreamingRecognizer(recognizer), RATE // 10
    late = []
    for at in range(0, len(long_clip), packet):
        now = min(len(long_clip), at + packet) / RATE
        for event in stream.push(long_clip[at : at + packet]):
            if event.kind == "window":
                assert now - event.segment.end < 0.1
                assert event.segment.end - event.segment.start == 3
                assert 0 < event.speech_ratio <= 1
            else:
                late.append(now - event.segment.end)
    assert late
    assert max(late) <= 6.1


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_other_rates_are_resampled_as_files_are(recognizer, rate):
    time = np.arange(3 * rate) / rate
    samples = (0.3 * np.sin(2 * np.pi * 500 * time * (1 + 0.2 * time))).astype(np.float32)
    stream = StreamingRecognizer(recognizer, rate)
    for at in range(0, len(samples), 1111):
        stream.push(samples[at : at + 1111])
    _, result = stream.finish()
    whole = recognizer.predict(samples, rate)
    assert result.seconds == pytest.approx(whole.seconds, abs=1e-3)
    for name, score in whole.scores.items():
        assert result.scores[name] == pytest.approx(score, abs=0.02)


def test_integers_and_floats_are_the_same_stream(recognizer):
    samples = (np.round(make_clip(5 * RATE, 300.0) * 2**15)).astype(np.int16)
    answers = []
    for item in (samples, samples / 2**15, (samples / 2**15).astype(np.float32)):
        stream = StreamingRecognizer(recognizer)
        stream.push(item)
        answers.append(stream.finish()[1])
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.array([0.1, np.nan]), "expected finite samples"),
        (np.array([0.1, np.inf]), "expected finite samples"),
        (np.zeros((2, 100), np.float32), "mix the channels"),
        (np.zeros(10, np.int64), "int64"),
        (["a"], "expected samples as an array"),
    ],
)
def test_bad_samples_are_rejected_and_the_stream_continues(recognizer, samples, words):
    good = make_clip(3 * RATE, 300.0)
    stream, other = StreamingRecognizer(recognizer), StreamingRecognizer(recognizer)
    stream.push(good[:RATE])
    with pytest.raises((AudioError, UsageError), match=words):
        stream.push(samples)
    stream.push(good[RATE:])
    other.push(good)
    assert stream.finish() == other.finish()


def test_finished_and_empty_streams_are_rejected(recognizer):
    with pytest.raises(UsageError, match="4000 to 384000"):
        StreamingRecognizer(recognizer, 1000)
    stream = StreamingRecognizer(recognizer)
    with pytest.raises(AudioError, match="no samples"):
        stream.finish()
    stream = StreamingRecognizer(recognizer)
    stream.push(make_clip(RATE, 300.0))
    stream.finish()
    for call in (stream.finish, lambda: stream.push(np.zeros(10, np.float32))):
        with pytest.raises(UsageError, match="was finished"):
            call()


def test_memory_does_not_grow_with_the_recording():
    def peak(minutes: int) -> int:
        hearing = SlidingInference(pitch, LABELS, EnergyVad())
        piece = tone(10, 300)
        tracemalloc.start()
        for _ in range(6 * minutes):
            hearing.push(piece)
        hearing.finish()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(8) - peak(1) < 500_000  # a minute of samples is 3,840,000 bytes
