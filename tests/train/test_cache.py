"""Kept features: the same as computing them again, and of exactly the data and weights asked."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from phonemo.errors import AudioError
from phonemo.train import cache as cache_module
from phonemo.train.cache import build_cache
from phonemo.train.experiment import Experiment, prepare_experiment
from phonemo.train.strategies import Boundary, boundary
from tests.train.tiny_run import make_config, make_corpus, with_changes
from tests.train.tiny_training import (
    copy_state,
    make_cache,
    make_dataset,
    make_lively,
    make_network,
    make_trainer,
)

DEEP = {"acoustic": "lower_mix", "semantic": "all_mix"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cached")


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(cache_module, "SHARD_UTTERANCES", 9)


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """Names of the shards that are computed from now on."""
    names, write = [], cache_module._write_shard

    def spy(shard, *rest):
        names.append(shard.name)
        write(shard, *rest)

    monkeypatch.setattr(cache_module, "_write_shard", spy)
    return names


def _experiment(folder: Path, **train) -> Experiment:
    return prepare_experiment(make_config(folder, **train))


def _everything(cache, experiment) -> dict[str, dict[str, np.ndarray]]:
    found = {one: cache.read(one) for one in experiment.utterances}
    return {one: {k: np.array(v) for k, v in kept.items()} for one, kept in found.items()}


def _assert_close(one, other, tolerance: float) -> None:
    assert one.keys() == other.keys()
    for key, kept in one.items():
        assert kept.keys() == other[key].keys()
        for name, value in kept.items():
            np.testing.assert_allclose(value, other[key][name], atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ({"strategy": "frozen"}, {}),
        ({"strategy": "frozen", "augment": {"feature_masks": 2}}, DEEP),
        ({"strategy": "top_k", "top_k": 1}, {}),
        ({"strategy": "top_k", "top_k": 2}, DEEP),
        ({"strategy": "gradual", "top_k": 3, "epochs": 3}, {}),
        ({"strategy": "lora"}, {}),
        ({"strategy": "freeze_cnn", "augment": {"feature_masks": 2}}, {}),
    ],
)
def test_cached_training_equals_uncached(folder, tmp_path, settings, model):
    """Dropout, masks, schedule, selection and all: the kept features stand for the frozen part."""
    settings = {"epochs": 1, "rate_backbone": 1e-3} | settings
    config = with_changes(make_config(folder, **settings), model=model)
    weights = []
    for cached in (False, True):
        trainer = make_trainer(config, tmp_path / str(cached), cached)
        before = copy_state(trainer.network)
        assert (trainer.training.cache is not None) == cached
        trainer.resume_or_start()
        weights.append(copy_state(trainer.network))
    plain, kept = weights
    assert any(not torch.equal(before[name], plain[name]) for name in plain)
    for name, tensor in plain.items():
        torch.testing.assert_close(kept[name], tensor, atol=1e-5, rtol=0, msg=name)


def test_what_is_kept_is_what_the_network_gives(folder, tmp_path):
    config = with_changes(make_config(folder), model=DEEP)
    experiment = prepare_experiment(config)
    cache, model = make_cache(experiment, tmp_path), make_network(experiment).eval()
    dataset = make_dataset(experiment)
    for index in (0, 7, 23):
        item = dataset[index]
        samples = torch.from_numpy(item["samples"])[None]
        with torch.no_grad():
            lower = model.lower(samples, torch.tensor([samples.shape[1]]), model.backbone.depth)
        assert int(lower.pop("frames")) == cache.frames(item["id"])
        kept = cache.read(item["id"])
        assert kept.keys() == lower.keys()
        for name, value in lower.items():
            np.testing.assert_allclose(kept[name], value[0].numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "wav2vec2-group"])
def test_the_batch_size_of_the_extraction_changes_nothing(folder, tmp_path, monkeypatch, kind):
    """Group norm over time is the kind that padding would change."""
    experiment = prepare_experiment(make_config(folder, kind))
    found = []
    for size in (1, 8):
        monkeypatch.setattr(cache_module, "BATCH_UTTERANCES", size)
        found.append(_everything(make_cache(experiment, tmp_path / str(size)), experiment))
    _assert_close(*found, 1e-4)


def test_extraction_is_deterministic_and_leaves_the_mode(folder, tmp_path):
    """Dropout is off while features are computed, and back on afterwards."""
    experiment = _experiment(folder)
    model, utterances = make_lively(experiment), list(experiment.utterances.values())
    model.backbone.network.encoder.layers[0].dropout.p = 0.5
    found = []
    for mode in (True, False):
        model.train(mode)
        home = tmp_path / str(mode)
        cache = build_cache(home, model, experiment.manifest, utterances, Boundary(3))
        assert model.training == mode
        found.append(_everything(cache, experiment))
    _assert_close(*found, 0.0)


def test_an_interrupted_extraction_goes_on(folder, tmp_path, small_shards, written):
    experiment = _experiment(folder)
    whole = _everything(make_cache(experiment, tmp_path), experiment)
    assert written == ["shard-00000", "shard-00001", "shard-00002"]
    (home,) = tmp_path.iterdir()
    assert sorted(path.name for path in home.iterdir() if path.is_dir()) == written
    half = home / "shard-00001"
    half.rename(home / "shard-00001.x.part")  # killed before the rename
    broken = home / "shard-00002" / "acoustic.npy"
    broken.unlink()  # the memory-mapped file itself must not shrink
    broken.write_bytes(b"")  # the power went before the disk had it
    cache_module._open.cache_clear()
    written.clear()
    again = _everything(make_cache(experiment, tmp_path), experiment)
    assert written == ["shard-00001", "shard-00002"]
    assert half.is_dir()
    _assert_close(whole, again, 0.0)


def test_a_failure_leaves_whole_shards_alone(folder, tmp_path, small_shards, written, monkeypatch):
    experiment = _experiment(folder)
    save, count = np.save, []

    def failing(path, array):
        count.append(path)
        if len(count) == 4:  # two tensors a shard: in the middle of the second
            raise OSError(28, "No space left on device")
        save(path, array)

    monkeypatch.setattr(np, "save", failing)
    with pytest.raises(OSError, match="No space"):
        make_cache(experiment, tmp_path)
    (home,) = tmp_path.iterdir()
    kept = [path.name for path in home.iterdir() if path.is_dir() and path.suffix != ".part"]
    assert kept == ["shard-00000"]
    written.clear()
    make_cache(experiment, tmp_path)
    assert written == ["shard-00001", "shard-00002"]


def test_what_is_there_is_opened_and_not_computed(folder, tmp_path, written):
    experiment = _experiment(folder)
    told: list[tuple[int, int]] = []
    for _ in range(2):
        model = make_network(experiment)
        where = boundary(model, experiment.config.train)
        utterances = list(reversed(experiment.utterances.values()))
        build_cache(
            tmp_path, model, experiment.manifest, utterances, where, lambda *it: told.append(it)
        )
    assert written == ["shard-00000"]
    assert told == [(24, 24), (24, 24)]


def test_other_data_or_weights_make_another_cache(tmp_path):
    """Each change alone gives a new folder; without any change it is the old one."""
    make_corpus(tmp_path / "corpus")
    caches = tmp_path / "caches"

    def homes(**train) -> int:
        make_cache(_experiment(tmp_path, **train), caches)
        return len(list(caches.iterdir()))

    assert homes() == homes() == 1
    audio = tmp_path / "corpus" / "s1-anger-0.wav"
    samples, rate = soundfile.read(audio)
    before = audio.stat()
    soundfile.write(audio, samples[::-1], rate, subtype="PCM_16")  # the same size
    os.utime(audio, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert homes() == 2
    soundfile.write(audio, samples[:-1], rate, subtype="PCM_16")
    os.utime(audio, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same time, another size
    assert homes() == 3
    assert homes(strategy="top_k", top_k=1) == 4
    assert homes(strategy="freeze_cnn") == 5
    _change_backbone(tmp_path / "backbone-wav2vec2-layer")
    assert homes() == 6
    assert homes() == 6


def _change_backbone(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "encoder.layers.0.feed_forward.output_dense.bias"
    weights[name][0] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_normalising_and_streams_are_part_of_the_name(folder, tmp_path):
    experiment = _experiment(folder)
    utterances = list(experiment.utterances.values())[:4]
    model = make_network(experiment)
    names = []
    for normalise in (True, False):
        model.backbone.normalise = normalise
        cache = build_cache(tmp_path, model, experiment.manifest, utterances, Boundary(3))
        names.append(cache.places[utterances[0].id].shard.parent.name)
    deep = prepare_experiment(with_changes(experiment.config, model=DEEP))
    cache = build_cache(tmp_path, make_network(deep), experiment.manifest, utterances, Boundary(3))
    names.append(cache.places[utterances[0].id].shard.parent.name)
    assert len(set(names)) == 3


def test_a_missing_recording_is_one_line(tmp_path):
    experiment = _experiment(tmp_path)
    (tmp_path / "corpus" / "s2-neutral-1.wav").unlink()
    with pytest.raises(AudioError, match=r"s2-neutral-1\.wav: no such file") as caught:
        make_cache(experiment, tmp_path / "caches")
    assert caught.value.code == "missing_file"
    assert "\n" not in str(caught.value)
