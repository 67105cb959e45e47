"""Utterances to items to padded batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonemo.config import AugmentConfig
from phonemo.corpora.manifest import Header, Manifest, Phonemes, Utterance
from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.errors import AudioError
from phonemo.labels import LabelSet
from phonemo.model.losses import ABSENT
from phonemo.train.dataset import AugmentationSeed, SpeechDataset, TargetEncoder, collate, pad_audio
from phonemo.train.experiments.experiment_data import prepare_experiment
from tests.train.tiny_run import make_config
from tests.train.tiny_training import make_cache, make_dataset

LABELS = LabelSet(("anger", "neutral"), {"rage": "anger"})
INVENTORY = make_inventory("phonemes", "ipa", LABELS.names)
LOUD = AugmentConfig(gain_db=6, noise_snr_db=10, speed=0.1, time_masks=2, feature_masks=1)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return prepare_experiment(make_config(tmp_path_factory.mktemp("batches")))


@pytest.fixture(scope="module")
def cache(experiment, tmp_path_factory):
    return make_cache(experiment, tmp_path_factory.mktemp("cache"))


def _with_draws(experiment, cache=None, seconds=15.0, augment=LOUD, ids=()) -> SpeechDataset:
    dataset = make_dataset(experiment, ids, cache)
    dataset.draws = AugmentationSeed(augment, seconds, seed=1)
    return dataset


def _said(emotion: str | None, symbols: tuple[str, ...] | None = ("a", "t")) -> Utterance:
    phonemes = None
    if symbols is not None:
        phonemes = Phonemes(alphabet="ipa", source="test", symbols=symbols)
    return Utterance(id="x", file="x.wav", emotion=emotion, phonemes=phonemes)


def test_labels_are_merged_and_absent_is_not_zero():
    targets = TargetEncoder(LABELS, INVENTORY)
    indices = [
        targets.label(_said(emotion)) for emotion in ("anger", "rage", "neutral", "joy", None)
    ]
    assert indices == [0, 0, 1, ABSENT, ABSENT]


def test_phonemes_are_indices_of_the_inventory():
    targets = TargetEncoder(LABELS, INVENTORY)
    expected = tuple(INVENTORY.symbols.index(symbol) for symbol in ("a", "t"))
    assert targets.phonemes(_said("joy")) == expected
    assert targets.phonemes(_said("anger", None)) == ()
    assert TargetEncoder(LABELS, None).phonemes(_said("anger")) == ()


def test_emotion_dependent_phonemes_use_the_merged_emotion():
    inventory = make_inventory("phoneme_x_emotion", "ipa", LABELS.names)
    targets = TargetEncoder(LABELS, inventory)
    assert inventory.decode(targets.phonemes(_said("rage"))) == ("a/anger", "t/anger")
    assert targets.phonemes(_said(None)) == ()


def test_audio_is_padded_with_its_mask():
    padded = pad_audio([np.array([1.0, 2.0, 3.0]), np.array([4.0])])
    assert padded["input_values"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert padded["input_values"].dtype == torch.float32
    assert padded["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_batch_by_hand():
    items = [
        {"samples": np.ones(2, np.float32), "label": 1, "phonemes": (3, 4), "spans": {}},
        {"samples": np.ones(1, np.float32), "label": ABSENT, "phonemes": (), "spans": {}},
    ]
    batch = collate(items)
    assert batch["labels"].tolist() == [1, ABSENT]
    assert batch["phonemes"].tolist() == [[3, 4], [0, 0]]
    assert batch["phoneme_lengths"].tolist() == [2, 0]
    assert batch["input_values"].shape == (2, 2)
    assert "spans" not in batch
    assert "frozen" not in batch


def test_cached_features_are_padded_with_their_frames():
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    spans = {"time": np.array([[0, 1]], np.float32)}
    items = [
        {"frozen": {"cnn": rows}, "label": 0, "phonemes": (1,), "spans": spans},
        {"frozen": {"cnn": rows[:1]}, "label": 1, "phonemes": (), "spans": spans},
    ]
    batch = collate(items)
    assert batch["frozen"].frames.tolist() == [3, 1]
    assert batch["frozen"].cnn[1].tolist() == [[0, 1], [0, 0], [0, 0]]
    assert torch.equal(batch["frozen"].cnn[0], torch.from_numpy(rows))
    assert batch["spans"]["time"].shape == (2, 1, 2)
    assert "input_values" not in batch


def test_an_item_holds_the_whole_utterance(experiment):
    dataset = make_dataset(experiment)
    for index, utterance in enumerate(dataset.utterances):
        item = dataset[index]
        assert item["id"] == utterance.id
        assert len(item["samples"]) == dataset.lengths()[index]
        assert item["label"] == dataset.targets.labels.index(utterance.emotion)
        assert len(item["phonemes"]) == len(utterance.phonemes.symbols)
        assert item["spans"] == {}
        assert "whole" not in item
    assert len(dataset) == 24


def test_a_slice_of_a_file_is_read_and_measured(experiment):
    dataset_of_files = make_dataset(experiment)
    segment = dataset_of_files.utterances[0].model_copy(update={"start": 0.01, "end": 0.06})
    open_end = dataset_of_files.utterances[0].model_copy(update={"start": 0.01})
    part = SpeechDataset(experiment.manifest, [segment, open_end], experiment.targets)
    samples = dataset_of_files[0]["samples"]
    np.testing.assert_array_equal(part[0]["samples"], samples[160:960])
    np.testing.assert_array_equal(part[1]["samples"], samples[160:])
    assert part.lengths() == [800, len(samples) - 160]


def test_cached_features_have_lengths_in_frames(experiment, cache):
    dataset = make_dataset(experiment, (), cache)
    for index, frames in enumerate(dataset.lengths()):
        item = dataset[index]
        assert {len(value) for value in item["frozen"].values()} == {frames}


@pytest.mark.parametrize("kept", [False, True])
def test_an_item_depends_on_seed_epoch_and_id_alone(experiment, cache, kept):
    """In any order, in a part of other utterances, and however often it was asked for."""

    def item(epoch: int, ids: tuple[str, ...], wanted: str) -> dict:
        dataset = _with_draws(experiment, cache if kept else None, 0.05, ids=ids)
        dataset.set_epoch(epoch)
        for index in reversed(range(len(dataset))):
            _ = dataset[index]
        return dataset[ids.index(wanted)]

    def flat(flattened: dict) -> list:
        arrays = (
            [flattened["samples"]] if "samples" in flattened else list(flattened["frozen"].values())
        )
        return [array.tolist() for array in [*arrays, *flattened["spans"].values()]]

    first, second, third = list(experiment.utterances)[:3]
    flattened = flat(item(2, (first, second), first))
    assert flattened == flat(item(2, (third, first), first))
    assert flattened != flat(item(3, (first, second), first))


def test_evaluation_is_never_cropped_nor_augmented(experiment, cache):
    for features in (None, cache):
        plain = make_dataset(experiment, (), features)
        plain.set_epoch(3)
        short = _with_draws(experiment, features, seconds=0.05)
        assert plain.draws is None
        assert short[0]["phonemes"] == ()
        key = "samples" if features is None else "frozen"
        uncropped = plain[0][key] if features is None else plain[0][key]["acoustic"]
        cut = short[0][key] if features is None else short[0][key]["acoustic"]
        assert len(cut) < len(uncropped)
        assert plain[0]["phonemes"]


def test_a_cropped_utterance_has_no_phoneme_target(experiment):
    """Nobody knows which of its phonemes are left."""
    still = AugmentConfig()
    for seconds in (0.05, 5.0):
        dataset = _with_draws(experiment, None, seconds, still)
        item = dataset[0]
        assert bool(item["phonemes"]) == (seconds == 5.0)
        uncropped = make_dataset(experiment)[0]["samples"]
        assert len(item["samples"]) == (800 if seconds == 0.05 else len(uncropped))


def test_cached_features_are_cropped_together(experiment, cache):
    """Fifty frames a second: 0.2 s leaves ten neighbouring frames, the same in every tensor."""
    dataset = _with_draws(experiment, cache, 0.2, AugmentConfig())
    starts = set()
    for epoch in range(8):
        dataset.set_epoch(epoch)
        item, uncropped = dataset[0], cache.read(dataset.utterances[0].id)
        assert item["phonemes"] == ()
        acoustic = item["frozen"]["acoustic"]
        assert len(acoustic) == 10
        start = int(np.flatnonzero((uncropped["acoustic"] == acoustic[0]).all(axis=1))[0])
        for name, value in item["frozen"].items():
            np.testing.assert_array_equal(value, uncropped[name][start : start + 10])
        starts.add(start)
    assert len(starts) > 4


@pytest.mark.parametrize("kept", [False, True])
def test_spans_are_drawn_inside_the_item(experiment, cache, kept):
    dataset = _with_draws(experiment, cache if kept else None)
    for index in range(len(dataset)):
        item = dataset[index]
        frames = cache.frames(item["id"]) if kept else len(item["samples"]) // 320
        assert item["spans"]["time"].max() <= frames + 1
        assert item["spans"]["feature"].max() <= 1
    batch = collate([dataset[0], dataset[1]])
    assert batch["spans"]["time"].shape == (2, 2, 2)


def test_a_missing_recording_is_an_audio_error():
    header = Header(corpus="none", root="nowhere", phonemo="test")
    manifest = Manifest(header=header, utterances=(_said("anger"),))
    dataset = SpeechDataset(manifest, manifest.utterances, TargetEncoder(LABELS, None))
    with pytest.raises(AudioError, match=r"x\.wav"):
        dataset.lengths()
    with pytest.raises(AudioError, match=r"x\.wav"):
        dataset[0]
