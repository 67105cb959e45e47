"""The model that ships: it lies in the installed package and answers without torch or network."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import phonemo
from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.runtime.bundle import open_bundle, packaged
from tests.light.test_predict import BAR
from tests.tiny_bundle import RATE
from tests.voices import speaking

LABELS = (*("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),)
FOUR = ["anger", "happiness", "neutral", "sadness"]
#: The bar of the issue that asked for the model.
MOST_BYTES = 30_000_000


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Four synthetic moods."""
    folder = tmp_path_factory.mktemp("spoken")
    speaking().main(folder, tell=False)
    return folder


def test_it_is_whole_and_small():
    card = open_bundle(packaged()).card
    assert card.name == "phonemo-small"
    assert card.labels == LABELS
    assert card.inventory is not None
    assert card.inventory.symbols == make_inventory("phonemes", "ipa", LABELS).symbols
    assert card.precision == "int8"
    assert card.window_seconds == 30, "longer recordings are heard in windows"
    assert card.head_sha256 is not None
    assert card.parity.difference < 1e-3
    assert sum(path.stat().st_size for path in packaged().iterdir()) < MOST_BYTES
    assert "CC BY-NC-SA 4.0" in card.licence


def test_the_command_answers_with_no_options_and_no_torch(spoken):
    files = [str(spoken / f"{mood}.wav") for mood in FOUR]
    code = f"{BAR}from phonemo.cli.main import main\nsys.argv[:1] = ['phonemo', 'predict']\nmain()"
    command = [sys.executable, "-I", "-W", "error", "-c", code, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["file"] for row in rows] == files
    for row in rows:
        assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-6)
        assert len(row["phonemes"]) > 5
    assert len({tuple(row["scores"].values()) for row in rows}) == 4


def test_four_classes_by_restricting(spoken):
    found = phonemo.predict(spoken / "anger.wav")
    four = found.among(FOUR)
    assert list(four.scores) == FOUR
    assert sum(four.scores.values()) == pytest.approx(1)


def test_the_level_does_not_matter(spoken):
    samples, rate = soundfile.read(spoken / "happiness.wav", dtype="float32")
    model = phonemo.load()
    first, second = (model.predict(samples * gain, rate=rate) for gain in (1.0, 0.1))
    assert first.scores == pytest.approx(second.scores, abs=0.02)


@pytest.mark.parametrize("seconds", [0.03, 1.0, 31.0])
def test_silence_and_noise_of_any_length_get_finite_scores(seconds):
    model = phonemo.load()
    noise = np.random.default_rng(1).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)
    for samples in (noise, np.zeros_like(noise)):
        scores = list(model.predict(samples, rate=RATE).scores.values())
        assert np.isfinite(scores).all()
        assert sum(scores) == pytest.approx(1)


def test_it_hears_what_it_has_learnt(shared_folder):
    """Not how good it is, for it knows these speakers: that the right file is in the package."""
    clips = sorted((shared_folder / "corpora" / "emodb" / "wav").glob("*.flac"))[::10]
    model = phonemo.load()
    letters = dict(zip("WLEAFTN", ("anger", "boredom", "disgust", "fear"), strict=False))
    letters |= {"F": "happiness", "T": "sadness", "N": "neutral"}
    right = [model.predict(clip).label == letters[clip.stem[5]] for clip in clips]
    assert np.mean(right) > 0.7  # a linear head over five corpora does not know them by heart


def test_it_leaves_nothing_at_home(spoken, tmp_path):
    """onnxruntime 1.32 keeps a device id and a list of events there unless it is told not to."""
    places = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    environment = {**os.environ, **places}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-m", "phonemo", "predict", str(spoken / "anger.wav")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
