"""Hand-made times on their way from the manifest to a prediction row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonemo.audio.frames import FrameGrid
from phonemo.corpora.manifest import Phonemes, Utterance
from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.evaluation.summary import summarize
from phonemo.train import evaluate
from phonemo.train.dataset import SpeechDataset
from phonemo.train.evaluate import (
    aligned_times,
    boundary_errors_ms,
    outputs_of,
    prediction_rows,
    validation_scores,
)
from phonemo.train.experiments.experiment_data import prepare_experiment
from tests.train.tiny_run import make_config
from tests.train.tiny_training import make_cache, make_lively

GRID = FrameGrid(field_samples=320, hop_samples=320)  # frame n is 20 n to 20 (n + 1) ms
IPA = make_inventory("phonemes", "ipa", ())
SEEN = [(0.02, 0.04), (0.04, 0.08)]


def utterance(symbols, times=SEEN, alphabet="ipa") -> Utterance:
    phonemes = Phonemes(alphabet=alphabet, source="hand", symbols=symbols, times=times)
    return Utterance(id="u", file="u.wav", emotion="anger", phonemes=phonemes)


def logits_of(*symbols: str, inventory=IPA) -> torch.Tensor:
    """One sure frame for each symbol; "-" is a blank."""
    indices = [0 if one == "-" else inventory.symbols.index(one) for one in symbols]
    return 20 * torch.eye(len(inventory))[indices]


def test_times_and_errors_by_hand():
    """a is heard in frame 1, t in frames 3 and 4; the blank between is halved: 20-50-100 ms.

    Both edges reach towards the recording's ends, 120 ms; 40 ms are too far at the left.
    """
    one = utterance(("a", "t"))
    times = aligned_times(one, IPA, logits_of("-", "a", "-", "t", "t", "-"), GRID)
    np.testing.assert_allclose(times, [(0.0, 0.05), (0.05, 0.12)])
    assert boundary_errors_ms(one, times) == [20.0, 10.0, 40.0]


def test_arpabet_times_stay_with_their_symbols():
    """AY is one symbol, so it is one in IPA."""
    one = utterance(("AY", "T"), alphabet="arpabet")
    heard = IPA.decode(IPA.encode(one.phonemes, None, None))
    times = aligned_times(one, IPA, logits_of(heard[0], heard[1], heard[1]), GRID)
    np.testing.assert_allclose(times, [(0.0, 0.02), (0.02, 0.06)])


@pytest.mark.parametrize("name", ["vowels", "broad", "phoneme_x_emotion", "characters"])
def test_other_units_have_no_times(name):
    inventory = make_inventory(name, "ipa", ("anger",), ["ta"])
    logits = torch.zeros(9, len(inventory))
    assert aligned_times(utterance(("a", "t")), inventory, logits, GRID) is None


def test_nothing_is_aligned_without_times_phonemes_inventory_or_frames():
    logits = torch.zeros(2, len(IPA))
    assert aligned_times(utterance(("a", "t"), None), IPA, logits, GRID) is None
    assert aligned_times(Utterance(id="u", file="u.wav"), IPA, logits, GRID) is None
    assert aligned_times(utterance(("a", "t")), None, logits, GRID) is None
    assert aligned_times(utterance((), ()), IPA, logits, GRID) is None
    assert aligned_times(utterance(("a", "a")), IPA, logits, GRID) is None  # three frames
    assert aligned_times(utterance(("a", "t")), IPA, logits, GRID) is not None
    assert boundary_errors_ms(utterance(("a", "t")), None) is None


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return prepare_experiment(make_config(tmp_path_factory.mktemp("timing")))


def timed_dataset(experiment, cache=None) -> SpeechDataset:
    """All utterances; every other one has hand-made times."""
    utterances = list(experiment.part(tuple(experiment.utterances)))
    for number in range(0, len(utterances), 2):
        one = utterances[number]
        times = tuple((0.01 * n, 0.01 * (n + 1)) for n in range(len(one.phonemes.symbols)))
        phonemes = one.phonemes.model_copy(update={"times": times})
        utterances[number] = one.model_copy(update={"phonemes": phonemes})
    return SpeechDataset(experiment.manifest, utterances, experiment.targets, cache)


def rows_of(found, dataset) -> list[dict]:
    targets = dataset.targets
    return prediction_rows(found, dataset, targets.labels, targets.inventory, "f", 3)


def test_rows_have_errors_where_the_manifest_has_times(experiment):
    model, dataset = make_lively(experiment), timed_dataset(experiment)
    rows = rows_of(outputs_of(model, dataset, 4), dataset)
    for number, (row, one) in enumerate(zip(rows, dataset.utterances, strict=True)):
        assert ("boundary_errors_ms" in row) == (number % 2 == 0)
        if number % 2 == 0:
            assert len(row["boundary_errors_ms"]) == len(one.phonemes.symbols) + 1
            assert max(row["boundary_errors_ms"]) < 1000 * 4000 / 16_000
    found = summarize(rows, dataset.targets.labels)["boundaries"]
    assert found["utterances"] == 12
    assert found["boundaries"] == sum(len(row.get("boundary_errors_ms", ())) for row in rows)


def test_each_utterance_is_aligned_to_its_own_valid_frames(experiment, tmp_path):
    """Whatever the batch, and whether the lower layers were kept."""
    model, dataset = make_lively(experiment), timed_dataset(experiment)
    alone = [
        row.get("boundary_errors_ms") for row in rows_of(outputs_of(model, dataset, 1), dataset)
    ]
    cached = timed_dataset(experiment, make_cache(experiment, tmp_path))
    for other, size in ((dataset, 24), (cached, 7)):
        again = rows_of(outputs_of(model, other, size), other)
        for one, row in zip(alone, again, strict=True):
            assert row.get("boundary_errors_ms") == (one and pytest.approx(one, abs=0.2))


def test_validation_aligns_nothing(experiment, monkeypatch):
    monkeypatch.setattr(evaluate, "aligned_times", None)
    scores = validation_scores(make_lively(experiment), timed_dataset(experiment), 24)
    assert "per" in scores
