"""A whole study: what is tested, picked, kept and refused."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from phonemo.corpora.manifest import read_manifest
from phonemo.errors import (
    AudioError,
    ConfigError,
    LabelError,
    LeakageError,
    ProtocolError,
    RunError,
)
from phonemo.evaluation.transfer.transfer_schema import Transfer
from phonemo.files import file_lock, folder_lock
from phonemo.labels.label_sets import LabelSet
from phonemo.train.callbacks import RunProgress
from phonemo.train.provenance import Provenance, provenance_from
from phonemo.train.transfer import study_run as protocol
from phonemo.train.transfer import vectors
from phonemo.train.transfer.corpora import Corpus
from phonemo.train.transfer.study import StudyBench
from phonemo.train.transfer.study_run import StudyPart, transfer
from tests.train.transfer.planted import Planted, PlantedNetwork, conditions, relabelled, study_of

#: The last one is far from the others, which are near each other.
NEAR = (Planted("one"), Planted("two", shift=0.5, stretch=1.2), Planted("three", shift=-0.5))
FAR = Planted("far", shift=12.0, stretch=0.7)
SEARCH = {"statistics": [[2], [1]], "inverse_penalty": [0.01, 1.0], "k_mean": [0, 5]}


def run(config: Any, part: StudyPart | None = None) -> dict[str, Any]:
    return transfer(config, "phonemo transfer tiny.yaml", part)


# What adaptation does -----------------------------------------------------------------------------


def test_a_shifted_source_is_near_chance_unadapted_and_correct_when_adapted(
    tmp_path, network
) -> None:
    results = run(study_of(tmp_path, (*NEAR, FAR), ["far"]))
    tested = conditions(results, "far")
    assert tested["single"]["ua"]["mean"] < 0.5
    assert tested["pool-all"]["ua"]["mean"] > 0.95
    assert tested["pool-20"]["ua"]["mean"] > 0.8
    assert tested["speaker"]["ua"]["mean"] > 0.95
    assert tested["pool-1"]["ua"]["mean"] >= tested["single"]["ua"]["mean"] - 0.01
    assert tested["single"]["recalls"].keys() == {"anger", "neutral", "sadness"}


def test_speakers_with_different_shifts_gain_from_speaker_profiles(tmp_path, network) -> None:
    mixed = Planted("mixed", speaker_shift=5.0, speakers=6)
    tested = conditions(run(study_of(tmp_path, (*NEAR, mixed), ["mixed"])), "mixed")
    assert tested["speaker"]["ua"]["mean"] > tested["pool-all"]["ua"]["mean"] + 0.1


def test_the_results_have_every_requested_part(tmp_path, network) -> None:
    config = study_of(tmp_path, NEAR, ["one", "two"], seeds=[1, 2])
    results = Transfer.model_validate(run(config))
    names = ["single", "pool-1", "pool-5", "pool-20", "pool-all", "speaker"]
    names += ["even-20", "25-per-cent-20", "50-per-cent-20"]
    (system,) = results.systems
    for tested_corpus in system.corpora:
        assert [condition.name for condition in tested_corpus.conditions] == names
        runs = {condition.name: condition.runs for condition in tested_corpus.conditions}
        assert (runs["single"], runs["pool-5"], runs["even-20"]) == (2, 4, 4)
        assert all(
            condition.ua.low <= condition.ua.mean <= condition.ua.high
            for condition in tested_corpus.conditions
        )
        assert (tested_corpus.utterances, tested_corpus.speakers, tested_corpus.seeds) == (
            72,
            4,
            (1, 2),
        )
    assert [condition.name for condition in system.mean] == names
    for mean, first, second in zip(
        system.mean, *(tested_corpus.conditions for tested_corpus in system.corpora), strict=True
    ):
        assert mean.ua.mean == pytest.approx((first.ua.mean + second.ua.mean) / 2)
    assert results.unfinished == 0
    assert (Path(config.output) / "transfer.json").is_file()


def test_the_mean_is_over_the_named_corpora(tmp_path, network) -> None:
    results = run(study_of(tmp_path, (*NEAR, FAR), ["one", "far"], mean_over=["one"]))
    (system,) = results["systems"]
    assert results["averaged"] == ["one"]
    mean = {condition["name"]: condition["ua"]["mean"] for condition in system["mean"]}
    assert mean["single"] == conditions(results, "one")["single"]["ua"]["mean"] > 0.9


# Nested choice ------------------------------------------------------------------------------------


def test_the_better_state_is_picked_and_recorded(tmp_path, network) -> None:
    results = run(study_of(tmp_path, NEAR, ["one"], system=SEARCH))
    (tested_corpus,) = results["systems"][0]["corpora"]
    assert tested_corpus["combinations"] == 8
    assert tested_corpus["picked"][0]["choice"]["statistics"] == [1]
    assert 0.9 < tested_corpus["picked"][0]["score"] <= 1
    (cell,) = Path(tmp_path / "study" / "cells").glob("linear/one-*.json")
    candidates = json.loads(cell.read_text())["candidates"]
    assert (
        max(candidate["score"] for candidate in candidates) == tested_corpus["picked"][0]["score"]
    )
    assert [candidate["statistics"] for candidate in candidates] == [[2]] * 4 + [[1]] * 4


def test_labels_of_the_left_out_corpus_change_neither_picks_nor_heads(tmp_path, network) -> None:
    """The same study with the tested corpus' labels exchanged: only its scores differ."""
    pair = {}
    for name in ("as-it-is", "poisoned"):
        config = study_of(tmp_path / name, (*NEAR, FAR), ["far"], system=SEARCH)
        if name == "poisoned":
            exchanged = {"anger": "sadness", "sadness": "neutral", "neutral": "anger"}
            relabelled(tmp_path / name / "corpora" / "far.jsonl", exchanged)
        pair[name] = run(config)
    tested_corpora = {name: result["systems"][0]["corpora"][0] for name, result in pair.items()}
    for key in ("picked", "calibration", "combinations"):
        assert tested_corpora["as-it-is"][key] == tested_corpora["poisoned"][key]
    heads = {
        name: {path.name: path.read_bytes() for path in (tmp_path / name).rglob("heads/*.npz")}
        for name in pair
    }
    # recordings are told apart by their time on the disk too, and so the names of heads
    assert sorted(heads["as-it-is"].values()) == sorted(heads["poisoned"].values())
    vectors = [
        [path.read_bytes() for path in sorted((tmp_path / name / "vectors").rglob("*.npy"))]
        for name in pair
    ]
    assert vectors[0] == vectors[1] != []
    scores = [conditions(result, "far")["pool-all"]["ua"]["mean"] for result in pair.values()]
    assert scores[0] > 0.9
    assert scores[1] < 0.1


