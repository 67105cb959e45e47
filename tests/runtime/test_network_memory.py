"""The file of the network is not kept in memory, and is read again for parallel clips."""

from __future__ import annotations

import gc
import shutil
import sys

import numpy as np
import pytest

from phonemo.audio import RATE
from phonemo.runtime.bundle import MODEL, open_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.tiny_bundle import BUNDLE

CLIPS = [np.random.default_rng(n).normal(0, 0.1, RATE).astype(np.float32) for n in range(3)]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(BUNDLE, tmp_path / "bundle")


def scores(model, **options):
    return [found.scores for found in model.predict_many(CLIPS, RATE, **options)]


def test_the_content_of_the_file_is_released_once_the_network_is_open(folder):
    bundle = open_bundle(folder)
    model = OnnxRecognizer(bundle)
    content = bundle.model
    assert len(content) > 1000
    del bundle
    gc.collect()
    assert sys.getrefcount(content) == 2  # the variable and the argument
    model.predict(CLIPS[0], RATE)


@pytest.mark.parametrize("change", ["gone", "other"])
def test_parallel_clips_are_recognized_by_the_open_network_if_the_file_changed(
    folder, change, caplog
):
    model = OnnxRecognizer.load(folder)
    expected = [model.predict(clip, RATE).scores for clip in CLIPS]
    if change == "gone":
        shutil.rmtree(folder)
    else:
        (folder / MODEL).write_bytes(b"another network")
    assert scores(model, jobs=2) == expected
    assert "not recognized in parallel" in caplog.text


def test_a_relative_folder_is_found_after_a_change_of_the_working_directory(
    folder, monkeypatch, caplog
):
    monkeypatch.chdir(folder.parent)
    model = OnnxRecognizer.load(folder.name)
    monkeypatch.chdir(folder)
    assert len(scores(model, jobs=2)) == len(CLIPS)
    assert caplog.text == ""
