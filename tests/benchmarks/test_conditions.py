"""The table of conditions on tiny corpora: by hand, and beside what phonemo transfer says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from phonemo.errors import CheckpointError, LabelError, LeakageError, UsageError
from phonemo.labels import LabelSet
from phonemo.train.transfer.study_run import transfer
from tests.benchmarks import REPOSITORY
from tests.golden.make_tiny_bundle import make_adaptable, make_network
from tests.tiny_bundle import ADAPTABLE
from tests.train.tiny_run import EMOTIONS, make_corpus
from tests.train.transfer import planted
from tests.train.transfer.planted import Planted, network, study_of

assert REPOSITORY
import conditions as benchmark  # noqa: E402
from measuring import tested as opening  # noqa: E402
from measuring.degrading import Condition  # noqa: E402
from measuring.pages import write_between  # noqa: E402

__all__ = ["network"]
LABELS = LabelSet(EMOTIONS)
CLEAN = Condition("clean", "as it is", lambda clip, draw: clip)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_adaptable(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("beeps"))


class TestByHand:
    TRUTH = np.array([0, 0, 1, 1, 1, 2])
    RIGHT = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 0]], dtype=bool)

    def test_ua_is_the_mean_of_recalls_over_draws(self):
        expected = ((1 / 2 + 2 / 3 + 1) / 3 + (0 + 1 + 0) / 3) / 2
        assert benchmark.ua(self.RIGHT, self.TRUTH) == pytest.approx(expected)

    def test_utterances_may_repeat_and_classes_may_be_missing(self):
        chosen = np.array([0, 0, 1, 2])
        expected = ((2 / 3 + 1) / 2 + (0 + 1) / 2) / 2
        assert benchmark.ua(self.RIGHT, self.TRUTH, chosen) == pytest.approx(expected)

    def test_pools_are_the_same_in_every_condition(self):
        first, second = benchmark.drawn("beeps", 50, 1, 2)
        assert first.sum() == second.sum() == benchmark.POOL
        assert (first != second).any()
        again = benchmark.drawn("beeps", 50, 1, 2)
        np.testing.assert_array_equal(again, [first, second])
        assert benchmark.drawn("beeps", 6, 1, 1)[0].all(), "no more than there are"


class TestOpening:
    def test_utterances_are_spread_over_emotions_and_speakers(self, model, manifest):
        result = opening.open_pair(model, manifest, LABELS, 12)
        assert sorted(np.bincount(result.truth)) == [4, 4, 4]
        assert {row.speaker for row in result.utterances} == {"s1", "s2", "s3", "s4"}
        assert len(opening.open_pair(model, manifest, LABELS, 0).utterances) == 24

    def test_a_model_trained_on_the_speakers_is_rejected(self, manifest, tmp_path):
        folder = make_adaptable(tmp_path / "taught")
        facts = {"heard": [], "corpora": {"beeps": {"speakers": ["s2"], "utterances": []}}}
        (folder / "provenance.json").write_text(json.dumps(facts))
        with pytest.raises(LeakageError, match="0 of its utterances and 1 of its speakers"):
            opening.open_pair(folder, manifest, LABELS, 0)
        facts = {"heard": ["beeps"], "corpora": {}}
        (folder / "provenance.json").write_text(json.dumps(facts))
        assert "without labels" in opening.open_pair(folder, manifest, LABELS, 0).note

    def test_untestable_models_are_rejected(self, model, manifest):
        with pytest.raises(CheckpointError, match="expected a model folder, got a bundle"):
            opening.open_pair(ADAPTABLE, manifest, LABELS, 0)
        with pytest.raises(LabelError, match="choose others with --labels"):
            opening.open_pair(model, manifest, LabelSet(("anger", "glee")), 0)


class TestMeasured:
    def test_predictions_match_the_recognizer(self, model, manifest):
        """Without a profile and with that of all recordings."""
        import phonemo

        result = opening.open_pair(model, manifest, LABELS, 0)
        right = benchmark.measure(result, [CLEAN], 1, 2).right["clean"].by_profile
        listener = phonemo.load(model)
        paths = [result.manifest.audio_path(row) for row in result.utterances]
        adapted = listener.adapted(paths)
        for name, item in {"none": listener, "all": adapted}.items():
            given = [item.predict(path).label for path in paths]
            expected = [
                label == utterance.emotion
                for label, utterance in zip(given, result.utterances, strict=True)
            ]
            assert right[name][0].tolist() == expected
        assert right["pool"].shape == (2, 24)

    def test_a_model_without_profiles_is_tested_without_profiles(self, manifest, tmp_path):
        from phonemo.train.model_folder import save_trained

        save_trained(tmp_path / "hidden", make_network("hidden"), LABELS)
        result = opening.open_pair(tmp_path / "hidden", manifest, LABELS, 6)
        right = benchmark.measure(result, [CLEAN], 1, 2).right["clean"].by_profile
        assert set(right) == {"none"}

    def test_a_study_matches_phonemo_transfer(self, network, tmp_path, monkeypatch):
        # planted recordings are six samples long, which is no speech
        monkeypatch.setattr(opening.VadTrack, "seconds", lambda *_: 1.0)
        corpora = [Planted("one"), Planted("two", 1.0, 1.5), Planted("three", -2.0, 0.7)]
        config = study_of(tmp_path, corpora, ["one", "three"])
        expected = transfer(config, "phonemo transfer")
        for model in opening.open_study(tmp_path / "study", None, None, 0):
            right = benchmark.measure(model, [CLEAN], 1, 2).right["clean"].by_profile
            reference = planted.conditions(expected, model.corpus)
            for actual, name in (("none", "single"), ("all", "pool-all")):
                ua = benchmark.ua(right[actual], model.truth)
                assert ua == pytest.approx(reference[name]["ua"]["mean"])

    def test_a_corpus_outside_the_mean_is_reported_but_not_averaged(self, model, manifest):
        first = benchmark.measure(opening.open_pair(model, manifest, LABELS, 12), [CLEAN], 1, 2)
        beside = replace(first, tested=replace(first.tested, corpus="beside", counts=False))
        wrong = benchmark.Right(
            {name: ~item for name, item in first.right["clean"].by_profile.items()}
        )
        beside = replace(beside, right={"clean": wrong})
        asked = benchmark._parsed([])
        both, alone = (
            benchmark.summed_up(item, [CLEAN], [], asked) for item in ([first, beside], [first])
        )
        assert both["mean_over"] == alone["mean_over"] == ["beeps"]
        mean = both["conditions"]["clean"]["mean"]
        assert mean == alone["conditions"]["clean"]["mean"]
        assert both["conditions"]["clean"]["corpora"]["beside"] != mean


class TestCommand:
    @pytest.fixture
    def few(self, monkeypatch, tmp_path) -> None:
        """Three conditions, no shared recordings, few resamples."""
        ways = [
            condition
            for condition in benchmark.conditions()
            if condition.name in ("clean", "G.711", "room")
        ]
        monkeypatch.setattr(benchmark, "conditions", lambda _: ways)
        monkeypatch.setattr(benchmark, "CORPORA", tmp_path / "absent")
        monkeypatch.setattr(benchmark, "SAMPLES", 20)

    def test_the_command_prints_writes_and_updates_a_page(
        self, few, model, manifest, tmp_path, capsys
    ):
        page = tmp_path / "page.md"
        page.write_text("before\n<!-- conditions:start -->\nold\n<!-- conditions:end -->\nafter\n")
        words = ["--pair", model, manifest, "--labels", "anger,neutral,sadness", "--draws", "2"]
        words += ["--clips", "12", "--output", tmp_path / "c.json", "--page", page]
        assert benchmark.main([str(word) for word in words]) == 0
        text = capsys.readouterr().out
        filled = page.read_text()
        assert filled.startswith("before\n")
        assert filled.endswith("\nafter\n")
        assert "old" not in filled
        assert text.strip() in filled
        rows = [line for line in text.splitlines() if line.startswith("| G.711 |")]
        assert len(rows) == 2
        content = json.loads((tmp_path / "c.json").read_text())
        assert list(content["conditions"]) == ["clean", "G.711", "room"]
        clean = content["conditions"]["clean"]
        assert clean["lost"]["pool"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}
        assert content["corpora"]["beeps"]["utterances"] == 12
        changed = content["conditions"]["room"]
        lost = clean["mean"]["none"] - changed["mean"]["none"]
        assert changed["lost"]["none"]["estimate"] == pytest.approx(lost)
        assert content["opus_kbit_per_second"] > 0
        again = tmp_path / "again.json"
        assert benchmark.main([*map(str, words[:-4]), "--output", str(again)]) == 0
        assert json.loads(again.read_text())["conditions"] == content["conditions"]

    def test_a_missing_study_is_reported(self, few, monkeypatch, tmp_path, capsys):
        assert benchmark.main(["--study", str(tmp_path)]) == 0
        assert capsys.readouterr().out.startswith("skipped: ")
        assert benchmark.main(["--pair", str(tmp_path), str(tmp_path / "m.jsonl")]) == 2
        assert capsys.readouterr().err.startswith("conditions: ")

    def test_a_page_without_markers_is_refused(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text("<!-- conditions:start -->\n")
        with pytest.raises(UsageError, match="once each"):
            write_between(page, "conditions", "text")