def test_predictions_on_left_out_corpora_calibrate(tmp_path, network) -> None:
    results = run(study_of(tmp_path, (*NEAR, FAR), ["far"]))
    (tested_corpus,) = results["systems"][0]["corpora"]
    assert {entry["adapted"] for entry in tested_corpus["calibration"]} == {False, True}
    assert all(condition["utterances"] == 3 * 72 for condition in tested_corpus["calibration"])
    for condition in tested_corpus["conditions"]:
        assert 0 <= condition["coverage"] <= 1
    adapted = conditions(results, "far")["pool-all"]
    assert adapted["error"] < 0.1
    assert adapted["coverage"] > 0.5


def test_one_training_corpus_is_enough_if_nothing_is_picked(tmp_path, network) -> None:
    results = run(study_of(tmp_path, NEAR[:2], ["one"]))
    (tested_corpus,) = results["systems"][0]["corpora"]
    assert tested_corpus["picked"][0]["score"] is None
    assert conditions(results, "one")["single"]["coverage"] == 1
    with pytest.raises(ProtocolError, match="to pick among 8 combinations, got two alone"):
        run(study_of(tmp_path / "other", NEAR[:2], ["one"], system=SEARCH))


def test_a_pool_with_too_few_recordings_of_an_emotion_is_skipped(tmp_path, network) -> None:
    few = Planted("few", takes=1)
    results = run(study_of(tmp_path, (*NEAR, few), ["few", "one"]))
    assert "even-20" not in conditions(results, "few")
    assert "even-20" in conditions(results, "one")
    names = [condition["name"] for condition in results["systems"][0]["mean"]]
    assert "even-20" not in names
    assert "pool-20" in names


# Resuming -----------------------------------------------------------------------------------------


def test_a_repeated_study_reads_and_fits_nothing(tmp_path, network, monkeypatch) -> None:
    config = study_of(tmp_path, NEAR, ["one", "two"], system=SEARCH)
    first, read = run(config), network.read
    monkeypatch.setattr("phonemo.train.transfer.study.fit_head", None)
    assert run(config) == first
    assert network.read == read


