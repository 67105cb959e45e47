"""Within one corpus: speakers left out in turn, without and with their profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.errors import ConfigError, LeakageError, ProtocolError
from phonemo.evaluation.transfer.transfer_schema import Transfer
from phonemo.train.provenance import provenance_from
from phonemo.train.transfer import within_corpus as module
from phonemo.train.transfer.study_run import transfer
from tests.train.transfer.planted import EMOTIONS, Planted, study_of

PAIR = (Planted("one", takes=2), Planted("two", takes=2), Planted("other", takes=2))
#: Six speakers, each moved by its own amount.
HOME = Planted("home", speakers=6, speaker_shift=6.0)


def within(folder, **changes: Any) -> dict[str, Any]:
    section = {"manifest": str(HOME.write(folder / "home")), "labels": {"names": list(EMOTIONS)}}
    return section | changes


def run(folder, section: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return transfer(study_of(folder, PAIR, ["one"], within=[section], **changes), "phonemo")


def test_a_profile_removes_a_speakers_shift(tmp_path, network) -> None:
    results = run(tmp_path, within(tmp_path))
    (scores,) = results["within"]
    assert (scores["speakers"], scores["utterances"], scores["teachers"]) == (6, 108, [])
    assert scores["single"]["ua"]["mean"] < 0.8
    assert scores["profile"]["ua"]["mean"] > 0.85
    assert scores["profile"]["ua"]["low"] <= scores["profile"]["ua"]["mean"] <= 1
    assert set(scores["profile"]["recalls"]) == set(EMOTIONS)
    assert scores["single"]["picked"][0]["choice"]["standardise"] == "none"
    assert scores["profile"]["picked"][0]["choice"]["standardise"] == "source"
    Transfer.model_validate(results)


def test_the_better_choice_is_picked_without_the_tested_speaker(
    tmp_path, network, monkeypatch
) -> None:
    left_out: list[tuple[set[str], set[str]]] = []
    before = module._Folds.answers

    def spied(self, choice, without, requested):
        left_out.append((set(without), set(requested)))
        return before(self, choice, without, requested)

    monkeypatch.setattr(module._Folds, "answers", spied)
    system = {"statistics": [[2], [1]], "k_mean": [0, 3]}
    results = run(tmp_path, within(tmp_path), system=system)
    (scores,) = results["within"]
    assert [
        sum(each["speakers"] for each in scores[name]["picked"]) for name in module.PROFILES
    ] == [
        6,
        6,
    ]
    assert all(each["choice"]["statistics"] == [1] for each in scores["profile"]["picked"])
    assert all(requested <= without for without, requested in left_out)
    nested = [(without, requested) for without, requested in left_out if len(without) > 1]
    assert nested
    assert all(len(without - requested) == 1 for without, requested in nested)  # the tested one


def test_other_corpora_can_be_trained_on_too(tmp_path, network) -> None:
    results = run(tmp_path, within(tmp_path, teachers=["two"]))
    (scores,) = results["within"]
    assert scores["teachers"] == ["two"]
    assert scores["profile"]["ua"]["mean"] > 0.85


def test_a_second_run_reuses_everything(tmp_path, network, monkeypatch) -> None:
    config = study_of(tmp_path, PAIR, ["one"], within=[within(tmp_path)])
    first, read = transfer(config, "phonemo"), network.read
    monkeypatch.setattr("phonemo.train.transfer.study.fit_head", None)
    assert transfer(config, "phonemo") == first
    assert network.read == read


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"teachers": ["three"]}, ConfigError, "expected names among one, two, other, got 'three'"),
        ({"labels": {"names": ["joy", "rage"]}}, ProtocolError, "expected utterances with one of"),
    ],
)
def test_invalid_sections_are_refused(tmp_path, network, changes, error, message) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path, within(tmp_path, **changes))


def test_speakers_must_be_known(tmp_path, network) -> None:
    section = within(tmp_path)
    manifest = read_manifest(section["manifest"])
    unknown = [utterance.model_copy(update={"speaker": None}) for utterance in manifest.utterances]
    write_manifest(manifest.path, manifest.header, unknown)
    with pytest.raises(ProtocolError, match="expected three known speakers or more, got 0"):
        run(tmp_path, section)


def test_a_network_trained_on_the_corpus_is_refused(tmp_path, network) -> None:
    section = within(tmp_path)
    network.lineage = provenance_from("home", read_manifest(section["manifest"]).utterances)
    with pytest.raises(LeakageError, match="take it out of within"):
        run(tmp_path, section)


def test_groups_of_speakers_are_disjoint() -> None:
    groups = module._groups([f"s{n}" for n in range(10)])
    assert len(groups) == 4
    assert sorted(np.concatenate(groups).tolist()) == sorted(f"s{n}" for n in range(10))
