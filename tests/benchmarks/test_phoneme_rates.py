"""Error rates of phonemes: trained-on speakers are left out; a network must name them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from phonemo.corpora.manifest import Phonemes, Utterance, read_manifest, write_manifest
from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.errors import UsageError
from phonemo.train.provenance import PROVENANCE, provenance_from
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


def bundle_taught(folder: Path, corpus: str, rows: Iterable[Utterance]) -> Path:
    bundle = shutil.copytree(BUNDLE, folder / "bundle")
    provenance = provenance_from(corpus, rows).to_json()
    (bundle / PROVENANCE).write_text(json.dumps(provenance), encoding="utf-8")
    return bundle


def test_trained_on_speakers_are_not_tested(manifest, tmp_path, capsys):
    rows = read_manifest(manifest)
    speakers = sorted({row.speaker for row in rows.utterances})
    known = [row for row in rows.utterances if row.speaker == speakers[0]]
    bundle = bundle_taught(tmp_path, rows.header.corpus, known[:1])
    benchmark.main([str(bundle), "--manifest", str(manifest)])
    first, rate = capsys.readouterr().out.splitlines()[:2]
    assert f"{len(speakers) - 1} speakers" in first
    assert rate.startswith("best path: PER ")


def test_trained_on_utterances_of_unknown_speakers_are_not_tested(manifest, tmp_path, capsys):
    before = read_manifest(manifest)
    rows = [row.model_copy(update={"speaker": None}) for row in before.utterances]
    path = manifest.with_name("unknown.jsonl")
    write_manifest(path, before.header, rows)
    bundle = bundle_taught(tmp_path, before.header.corpus, rows[:5])
    benchmark.main([str(bundle), "--manifest", str(path)])
    assert f": {len(rows) - 5} utterances of 1 speakers" in capsys.readouterr().out


def test_only_the_part_of_a_recording_that_is_the_utterance_is_recognized(
    manifest, monkeypatch, capsys
):
    before = read_manifest(manifest)
    row = before.utterances[0].model_copy(update={"start": 0.05, "end": 0.15})
    path = manifest.with_name("part.jsonl")
    write_manifest(path, before.header, [row])
    network, lengths = benchmark.open_network(BUNDLE), []

    def posteriors(samples):
        lengths.append(len(samples))
        return network.posteriors(samples)

    changed = replace(network, posteriors=posteriors)
    monkeypatch.setattr(benchmark, "open_network", lambda _: changed)
    benchmark.main([str(BUNDLE), "--manifest", str(path), "--seen"])
    assert lengths == [round(0.1 * 16_000)]


def test_boundaries_of_classes_are_not_measured(manifest, monkeypatch, capsys):
    before = read_manifest(manifest)
    phonemes = Phonemes(
        alphabet="ipa", source="manual", symbols=("a", "s"), times=((0.0, 0.1), (0.1, 0.2))
    )
    row = before.utterances[0].model_copy(update={"phonemes": phonemes})
    path = manifest.with_name("timed.jsonl")
    write_manifest(path, before.header, [row])
    network = benchmark.open_network(BUNDLE)
    broad = make_inventory("broad", "ipa", ())

    def posteriors(samples):
        return np.full((20, len(broad)), -np.log(len(broad)))

    changed = replace(network, inventory=broad, posteriors=posteriors, decoder=None)
    monkeypatch.setattr(benchmark, "open_network", lambda _: changed)
    benchmark.main([str(BUNDLE), "--manifest", str(path), "--seen"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "boundaries: not measured, expected phonemes in ipa, got broad in ipa"
