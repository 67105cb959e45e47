"""The gradio example shows phonemo's predictions and handles a real request."""

from __future__ import annotations

import gc
import importlib.util
import sys
import warnings
from pathlib import Path

import gradio
import numpy as np
import pytest
import soundfile

import phonemo
from tests.laws import REPOSITORY
from tests.voices import spoken

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # gradio leaves its event loop and its sockets to the collector, which is called here
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def collected():
    """What gradio leaves open is collected here, where it is allowed, and not in another file."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def example():
    """The script, as a module."""
    path = REPOSITORY / "examples" / "gradio_app.py"
    specification = importlib.util.spec_from_file_location("gradio_app_of_the_tests", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> Path:
    return spoken(tmp_path_factory.mktemp("voice") / "voice.wav")


def test_the_gradio_example_shows_the_prediction(example, voice):
    scores, phonemes, figure, grid = example.recognize(str(voice))
    expected = phonemo.load().predict(voice, shares=True)
    assert {name.rstrip("?"): score for name, score in scores.items()} == pytest.approx(
        expected.scores
    )
    assert max(scores, key=scores.__getitem__) == f"{expected.label}{'?' * expected.unsure}"
    assert tuple(symbol.strip() for symbol, _ in phonemes) == expected.phonemes
    assert max(abs(share) for _, share in phonemes) == pytest.approx(1)
    assert len(figure.axes[0].patches) >= 1
    assert Path(grid).read_text(encoding="utf-8").startswith('File type = "ooTextFile"')


def test_each_side_of_a_call_has_a_plot_and_phonemes(example, tmp_path, voice):
    samples, rate = soundfile.read(voice)
    soundfile.write(tmp_path / "call.wav", np.stack([samples, samples[::-1]], axis=1), rate)
    _, phonemes, figure, grid = example.recognize(str(tmp_path / "call.wav"), "split")
    assert [axes.get_title() for axes in figure.axes] == ["channel 1", "channel 2"]
    assert len(phonemes) > len(example.recognize(str(tmp_path / "call.wav"), "1")[1])
    assert "emotion channel 2" in Path(grid).read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"no audio"])
def test_unusable_audio_is_one_line(example, tmp_path, content):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(gradio.Error) as caught:
        example.recognize(str(path))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(gradio.Error, match="No recording yet"):
        example.recognize(None)


def test_a_long_recording_is_refused(example, tmp_path):
    path = spoken(tmp_path / "long.wav", seconds=example.LONGEST_SECONDS + 1)
    with pytest.raises(gradio.Error, match="60"):
        example.recognize(str(path))


def test_the_gradio_example_handles_a_request(example, voice, monkeypatch):
    gradio_client = pytest.importorskip("gradio_client")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    app = example.make_app()
    app.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, share=False)
    try:
        client = gradio_client.Client(app.local_url, verbose=False, analytics_enabled=False)
        label, phonemes, _, grid = client.predict(
            gradio_client.handle_file(str(voice)), api_name="/recognize"
        )
        assert label["label"].rstrip("?") == phonemo.load().predict(voice).label
        assert phonemes
        assert Path(grid if isinstance(grid, str) else grid["path"]).suffix == ".TextGrid"
    finally:
        app.close()
        del app, client
        gc.collect()
