"""Error rates of phonemes: trained-on speakers are left out; a network must name them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from phonemo.errors import UsageError
from phonemo.train.provenance import PROVENANCE, Provenance, TrainedOn
from tests.benchmarks import REPOSITORY
from tests.tiny_bundle import BUNDLE
from tests.train.tiny_run import make_corpus

assert REPOSITORY
import phonemes as benchmark  # noqa: E402


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def test_a_network_without_training_speakers_is_refused(manifest):
    with pytest.raises(UsageError, match=r"expected a provenance\.json .* --provenance, .* --seen"):
        benchmark.main([str(BUNDLE), "--manifest", str(manifest)])


def test_seen_tests_all_speakers_and_says_so(manifest, capsys):
    benchmark.main([str(BUNDLE), "--manifest", str(manifest), "--seen"])
    assert "trained-on speakers included" in capsys.readouterr().out.splitlines()[0]


def test_trained_on_speakers_are_not_tested(manifest, tmp_path, capsys):
    rows = benchmark.read_manifest(manifest)
    speakers = sorted({row.speaker for row in rows.utterances})
    bundle = shutil.copytree(BUNDLE, tmp_path / "bundle")
    taught = {rows.header.corpus: TrainedOn(speakers=frozenset(speakers[:1]))}
    provenance = Provenance(taught=taught).to_json()
    (bundle / PROVENANCE).write_text(json.dumps(provenance), encoding="utf-8")
    benchmark.main([str(bundle), "--manifest", str(manifest)])
    first, rate = capsys.readouterr().out.splitlines()[:2]
    assert f"{len(speakers) - 1} speakers" in first
    assert rate.startswith("best path: PER ")
