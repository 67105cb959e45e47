"""A stream that adapts to itself: what it pools, what it applies; packets do not matter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from phonemo.errors import ModelError, UsageError
from phonemo.runtime.adaptation.pool import VectorPool
from phonemo.runtime.adaptation.statistics import LEAST_POOL
from phonemo.runtime.adaptation.streaming import GrowingProfile
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from phonemo.runtime.windows import PLAIN
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE, make_clip

WINDOW = 3 * RATE


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(ADAPTABLE, threads=1)


def buzzes(count: int, hertz: float = 100.0) -> np.ndarray:
    """A buzz every 3 s, with pauses; without them they would be noise."""
    pause = np.zeros(RATE * 3 // 10, np.float32)
    clips = (make_clip(RATE * 27 // 10, hertz + 50 * number) for number in range(count))
    return np.concatenate([part for clip in clips for part in (clip, pause)])


@pytest.fixture(scope="module")
def conversation() -> np.ndarray:
    return buzzes(14)


def streamed(recognizer, samples, size, **options):
    stream = StreamingRecognizer(recognizer, adapt=True, **options)
    events = [
        event
        for start in range(0, len(samples), size)
        for event in stream.push(samples[start : start + size])
    ]
    last, answer = stream.finish()
    return [*events, *last], answer, stream.profile


def windows(events):
    return [event for event in events if event.kind == "window"]


@pytest.mark.parametrize("size", [1601, 40_000, 10**7])
def test_packet_sizes_have_no_effect(recognizer, conversation, size):
    events, answer, profile = streamed(recognizer, conversation, size)
    expected, whole, same = streamed(recognizer, conversation, 16_000)
    assert events == expected
    assert answer == whole
    assert profile == same


def test_a_stream_pools_the_same_vectors_as_a_recording(recognizer, conversation):
    _, _, profile = streamed(recognizer, conversation, 16_000)
    assert profile == recognizer.profile([conversation], RATE)
    assert profile.count == 14


def test_windows_are_adapted_by_earlier_windows_only(recognizer, conversation):
    events, answer, _ = streamed(recognizer, conversation, 16_000)
    plain = StreamingRecognizer(recognizer)
    before = windows(plain.push(conversation))
    result = windows(events)
    first = 2 * (LEAST_POOL - 1) + 1  # windows overlap by half, and every second one is pooled
    assert [item.profile for item in result[:first]] == [None] * first
    assert [item.segment for item in result[:first]] == [item.segment for item in before[:first]]
    assert [item.profile.count for item in result[first : first + 4]] == [5, 5, 6, 6]
    assert result[first].segment != before[first].segment
    for number, value in enumerate(result[first : first + 4], start=first):
        pool = VectorPool(recognizer.reference)
        for event in result[:number:2]:
            pool.add(event.vector)
        adapted = recognizer.with_profile(pool.profile())
        clip = conversation[number * WINDOW // 2 :][:WINDOW]
        assert adapted.vector_of(clip) == pytest.approx(value.vector)
        assert adapted._recognize_clip(clip, PLAIN).scores == pytest.approx(
            list(value.segment.scores.values())
        )
    assert answer.profile == result[-1].profile
    closed = [event for event in events if event.kind == "segment"]
    assert closed[-1].profile == answer.profile


def test_a_reset_drops_the_profile(recognizer, conversation):
    stream = StreamingRecognizer(recognizer, adapt=True)
    assert stream.profile is None
    stream.push(conversation[: 20 * RATE])
    before = stream.profile
    stream.reset_profile()
    assert stream.profile is None
    events, _ = stream.push(conversation[20 * RATE :]), stream.finish()
    assert windows(events)[0].profile is None
    assert windows(events)[-1].profile is not None
    assert stream.profile.count < 14
    assert stream.profile.hash != before.hash


def test_it_shrinks_towards_the_profile_that_is_applied(recognizer, conversation):
    based = recognizer.adapted([make_clip(RATE, 100.0 + 90 * number) for number in range(6)], RATE)
    events, _, profile = streamed(based, conversation, 16_000)
    plain, _, same = streamed(recognizer, conversation, 16_000)
    assert profile == same, "the pool holds vectors before any map"
    assert windows(events)[0].profile == based.applied
    assert windows(events)[-1].profile == windows(plain)[-1].profile
    assert windows(events)[-1].segment.scores != windows(plain)[-1].segment.scores


def test_a_reset_can_also_drop_the_applied_profile(recognizer, conversation):
    based = recognizer.adapted([make_clip(RATE, 100.0 + 90 * number) for number in range(6)], RATE)
    for everything, mark in ((False, based.applied), (True, None)):
        stream = StreamingRecognizer(based, adapt=True)
        assert stream.applied == based.applied
        stream.push(conversation[: 20 * RATE])
        assert stream.applied.count >= LEAST_POOL
        stream.reset_profile(everything=everything)
        assert stream.applied == mark
        (event,) = windows(stream.push(conversation[20 * RATE : 22 * RATE]))
        assert event.profile == mark


def test_silence_adds_nothing(recognizer):
    events, answer, profile = streamed(recognizer, np.zeros(40 * RATE, np.float32), 16_000)
    assert (events, answer.profile, profile) == ([], None, None)
    assert "no_speech" in answer.warnings


def test_a_large_pool_is_updated_at_intervals(recognizer, monkeypatch):
    made = []
    whole = VectorPool.profile
    monkeypatch.setattr(VectorPool, "profile", lambda pool: made.append(len(pool)) or whole(pool))
    growing = GrowingProfile(recognizer)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, len(recognizer.reference.centre))).astype(np.float32)
    for vector in vectors:
        growing.add(vector, 1.0)
    assert made[:12] == list(range(5, 17))
    assert all(later - before >= later / 16 for before, later in pairwise(made))
    assert growing.applied.count == made[-1]
    assert growing.profile.count == 60


def test_a_model_without_profiles_cannot_adapt():
    old = OnnxRecognizer.load(BUNDLE, threads=1)
    with pytest.raises(ModelError, match="this model takes no profile"):
        StreamingRecognizer(old, adapt=True)


def test_a_stream_without_adapt_has_no_profile_to_reset(recognizer):
    stream = StreamingRecognizer(recognizer)
    assert stream.profile is None
    with pytest.raises(UsageError, match="open it with adapt=True"):
        stream.reset_profile()


def test_a_model_without_vector_output_is_rejected(recognizer):
    with pytest.raises(ModelError, match="outputs no vector"):
        GrowingProfile(recognizer).add(None, 1.0)
