"""Many recordings: in order, a few at a time, short ones together."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonemo.annotations.prediction import Prediction
from phonemo.audio import Waveform
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.batching import AHEAD, length_buckets, map_ordered
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.tiny_bundle import BUNDLE, RATE, make_clip


@given(st.lists(st.integers(400, 500_000), max_size=40), st.integers(0, 100_000))
def test_buckets_contain_every_clip_once_within_the_limit(lengths, most):
    made = length_buckets(lengths, most)
    assert sorted(place for bucket in made for place in bucket) == list(range(len(lengths)))
    for bucket in made:
        longest = max(lengths[place] for place in bucket)
        assert len(bucket) == 1 or len(bucket) * longest <= most


def test_clips_of_similar_length_share_a_bucket():
    assert length_buckets([10, 100, 11, 12, 101], 40) == [[0, 2, 3], [1], [4]]
    assert length_buckets([10, 10], 0) == [[0], [1]]


def wave(size: int) -> Waveform:
    return Waveform(np.zeros(size, dtype=np.float32))


def prediction(size: int) -> Prediction:
    return Prediction("a", {"a": 1.0}, size / RATE)


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_keep_the_input_order(jobs):
    sizes = [500 + 7919 * number % 3000 for number in range(150)]

    def recognized(clips):
        time.sleep(0.0005 * (len(clips) % 3))
        return [prediction(len(clip.samples)) for clip in clips]

    bad = AudioError("empty_audio", "nothing")
    items = [bad if number % 10 == 3 else size for number, size in enumerate(sizes)]
    opened = lambda item: item if isinstance(item, AudioError) else wave(item)  # noqa: E731
    outcomes = list(map_ordered(items, opened, recognized, jobs=jobs, batch_samples=8000))
    for item, value in zip(items, outcomes, strict=True):
        assert value == (item if isinstance(item, AudioError) else prediction(item))


def test_few_recordings_are_read_ahead_and_none_after_the_end():
    read, opened = [], []

    def endless():
        number = 0
        while True:
            read.append(number)
            yield number
            number += 1

    def open_one(number):
        opened.append(number)
        return wave(500)

    answers = map_ordered(
        endless(), open_one, lambda clips: [prediction(500)] * len(clips), jobs=2, batch_samples=0
    )
    next(answers)
    assert len(read) <= 2 * 2 * AHEAD
    answers.close()
    time.sleep(0.05)
    assert len(opened) <= len(read) <= 2 * 2 * AHEAD
    assert not [item for item in threading.enumerate() if item.name.startswith("phonemo")]


class Long:
    """A recording that is opened only when the one before it was requested."""

    def __init__(self, name: str, recognized: list[str]) -> None:
        self.name, self.recognized = name, recognized

    def recognize(self):
        time.sleep(0.05)
        self.recognized.append(self.name)
        return prediction(1000)


def test_an_answer_does_not_wait_for_the_long_recordings_after_it():
    recognized: list[str] = []
    items = [500, *(f"long {number}" for number in range(40))]
    opened = lambda item: wave(item) if item == 500 else Long(item, recognized)  # noqa: E731
    answers = map_ordered(
        items, opened, lambda clips: [prediction(500)] * len(clips), jobs=2, batch_samples=8000
    )
    assert next(answers) == prediction(500)
    assert len(recognized) <= 2
    for done in range(1, 6):
        assert next(answers) == prediction(1000)
        assert len(recognized) <= done + 3 * AHEAD
    assert list(answers) == [prediction(1000)] * 35
    assert sorted(recognized) == sorted(items[1:])


def test_the_first_result_needs_few_recordings():
    read = []

    def slow():
        for number in range(50):
            read.append(number)
            yield 500

    answers = map_ordered(
        slow(), wave, lambda clips: [prediction(500)] * len(clips), jobs=2, batch_samples=0
    )
    next(answers)
    assert len(read) == 2
    assert len(list(answers)) == 49


def test_one_name_is_not_a_list_of_letters():
    model = OnnxRecognizer.load(BUNDLE, threads=1)
    for item in ("a.wav", b"RIFF", Path("a.wav")):
        with pytest.raises(UsageError, match="got a single one"):
            model.predict_many(item)
    with pytest.raises(UsageError, match="expected 1 or more jobs, got jobs=0"):
        model.predict_many(["a.wav"], jobs=0)


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        list(map_ordered([1], lambda item: 1 / 0, lambda clips: [], jobs=1, batch_samples=0))
    with pytest.raises(ZeroDivisionError):
        list(map_ordered([1], lambda item: wave(500), lambda clips: 1 / 0, jobs=1, batch_samples=0))


def test_threads_and_batches_give_the_single_result():
    model = OnnxRecognizer.load(BUNDLE, threads=2)
    lengths = [5000, 16_000, 7000, 48_000, 6000, 5500, 16_100, 900]
    clips = [make_clip(size, 150.0 + 40 * number) for number, size in enumerate(lengths)]
    alone = [model.predict(clip, RATE) for clip in clips]
    for jobs, seconds, tolerance in ((1, 0, 0.0), (2, 0, 0.0), (2, 4, 1e-3), (None, 60, 1e-3)):
        predictions = list(model.predict_many(clips, RATE, jobs=jobs, batch_seconds=seconds))
        for item, expected in zip(predictions, alone, strict=True):
            assert item.label == expected.label
            assert item.seconds == expected.seconds
            for name, score in expected.scores.items():
                assert item.scores[name] == pytest.approx(score, abs=tolerance or 1e-12)


def test_errors_are_returned_in_place(tmp_path):
    model = OnnxRecognizer.load(BUNDLE, threads=1)
    good = make_clip(8000, 300.0)
    predictions = list(model.predict_many([tmp_path / "none.wav", tmp_path], jobs=2))
    assert [item.code for item in predictions] == ["missing_file", "unsupported_audio"]
    predictions = list(model.predict_many([good, np.zeros(3, np.float32), good], RATE, jobs=2))
    assert predictions[0] == predictions[2]
    assert predictions[1].code == "too_short"
