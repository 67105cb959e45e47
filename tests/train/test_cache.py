"""Kept features: the same as computing them again, and of exactly the data and weights asked."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from phonemo.corpora.manifest import read_manifest
from phonemo.errors import AudioError, RunError
from phonemo.files import build_missing, file_lock, folder_lock
from phonemo.train import feature_cache as cache_module
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.feature_cache import build_cache
from phonemo.train.freezing import FrozenDepth, frozen_depth
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
#: Only a test that would otherwise never end waits so long.
SECONDS = 120


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
    features = {utterance: cache.read(utterance) for utterance in experiment.utterances}
    return {
        item: {k: np.array(v) for k, v in tensors.items()} for item, tensors in features.items()
    }


def _assert_close(first, second, tolerance: float) -> None:
    assert first.keys() == second.keys()
    for key, tensors in first.items():
        assert tensors.keys() == second[key].keys()
        for name, value in tensors.items():
            np.testing.assert_allclose(value, second[key][name], atol=tolerance, rtol=0)


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
    plain, from_cache = weights
    assert any(not torch.equal(before[name], plain[name]) for name in plain)
    for name, tensor in plain.items():
        torch.testing.assert_close(from_cache[name], tensor, atol=1e-5, rtol=0, msg=name)


def test_cached_features_equal_the_networks_output(folder, tmp_path):
    config = with_changes(make_config(folder), model=DEEP)
    experiment = prepare_experiment(config)
    cache, model = make_cache(experiment, tmp_path), make_network(experiment).eval()
    dataset = make_dataset(experiment)
    for index in (0, 7, 23):
        item = dataset[index]
        samples = torch.from_numpy(item["samples"])[None]
        with torch.no_grad():
            samples_count = torch.tensor([samples.shape[1]])
            frozen = model.forward_frozen(samples, samples_count, model.backbone.depth)
        assert int(frozen.frames) == cache.frames(item["id"])
        cached = cache.read(item["id"])
        assert cached.keys() == frozen.named().keys()
        for name, value in frozen.named().items():
            np.testing.assert_allclose(cached[name], value[0].numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "wav2vec2-group"])
def test_the_batch_size_of_the_extraction_changes_nothing(folder, tmp_path, monkeypatch, kind):
    """Group norm over time is the kind that padding would change."""
    experiment = prepare_experiment(make_config(folder, kind))
    features = []
    for size in (1, 8):
        monkeypatch.setattr(cache_module, "BATCH_UTTERANCES", size)
        features.append(_everything(make_cache(experiment, tmp_path / str(size)), experiment))
    _assert_close(*features, 1e-4)


def test_extraction_is_deterministic_and_restores_the_mode(folder, tmp_path):
    """Dropout is off while features are computed, and back on afterwards."""
    experiment = _experiment(folder)
    model, utterances = make_lively(experiment), list(experiment.utterances.values())
    model.backbone.network.encoder.layers[0].dropout.p = 0.5
    features = []
    for mode in (True, False):
        model.train(mode)
        caches = tmp_path / str(mode)
        cache = build_cache(caches, model, experiment.manifest, utterances, FrozenDepth(3))
        assert model.training == mode
        features.append(_everything(cache, experiment))
    _assert_close(*features, 0.0)


def test_an_interrupted_extraction_is_resumed(folder, tmp_path, small_shards, written):
    experiment = _experiment(folder)
    expected = _everything(make_cache(experiment, tmp_path), experiment)
    assert written == ["shard-00000", "shard-00001", "shard-00002"]
    (caches,) = tmp_path.iterdir()
    assert sorted(path.name for path in caches.iterdir() if path.is_dir()) == written
    half = caches / "shard-00001"
    half.rename(caches / "shard-00001.x.part")  # killed before the rename
    broken = caches / "shard-00002" / "acoustic.npy"
    broken.unlink()  # the memory-mapped file itself must not shrink
    broken.write_bytes(b"")  # the power went before the disk had it
    short = caches / "shard-00000" / "acoustic.npy"
    frames = np.load(short)[:-1]
    short.unlink()
    np.save(short, frames)
    written.clear()
    again = _everything(make_cache(experiment, tmp_path), experiment)
    assert written == ["shard-00000", "shard-00001", "shard-00002"]
    assert half.is_dir()
    _assert_close(expected, again, 0.0)


def test_a_failure_keeps_complete_shards(folder, tmp_path, small_shards, written, monkeypatch):
    experiment = _experiment(folder)
    save, count = np.save, []

    def failing(path, array):
        count.append(path)
        if len(count) == 4:  # two tensors a shard: in the middle of the second
            raise OSError(28, "No space left on device")
        save(path, array)

    monkeypatch.setattr(np, "save", failing)
    with pytest.raises(RunError, match="No space left on device"):
        make_cache(experiment, tmp_path)
    (caches,) = tmp_path.iterdir()
    assert [path.name for path in caches.iterdir() if path.is_dir()] == ["shard-00000"]
    written.clear()
    make_cache(experiment, tmp_path)
    assert written == ["shard-00001", "shard-00002"]


def test_existing_shards_are_opened_and_not_computed(folder, tmp_path, written):
    experiment = _experiment(folder)
    calls: list[tuple[int, int]] = []
    for _ in range(2):
        model = make_network(experiment)
        where = frozen_depth(model, experiment.config.train)
        utterances = list(reversed(experiment.utterances.values()))
        build_cache(
            tmp_path, model, experiment.manifest, utterances, where, lambda *it: calls.append(it)
        )
    assert written == ["shard-00000"]
    assert calls == [(24, 24), (24, 24)]


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


def test_normalization_and_streams_are_part_of_the_name(folder, tmp_path):
    experiment = _experiment(folder)
    utterances = list(experiment.utterances.values())[:4]
    model = make_network(experiment)
    names = []
    for normalise in (True, False):
        model.backbone.normalise = normalise
        cache = build_cache(tmp_path, model, experiment.manifest, utterances, FrozenDepth(3))
        names.append(cache.places[utterances[0].id].shard.parent.name)
    deep = prepare_experiment(with_changes(experiment.config, model=DEEP))
    cache = build_cache(
        tmp_path, make_network(deep), experiment.manifest, utterances, FrozenDepth(3)
    )
    names.append(cache.places[utterances[0].id].shard.parent.name)
    assert len(set(names)) == 3


def test_a_missing_recording_is_one_line(tmp_path):
    experiment = _experiment(tmp_path)
    (tmp_path / "corpus" / "s2-neutral-1.wav").unlink()
    with pytest.raises(AudioError, match=r"s2-neutral-1\.wav: no such file") as caught:
        make_cache(experiment, tmp_path / "caches")
    assert caught.value.code == "missing_file"
    assert "\n" not in str(caught.value)


# ---- memory


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux what is mapped")
def test_no_map_and_no_file_stays_open_while_features_are_held(folder, tmp_path, small_shards):
    experiment = _experiment(folder)
    cache = make_cache(experiment, tmp_path)
    features = [cache.read(utterance) for utterance in experiment.utterances]
    assert all(value.base is None for tensors in features for value in tensors.values()), (
        "memory of its own"
    )
    files = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert not [path for path in files if path.startswith(str(tmp_path))]
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_a_place_is_small_and_shares_its_shard(folder, tmp_path, small_shards):
    cache = make_cache(_experiment(folder), tmp_path)
    places = list(cache.places.values())
    assert len({id(place.shard) for place in places}) == 3
    assert not any(hasattr(place, "__dict__") for place in places)
    experiment = _experiment(folder)
    ids = {id(utterance) for utterance in experiment.utterances}
    again = make_cache(experiment, tmp_path)
    assert {id(place) for place in again.places} == ids, "the manifest's own strings"


# ---- several processes


def test_processes_share_the_shards_and_each_is_written_once(
    folder, tmp_path, small_shards, monkeypatch
):
    """Two threads stand for them: a lock keeps out whoever opened its file another time."""
    alone = _everything(make_cache(_experiment(folder), tmp_path / "alone"), _experiment(folder))
    began, others, written, write = threading.Event(), threading.Event(), [], None

    def watched(shard, *rest):
        first = not began.is_set()
        if first:
            began.set()
            assert others.wait(SECONDS)  # until the other has done all the rest
        write(shard, *rest)
        written.append((shard.name, threading.current_thread() is not slow))
        if len(written) == 2:
            others.set()

    write = cache_module._write_shard
    monkeypatch.setattr(cache_module, "_write_shard", watched)
    experiments, opened = [_experiment(folder) for _ in range(2)], []
    caches = tmp_path / "shared"
    slow = threading.Thread(target=lambda: opened.append(make_cache(experiments[0], caches)))
    slow.start()
    assert began.wait(SECONDS)
    opened.append(make_cache(experiments[1], caches))
    slow.join(SECONDS)
    assert written == [("shard-00001", True), ("shard-00002", True), ("shard-00000", False)]
    for cache in opened:
        _assert_close(alone, _everything(cache, experiments[0]), 0.0)
    (where,) = caches.iterdir()
    assert sorted(path.name for path in where.iterdir()) == sorted(name for name, _ in written)


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process with a signal")
def test_a_shard_whose_writer_was_killed_is_written_by_the_next_process(
    folder, forked, tmp_path, small_shards, written
):
    experiment = _experiment(folder)
    forked.start("tests.train.cache_victim", str(folder), str(tmp_path / "killed"))
    codes, errors = forked.finish(SECONDS)
    assert codes == [-signal.SIGKILL], errors
    (caches,) = (tmp_path / "killed").iterdir()
    assert (caches / "shard-00000").is_dir()
    assert not (caches / "shard-00001").exists()
    assert (caches / "shard-00001.lock").exists(), "it died with the lock in its hand"
    again = _everything(make_cache(experiment, tmp_path / "killed"), experiment)
    assert written == ["shard-00001", "shard-00002"]
    assert not list(caches.glob("*.lock"))
    expected = _everything(make_cache(experiment, tmp_path / "whole"), experiment)
    _assert_close(expected, again, 0.0)


class Sharing:
    """Work of three places in a thread, while the test holds the lock of the second."""

    def __init__(self, home: Path) -> None:
        self.places = [home / name for name in "abc"]
        self.told: queue.Queue[str] = queue.Queue()
        self.made: list[str] = []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        for place in build_missing(self.places, Path.is_file, self.make):
            self.told.put(place.name)

    def make(self, place: Path) -> None:
        self.made.append(place.name)
        place.write_text("made")

    def recognize(self) -> str:
        return self.told.get(timeout=SECONDS)


@pytest.mark.parametrize("finished", [True, False])
def test_a_shard_that_another_process_writes_is_checked_again_later(tmp_path, finished):
    sharing = Sharing(tmp_path)
    with file_lock(tmp_path / "b.lock") as mine:
        assert mine
        sharing.thread.start()
        assert [sharing.recognize(), sharing.recognize()] == ["a", "c"]
        assert not (tmp_path / "b").exists()
        if finished:
            (tmp_path / "b").write_text("the other's")
    assert sharing.recognize() == "b"
    sharing.thread.join(SECONDS)
    assert sharing.made == (["a", "c"] if finished else ["a", "c", "b"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_failure_releases_the_lock(tmp_path):
    def failing(place):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        list(build_missing([tmp_path / "a"], Path.is_file, failing))
    with file_lock(tmp_path / "a.lock") as mine:
        assert mine


def test_a_lock_excludes_others_and_a_file_alone_does_not(tmp_path):
    (tmp_path / ".lock").write_text("")  # left by a process that is gone
    with folder_lock(tmp_path):
        with file_lock(tmp_path / ".lock") as mine:
            assert not mine
        with pytest.raises(RunError, match="another process"), folder_lock(tmp_path):
            pass
    with file_lock(tmp_path / ".lock") as mine:
        assert mine


def test_the_key_of_a_recording_depends_on_its_channel_only_if_it_has_one(tmp_path):
    manifest = read_manifest(make_config(tmp_path).manifest)
    row = manifest.utterances[0]
    key = cache_module.recording_key(manifest, row)
    assert len(key) == 6
    other = row.model_copy(update={"channel": 1})
    assert cache_module.recording_key(manifest, other) == (*key, 1)
