"""--device of predict, adapt and batch."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import soundfile
from typer.testing import CliRunner

from phonemo.batch import run
from phonemo.batch.engines import _places
from phonemo.batch.job import BatchOptions, ExecutorOptions
from phonemo.batch.run import Batch
from phonemo.cli.main import app
from phonemo.errors import DeviceError, UsageError
from phonemo.loader import model_digest
from tests.runtime.cards import pretend_card
from tests.tiny_bundle import ADAPTABLE, BUNDLE, CLIPS, RATE, make_clip


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, make_clip(*CLIPS["long"]), RATE)
    return str(path)


def invoke(*arguments: str):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def batch_of(device: str, workers: int | None = None) -> Batch:
    options = BatchOptions(model=str(BUNDLE), model_sha256=model_digest(BUNDLE), device=device)
    return Batch("out", options, ExecutorOptions(workers=workers))


def test_predict_stops_without_the_requested_card(monkeypatch, clip):
    pretend_card(monkeypatch, "falls back")
    result = invoke("predict", clip, "--model", BUNDLE, "--device", "cuda")
    assert isinstance(result.exception, DeviceError)
    assert not result.stdout


def test_predict_says_which_device_auto_is(monkeypatch, clip):
    plain = invoke("predict", clip, "--model", BUNDLE)
    pretend_card(monkeypatch, "works")
    result = invoke("predict", clip, "--model", BUNDLE, "--device", "auto")
    assert result.stderr == "phonemo: device auto: cuda\n"
    assert json.loads(result.stdout) == json.loads(plain.stdout)
    assert not invoke("predict", clip, "--model", BUNDLE, "--device", "auto", "--quiet").stderr


def test_adapt_opens_its_model_on_the_device(monkeypatch, clip, tmp_path):
    opened = pretend_card(monkeypatch, "works")
    profile = tmp_path / "profile.json"
    invoke("adapt", clip, "--model", ADAPTABLE, "--device", "cuda:1", "-o", profile)
    assert opened[0][0][1]["device_id"] == "1"


def test_an_unknown_device_is_a_usage_error_of_every_command(clip, tmp_path):
    for command in (
        ["predict", clip, "--device", "gpu"],
        ["adapt", clip, "--device", "gpu", "-o", tmp_path / "profile.json"],
        ["batch", clip, "--device", "gpu", "-o", tmp_path / "batch"],
    ):
        result = invoke(*command)
        assert isinstance(result.exception, UsageError), command


def test_a_batch_on_a_card_is_one_process_with_decoding_threads(monkeypatch):
    opened = pretend_card(monkeypatch, "works")
    batch = batch_of("auto")
    resolved = run._resolved(batch, run._check(batch))
    assert resolved.options.device == "cuda", "the folder says which it is"
    assert resolved.engine.workers == 1
    chosen = batch_of("auto", workers=3)
    assert run._resolved(chosen, run._check(chosen)).engine.workers == 3
    assert opened[0][0][0] == "CUDAExecutionProvider"


def test_a_card_of_ray_need_not_be_on_the_machine_of_the_command(monkeypatch):
    pretend_card(monkeypatch, "falls back")
    monkeypatch.setattr(run, "needs_ray", lambda address: None)
    batch = replace(batch_of("cuda"), engine=ExecutorOptions("ray"))
    resolved = run._resolved(batch, run._check(batch))
    assert (resolved.options.device, resolved.engine.workers) == ("cuda", None)


def test_ray_has_an_actor_for_each_card():
    def cluster(**resources: float) -> SimpleNamespace:
        return SimpleNamespace(cluster_resources=lambda: resources)

    assert _places(cluster(CPU=8.0, GPU=2.0), "cuda") == 2
    assert _places(cluster(CPU=8.0, GPU=2.0), "auto") == 8
    with pytest.raises(DeviceError, match="expected GPUs in the Ray cluster"):
        _places(cluster(CPU=8.0), "cuda")


def test_a_batch_is_resumed_on_its_own_device():
    card, cpu = batch_of("cuda").options, batch_of("cpu").options
    assert card.differences(cpu) == ["device: expected 'cuda', got 'cpu'"]
    assert "device" not in cpu.model_dump(), "folders of earlier versions have none"
