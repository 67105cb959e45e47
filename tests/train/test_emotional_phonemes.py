"""The inventory of emotional phonemes: planted information is found, on the training part alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from phonemo.corpora.manifest import Phonemes
from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.errors import ModelError, PhonemeError, ProtocolError
from phonemo.train.experiments import emotional_phonemes
from phonemo.train.experiments.emotional_phonemes import (
    measure_information,
    with_emotional_phonemes,
)
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from tests.train.tiny_run import make_config, with_changes

EMOTIONS = ("anger", "sadness")
AUXILIARY = {"inventory": "emotional", "emotional_phonemes": 2}


class Planted:
    """Stands for a feature cache: each phoneme has a code, and one of them carries the emotion."""

    def __init__(self, rows, carrier: str) -> None:
        draw = np.random.default_rng(0)
        codes = {symbol: draw.normal(0, 3, 12) for symbol in ("a", "i", "n", "s", "m")}
        self.clips = {}
        for row in rows:
            frames = []
            for symbol in row.phonemes.symbols:
                mood = np.zeros(12)
                mood[0] = (2.0 if row.emotion == "anger" else -2.0) * (symbol == carrier)
                frames += [codes[symbol] + mood + draw.normal(0, 0.4, 12) for _ in range(4)]
                frames += [draw.normal(0, 0.4, 12)]
            self.clips[row.id] = np.array(frames, dtype=np.float32)

    def read(self, utterance):
        return {"layer_1": self.clips[utterance], "acoustic": self.clips[utterance]}


def planted(tmp_path, carrier="i", rare=0, **auxiliary):
    """Four phonemes in 120 utterances, and m in so many of them."""
    changes = {"auxiliary": AUXILIARY | auxiliary}
    experiment = prepare_experiment(with_changes(make_config(tmp_path), model=changes))
    sample = next(iter(experiment.utterances.values()))
    draw = np.random.default_rng(1)
    rows = {}
    for number in range(120):
        symbols = (*draw.permutation(["a", "i", "n", "s"]), *["m"] * (number < rare))
        rows[f"u{number}"] = sample.model_copy(
            update={
                "id": f"u{number}",
                "speaker": f"s{number % 4}",
                "emotion": EMOTIONS[number // 4 % 2],
                "transcript": None,
                "phonemes": Phonemes(alphabet="ipa", source="g2p", symbols=symbols),
            }
        )
    experiment = replace(experiment, utterances=rows)
    return experiment, Planted(rows.values(), carrier)


@pytest.mark.parametrize("carrier", ["i", "n"])
def test_the_phoneme_that_carries_the_emotion_is_found(tmp_path, carrier):
    experiment, cache = planted(tmp_path, carrier)
    measured = measure_information(experiment, list(experiment.utterances), cache, seed=1)
    best, *others = measured
    assert (best.symbol, best.utterances) == (carrier, 120)
    assert 0.5 < best.bits <= 1.0  # two emotions hold one bit
    assert all(row.bits < 0.2 for row in others)


def test_own_sound_is_measured_and_not_what_attention_adds(tmp_path):
    experiment, cache = planted(tmp_path, "n")
    attended = Planted(experiment.utterances.values(), "i").clips
    cache.read = lambda name: {"layer_1": attended[name], "acoustic": cache.clips[name]}
    best, *others = measure_information(experiment, list(experiment.utterances), cache, seed=1)
    assert best.symbol == "n"
    assert all(row.bits < 0.2 for row in others)
    cache.read = lambda name: {"layer_1": attended[name]}  # a fusion without convolutions
    measured = measure_information(experiment, list(experiment.utterances), cache, seed=1)
    assert measured[0].symbol == "i"


@pytest.mark.parametrize(("sentences", "recognized"), [(2, True), (20, False)])
def test_few_sentences_are_aligned_by_a_recognizer(tmp_path, monkeypatch, sentences, recognized):
    experiment, cache = planted(tmp_path)
    rows = {
        name: row.model_copy(update={"transcript": f"text {number % sentences}"})
        for number, (name, row) in enumerate(experiment.utterances.items())
    }
    asked = []

    def posteriors_of(bundle, manifest, inventory, grid):
        asked.append(bundle.name)
        raise ModelError("other frames")  # so that a layer is fitted after all

    monkeypatch.setattr(emotional_phonemes, "posteriors_of", posteriors_of)
    experiment = replace(experiment, utterances=rows)
    assert measure_information(experiment, list(rows), cache, seed=1)[0].symbol == "i"
    assert asked == (["phonemo-open"] if recognized else [])


def test_the_inventory_keeps_the_best_and_merges_the_rest(tmp_path):
    experiment, cache = planted(tmp_path)
    ids = [name for name, row in experiment.utterances.items() if row.speaker != "s0"]
    changed, measured = with_emotional_phonemes(experiment, ids, cache, seed=1)
    chosen = [row.symbol for row in measured if row.chosen]
    inventory = changed.targets.inventory
    assert len(chosen) == 2
    assert chosen[0] == "i"
    assert set(inventory.symbols) >= {*chosen, "vowel", "nasal", "fricative"}
    row = experiment.utterances["u1"]
    kept = inventory.decode(inventory.encode(row.phonemes, None, None))
    classes = {"a": "vowel", "i": "vowel", "n": "nasal", "s": "fricative"}
    expected = [s if s in chosen else classes[s] for s in row.phonemes.symbols]
    assert list(kept) == expected


@pytest.mark.parametrize("choice", ["highest", "lowest"])
def test_what_is_chosen_was_measured(tmp_path, choice):
    experiment, cache = planted(
        tmp_path,
        rare=39,
        emotional_choice=choice,
        emotional_phonemes=4 if choice == "highest" else 2,
    )
    _, measured = with_emotional_phonemes(experiment, list(experiment.utterances), cache, seed=1)
    known = [row.symbol for row in measured if row.symbol != "m"]
    assert len(measured) == len(known) + 1
    assert measured[-1].symbol != "m", "a phoneme that was not measured is not last"
    chosen = {row.symbol for row in measured if row.chosen}
    assert chosen == set(known if choice == "highest" else known[2:])


@pytest.mark.parametrize(("choice", "count", "needed"), [("highest", 5, 5), ("lowest", 3, 6)])
def test_too_few_phonemes_to_choose_from_are_one_line(tmp_path, choice, count, needed):
    experiment, cache = planted(
        tmp_path, rare=39, emotional_choice=choice, emotional_phonemes=count
    )
    with pytest.raises(ProtocolError) as caught:
        with_emotional_phonemes(experiment, list(experiment.utterances), cache, seed=1)
    assert str(caught.value) == (
        f"inventory emotional: expected {needed} phonemes in 40 utterances or more of the training "
        "part, got 4; lower model.auxiliary.emotional_phonemes"
    )


def test_only_the_given_utterances_are_read(tmp_path):
    experiment, cache = planted(tmp_path)
    ids = [name for name, row in experiment.utterances.items() if row.speaker != "s0"]
    for name in set(experiment.utterances) - set(ids):
        del cache.clips[name]
    assert measure_information(experiment, ids, cache, seed=1)[0].utterances == len(ids)


def test_utterances_without_an_emotion_are_not_measured_as_one(tmp_path):
    experiment, cache = planted(tmp_path)
    labeled = list(experiment.utterances)
    expected = measure_information(experiment, labeled, cache, seed=1)
    rows = dict(experiment.utterances)
    for name in labeled[:60]:  # rated, without an agreed emotion
        rated = {"id": f"{name}x", "emotion": None, "arousal": 0.5}
        rows[f"{name}x"] = rows[name].model_copy(update=rated)
        cache.clips[f"{name}x"] = cache.clips[name]
    experiment = replace(experiment, utterances=rows)
    assert measure_information(experiment, list(rows), cache, seed=1) == expected


def test_one_emotion_has_no_bits(tmp_path):
    experiment, cache = planted(tmp_path)
    rows = {
        name: row.model_copy(update={"emotion": "anger"})
        for name, row in experiment.utterances.items()
    }
    experiment = replace(experiment, utterances=rows)
    assert {row.bits for row in measure_information(experiment, list(rows), cache, seed=1)} == {0}


def test_without_frozen_layers_it_is_refused(tmp_path):
    experiment, _ = planted(tmp_path)
    with pytest.raises(ProtocolError, match=r"set train\.strategy to frozen or top_k"):
        with_emotional_phonemes(experiment, list(experiment.utterances), None, seed=1)


def test_one_speaker_is_too_few(tmp_path):
    experiment, cache = planted(tmp_path)
    ids = [name for name, row in experiment.utterances.items() if row.speaker == "s0"]
    with pytest.raises(ProtocolError, match="2 speakers or more"):
        measure_information(experiment, ids, cache, seed=1)


def test_a_chosen_symbol_outside_the_alphabet_is_refused():
    with pytest.raises(PhonemeError, match="phonemes outside ipa: QQ"):
        make_inventory("emotional", "ipa", EMOTIONS, chosen=["a", "QQ"])


def test_a_run_lists_the_measured_phonemes(tmp_path, monkeypatch):
    monkeypatch.setattr(emotional_phonemes, "_LEAST_UTTERANCES", 6)
    config = with_changes(make_config(tmp_path, epochs=1), model={"auxiliary": AUXILIARY})
    run(config, "test")
    found = [
        json.loads(p.read_text()) for p in sorted(tmp_path.glob("runs/tiny/seed-1/*/metrics.json"))
    ]
    assert found
    for metrics in found:
        assert sum(row["chosen"] for row in metrics["phonemes"]) == 2
