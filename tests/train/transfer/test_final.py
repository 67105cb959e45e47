"""A head on all corpora: picked and calibrated by leaving each of them out."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.errors import ProtocolError, UsageError
from phonemo.labels import LabelSet
from phonemo.train.callbacks import RunProgress
from phonemo.train.transfer.corpora import concatenate_rows, read_corpora
from phonemo.train.transfer.final_head import fit_all
from phonemo.train.transfer.linear_heads import fit_head
from phonemo.train.transfer.study import Study, StudyBench
from phonemo.train.transfer.study_run import transfer
from tests.train.transfer.planted import EMOTIONS, Planted, study_of

CORPORA = (Planted("one"), Planted("two", shift=0.5), Planted("three", shift=-0.5))
SEARCH = {"statistics": [[2], [1]], "inverse_penalty": [0.01, 1.0]}


def test_the_final_head_is_fitted_on_all_corpora_and_picked_by_nested_tests(
    tmp_path, network
) -> None:
    config = study_of(tmp_path, CORPORA, ["one"], system=SEARCH)
    final = fit_all(config, "linear")
    assert final.picked.choice.statistics == (1,)
    assert final.picked.score is not None
    assert final.picked.single.utterances == final.picked.adapted.utterances == 3 * 72
    labels = LabelSet(EMOTIONS)
    study = Study(
        config, read_corpora(config, labels), labels, StudyBench(config, "", RunProgress())
    )
    rows = concatenate_rows(
        [study.rows(final.network, final.picked.choice, corpus.name) for corpus in CORPORA]
    )
    expected = fit_head(rows, 3, final.picked.choice.head)
    np.testing.assert_allclose(final.head.weight, expected.weight, atol=1e-6)
    np.testing.assert_allclose(final.head.centre, expected.centre, atol=1e-5)


def test_the_studys_heads_are_reused(tmp_path, network, monkeypatch) -> None:
    config = study_of(tmp_path, CORPORA, ["one", "two", "three"])
    transfer(config, "phonemo")
    fitted = []
    before = fit_head

    def counted(*arguments):
        fitted.append(arguments)
        return before(*arguments)

    monkeypatch.setattr("phonemo.train.transfer.study.fit_head", counted)
    fit_all(config, "linear")
    assert len(fitted) == 1  # on all; those with one corpus left out are the study's


def test_an_unknown_system_is_refused(tmp_path, network) -> None:
    with pytest.raises(UsageError, match="expected a system among linear, got 'gone'"):
        fit_all(study_of(tmp_path, CORPORA, ["one"]), "gone")


def test_only_teachers_are_trained_on_and_only_named_corpora_calibrate(tmp_path, network) -> None:
    config = study_of(tmp_path, CORPORA, ["one"], teachers=["two", "three"], calibrate_by=["two"])
    final = fit_all(config, "linear")
    assert [corpus.name for corpus in final.teachers] == ["two", "three"]
    assert final.picked.single.utterances == 72


@pytest.mark.parametrize("key", ["teachers", "calibrate_by"])
def test_an_unknown_corpus_is_refused(tmp_path, network, key) -> None:
    config = study_of(tmp_path, CORPORA, ["one"], **{key: ["gone"]})
    with pytest.raises(
        ProtocolError, match=f"{key} names 'gone', got manifests of one, two, three"
    ):
        fit_all(config, "linear")


def test_a_study_without_a_teacher_is_refused(tmp_path, network) -> None:
    config = study_of(tmp_path, CORPORA, ["one"], teachers=["one"])
    with pytest.raises(ProtocolError, match="a corpus besides one to train on, got none"):
        fit_all(config, "linear")


def test_a_single_teacher_is_calibrated_on_corpora_not_trained_on(tmp_path, network) -> None:
    changes = {"teachers": ["one"], "calibrate_by": ["two", "three"]}
    final = fit_all(study_of(tmp_path, CORPORA, ["two"], **changes), "linear")
    assert final.picked.score is None
    assert final.picked.single.utterances == final.picked.adapted.utterances == 2 * 72
    alone = study_of(tmp_path, CORPORA, ["two"], teachers=["one"])
    assert fit_all(alone, "linear").picked.single.utterances == 0
