"""The device of a recognizer: a missing card is an error, and never silently the processor."""

from __future__ import annotations

import pickle

import pytest

import phonemo
from phonemo.errors import CheckpointError, DeviceError, UsageError
from phonemo.runtime.device import parse_device
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.session import open_session
from tests.runtime.cards import pretend_card
from tests.tiny_bundle import BUNDLE, CLIPS, RATE, SHARED, make_clip

CLIP = make_clip(*CLIPS["odd"])


@pytest.mark.parametrize(
    ("typed", "name"),
    [("cpu", "cpu"), (" CUDA ", "cuda"), ("cuda:0", "cuda"), ("cuda:12", "cuda:12")],
)
def test_device_names_are_canonical(typed, name):
    assert parse_device(typed) == name


@pytest.mark.parametrize(
    "typed", ["gpu", "", "cuda:", "cuda:-1", "cuda:1e3", "cpu:1", "mps\n\x1b", None, 0]
)
def test_an_unknown_device_is_one_line(typed):
    with pytest.raises(UsageError, match="expected device cpu, cuda, cuda:N or auto, got") as error:
        phonemo.load(BUNDLE, device=typed)
    assert "\n" not in str(error.value)


def test_the_processor_is_the_default():
    assert phonemo.load(BUNDLE).device == "cpu"


@pytest.mark.skipif(
    "CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers(),
    reason="this onnxruntime knows CUDA",
)
def test_a_build_without_cuda_is_an_error_with_the_package_to_install():
    with pytest.raises(DeviceError, match=r"for device cuda:1, got onnxruntime .* for the proc"):
        phonemo.load(BUNDLE, device="cuda:1")
    with pytest.raises(DeviceError, match=r"pip install 'onnxruntime-gpu\[cuda,cudnn\]'"):
        phonemo.from_pretrained(BUNDLE, device="cuda")
    assert phonemo.load(BUNDLE, device="auto").device == "cpu"


@pytest.mark.parametrize("behavior", ["falls back", "raises"])
def test_a_card_that_does_not_open_is_an_error(monkeypatch, behavior):
    pretend_card(monkeypatch, behavior)
    with pytest.raises(DeviceError, match=r"expected a session on cuda, got none .*nvidia-smi"):
        phonemo.load(BUNDLE, device="cuda")


@pytest.mark.parametrize("behavior", ["falls back", "raises"])
def test_auto_uses_the_processor_where_no_session_opens_on_the_card(monkeypatch, behavior):
    plain = phonemo.load(BUNDLE).predict(CLIP, RATE)
    pretend_card(monkeypatch, behavior)
    recognizer = phonemo.load(BUNDLE, device="auto")
    assert recognizer.device == "cpu"
    assert recognizer.predict(CLIP, RATE) == plain


@pytest.mark.parametrize(("device", "number"), [("cuda", "0"), ("cuda:1", "1"), ("auto", "0")])
def test_network_and_head_open_on_the_card(monkeypatch, device, number):
    opened = pretend_card(monkeypatch, "works")
    recognizer = OnnxRecognizer.load(SHARED, device=device)
    assert recognizer.device == ("cuda" if device == "auto" else device)
    assert [providers[0][1]["device_id"] for providers in opened] == [number, number]
    assert opened[0][0][1]["use_tf32"] == "0"


def test_parallel_clips_share_the_session_of_a_card(monkeypatch):
    opened = pretend_card(monkeypatch, "works")
    recognizer = phonemo.load(BUNDLE, device="cuda")
    before = len(opened)
    twin, jobs = recognizer.for_jobs(4)
    assert (twin, jobs) == (recognizer, 4)
    results = list(recognizer.predict_many([CLIP, CLIP], rate=RATE, jobs=2))
    assert len(opened) == before
    assert results[0] == results[1] == recognizer.predict(CLIP, RATE)


def test_a_broken_network_is_no_fault_of_the_card(monkeypatch):
    pretend_card(monkeypatch, "works")
    for device in ("cuda", "auto"):
        with pytest.raises(CheckpointError, match="cannot open the network"):
            open_session(b"no network", device=device)


def test_a_pickled_recognizer_opens_on_the_requested_device(monkeypatch):
    with monkeypatch.context() as card:
        pretend_card(card, "works")
        on_card = pickle.dumps(phonemo.load(BUNDLE, device="cuda"))
        anywhere = pickle.dumps(phonemo.load(BUNDLE, device="auto"))
        assert pickle.loads(on_card).device == "cuda"
    pretend_card(monkeypatch, "falls back")
    assert pickle.loads(anywhere).device == "cpu"
    with pytest.raises(DeviceError):
        pickle.loads(on_card)
