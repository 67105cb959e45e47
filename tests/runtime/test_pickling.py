"""Recognizers are pickled by reopening their bundle, and copied by sharing the network."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest

import phonemo
from phonemo.errors import CheckpointError, UsageError
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from tests.tiny_bundle import BUNDLE, RATE, make_clip

CLIP = make_clip(2 * RATE, 200.0)


@pytest.fixture
def recognizer():
    return phonemo.load(BUNDLE)


def label_of(recognizer) -> str:
    """The label of a clip, in another process."""
    return recognizer.predict(CLIP, rate=RATE).label


def test_a_pickled_recognizer_keeps_its_options(recognizer):
    recognizer.abstain_below, recognizer.window_seconds = 0.9, 2.0
    again = pickle.loads(pickle.dumps(recognizer))
    assert (again.abstain_below, again.window_seconds) == (0.9, 2.0)
    assert again.predict(CLIP, rate=RATE) == recognizer.predict(CLIP, rate=RATE)
    assert len(pickle.dumps(recognizer)) < 100_000


def test_copies_share_the_network(recognizer):
    for twin in (copy.copy(recognizer), copy.deepcopy(recognizer)):
        assert twin is not recognizer
        assert twin.graph is recognizer.graph
        twin.abstain_below = 1.0
        assert recognizer.abstain_below != 1.0


def test_a_spawned_process_gets_the_recognizer(recognizer):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(label_of, [recognizer]) == [label_of(recognizer)]


def test_a_bundle_that_is_gone_or_another_is_one_clear_error(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(BUNDLE, folder)
    data = pickle.dumps(phonemo.load(folder))
    card = (folder / "bundle.json").read_text(encoding="utf-8")
    (folder / "bundle.json").write_text(card.replace("tiny", "other"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="load the model again"):
        pickle.loads(data)
    shutil.rmtree(folder)
    with pytest.raises(CheckpointError, match="expected the bundle of a pickled recognizer"):
        pickle.loads(data)


def test_a_stream_is_neither_pickled_nor_copied(recognizer):
    stream = StreamingRecognizer(recognizer)
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(UsageError, match="create one per stream"):
            call(stream)


def test_pushed_bytes_of_any_kind_are_the_stream(recognizer):
    samples = (CLIP * 2**15).astype("<i2")
    expected = StreamingRecognizer(recognizer)
    expected.push(samples)
    scores = expected.finish()[1].scores
    for kind in (bytes, bytearray, memoryview, lambda data: np.frombuffer(data, "<i2")[:, None]):
        stream = StreamingRecognizer(recognizer, float(RATE))
        stream.push(kind(samples.tobytes()))
        assert stream.finish()[1].scores == scores


@pytest.mark.parametrize("single", [CLIP, CLIP.tolist(), (CLIP, RATE), {"array": CLIP}])
def test_one_recording_in_place_of_several_is_refused(recognizer, single):
    with pytest.raises(UsageError, match="single one"):
        recognizer.predict_many(single, rate=RATE)
    if recognizer.reference is not None:
        with pytest.raises(UsageError, match="single one"):
            recognizer.profile(single, rate=RATE)