def test_an_interrupted_study_gives_the_same_results(tmp_path, network, monkeypatch) -> None:
    config = study_of(tmp_path, NEAR, ["one", "two"], system=SEARCH)
    uninterrupted = run(config)
    stopped = config.model_copy(update={"output": str(tmp_path / "stopped")})
    part = run(stopped, StudyPart(left_out=["two"]))
    assert [corpus["left_out"] for corpus in part["systems"][0]["corpora"]] == ["two"]
    assert (part["unfinished"], part["systems"][0]["mean"]) == (1, [])
    for path in (tmp_path / "stopped" / "heads").glob("*.npz"):
        path.write_bytes(b"broken")  # as after a lost disk; a cell that is written needs none
    assert run(stopped) == uninterrupted


def test_vectors_of_an_interrupted_corpus_are_kept(tmp_path, network, monkeypatch) -> None:
    monkeypatch.setattr("phonemo.train.transfer.vectors._BLOCK", 10)
    config = study_of(tmp_path, NEAR, ["one"])
    uninterrupted = run(config.model_copy(update={"output": str(tmp_path / "else" / "study")}))
    before, read = network.vectors, network.read

    def stopped(samples, names):
        if network.read == read + 25:
            raise KeyboardInterrupt
        return before(samples, names)

    monkeypatch.setattr(network, "vectors", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    monkeypatch.setattr(network, "vectors", before)
    assert run(config) == uninterrupted
    assert network.read == read + 25 + 3 * 72 - 20  # two blocks of ten were whole
    assert list((tmp_path / "vectors").rglob("*.0*.npy")) == []


def test_two_studies_compute_vectors_in_turn(tmp_path, network, monkeypatch) -> None:
    config = study_of(tmp_path, NEAR, ["one"])
    run(config)
    for path in (tmp_path / "vectors").rglob("*.npy"):
        path.unlink()
    locks = list((tmp_path / "vectors").rglob(".lock"))
    assert len(locks) == 3, "one for each corpus"
    other = config.model_copy(update={"output": str(tmp_path / "other")})
    compute, begun, tried = vectors._compute, [], threading.Event()

    def computed(paths: Any, *rest: Any) -> None:
        begun.append(next(iter(paths.values())).parent)
        compute(paths, *rest)

    def locked(file: Path, wait: bool = False) -> Any:
        if file == locks[0]:
            tried.set()
        return file_lock(file, wait)

    monkeypatch.setattr(vectors, "_compute", computed)
    monkeypatch.setattr(vectors, "file_lock", locked)
    with ThreadPoolExecutor() as pool:
        with file_lock(locks[0]) as acquired:
            waiting = pool.submit(run, other)
            assert acquired
            assert tried.wait(60)
            assert wait([waiting], timeout=0.3).not_done
            assert locks[0].parent not in begun, "the first study computes these"
        assert waiting.result(60)["systems"]
    assert locks[0].parent in begun


def test_labels_that_differ_in_their_merge_have_their_own_rows(tmp_path, network) -> None:
    corpus = Corpus(read_manifest(Planted("pair", emotions=("anger", "sadness")).write(tmp_path)))
    bench = StudyBench(study_of(tmp_path, NEAR, ["one"]), "test", RunProgress())
    names = ("anger", "neutral")
    sizes = [
        len(bench.rows(network, ["1"], corpus, LabelSet(names, merge)).truth)
        for merge in ({"sadness": "neutral"}, {}, {"sadness": "anger"})
    ]
    assert sizes == [48, 24, 48]


def test_another_setting_makes_another_cell_and_reuses_the_vectors(tmp_path, network) -> None:
    config = study_of(tmp_path, NEAR, ["one"])
    run(config)
    read = network.read
    run(config.model_copy(update={"draws": 3}))
    assert network.read == read
    assert len(list((tmp_path / "study" / "cells").rglob("*.json"))) == 2


# Refused ------------------------------------------------------------------------------------------


def test_a_network_trained_on_the_left_out_corpus_is_refused(tmp_path, network) -> None:
    config = study_of(tmp_path, NEAR, ["one"])
    network.lineage = provenance_from("one", read_manifest(config.corpora[0]).utterances[:5])
    with pytest.raises(LeakageError, match="trained on 5 of its utterances and 1 of its speakers"):
        run(config)
    assert network.read == 0


def test_a_network_trained_on_a_training_corpus_cannot_be_picked_by_it(tmp_path, network) -> None:
    config = study_of(tmp_path, NEAR, ["one"])
    network.lineage = provenance_from("two", read_manifest(config.corpora[1]).utterances)
    with pytest.raises(LeakageError, match="set inner=head"):
        run(config)
    system = config.systems["linear"].model_copy(update={"inner": "head"})
    run(config.model_copy(update={"systems": {"linear": system}}))


def test_a_corpus_used_in_pretraining_is_marked(tmp_path, network) -> None:
    network.lineage = Provenance(frozenset({"one"}))
    results = run(study_of(tmp_path, NEAR, ["one", "two"]))
    found_in = {
        corpus["left_out"]: corpus["unlabelled"] for corpus in results["systems"][0]["corpora"]
    }
    assert found_in == {"one": True, "two": False}


@pytest.mark.parametrize(
    ("corpora", "changes", "error", "message"),
    [
        (
            NEAR,
            {"left_out": ["gone"]},
            ProtocolError,
            "left_out names 'gone', got manifests of one",
        ),
        (
            (NEAR[0], Planted("calm", emotions=("anger",))),
            {"labels": {"names": ["neutral", "sadness"]}},
            ProtocolError,
            "expected utterances with one of the labels neutral, sadness, got anger",
        ),
        (
            (NEAR[0], Planted("half", emotions=("anger", "neutral"))),
            {},
            LabelError,
            "expected a corpus besides one with 'sadness'",
        ),
        (
            NEAR,
            {"select_by": ["single", "80-per-cent-900"]},
            ProtocolError,
            "got 80-per-cent-900, for which two, three have",
        ),
    ],
)
def test_an_untestable_study_is_one_clear_line(
    tmp_path, network, corpora, changes, error, message
) -> None:
    left_out = changes.pop("left_out", ["one"])
    with pytest.raises(error) as caught:
        run(study_of(tmp_path, corpora, left_out, **changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_manifests_of_one_corpus_are_refused(tmp_path, network) -> None:
    config = study_of(tmp_path, NEAR, ["one"])
    again = tmp_path / "corpora" / "again.jsonl"
    shutil.copy(config.corpora[0], again)
    twice = config.model_copy(update={"corpora": (*config.corpora, str(again))})
    with pytest.raises(ProtocolError, match=r"again.jsonl: .* got 'one' twice; leave one out"):
        run(twice)


def test_a_missing_recording_is_named(tmp_path, network) -> None:
    config = study_of(tmp_path, NEAR, ["one"])
    (tmp_path / "corpora" / "two" / "s0-anger-0.wav").unlink()
    with pytest.raises(AudioError, match="s0-anger-0 of the manifest of two"):
        run(config)


def test_a_locked_folder_and_a_foreign_folder_are_refused(tmp_path, network) -> None:
    config = study_of(tmp_path, NEAR, ["one"])
    with (
        folder_lock(Path(config.output)),
        pytest.raises(RunError, match="another process is working in this folder"),
    ):
        run(config)
    foreign = config.model_copy(update={"output": str(tmp_path / "corpora")})
    with pytest.raises(RunError, match="expected a folder of phonemo transfer or an empty one"):
        run(foreign)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (StudyPart(systems=["gone"]), "expected a system among linear, got 'gone'"),
        (StudyPart(left_out=["three"]), "expected a left-out corpus among one, two, got 'three'"),
        (StudyPart(seeds=[9]), "expected a seed among 1, got 9"),
    ],
)
def test_an_unknown_part_is_refused(tmp_path, network, part, message) -> None:
    with pytest.raises(ProtocolError, match=message):
        run(study_of(tmp_path, NEAR, ["one", "two"]), part)


def test_within_requires_fixed_networks(tmp_path, network) -> None:
    template = {"train": {"model": {"backbone": "planted"}}, "network": None}
    within = [{"manifest": str(NEAR[0].write(tmp_path)), "labels": {"names": ["anger", "neutral"]}}]
    config = study_of(tmp_path, NEAR, ["one"], system=template, within=within)
    with pytest.raises(ConfigError, match="got linear, which trains networks"):
        run(config)


def test_the_planted_network_is_used_everywhere(network) -> None:
    assert protocol.open_network("any") is network
    assert isinstance(network, PlantedNetwork)
