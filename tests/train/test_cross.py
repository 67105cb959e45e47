"""Every run on every corpus: whose answers a cell has, among which emotions; what is refused."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from phonemo.config import LabelsConfig, RunConfig, load_config, write_config
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.errors import LabelError, LeakageError, ResultError
from phonemo.evaluation.metrics import calibration
from phonemo.files import read_rows
from phonemo.labels import LabelSet
from phonemo.train.experiments import cross_corpus as cross_module
from phonemo.train.experiments.cross_corpus import Mapped, cross
from phonemo.train.experiments.training_run import run
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.cli.test_cli import Answer as Typed
from tests.cli.test_cli import assert_one_line, call
from tests.train.tiny_run import make_config, with_changes

#: The second corpus calls the first one's sadness calm.
OTHER = {"anger": "anger", "neutral": "neutral", "sadness": "calm"}
MERGE = {"calm": "neutral"}


@dataclass(frozen=True)
class Home:
    """Two runs of two corpora, each with two of its four folds, and their manifests."""

    beeps: Path
    tones: Path

    @property
    def runs(self) -> list[Path]:
        return [self.beeps, self.tones]

    def manifest(self, corpus: str) -> Path:
        return Path(load_config(getattr(self, corpus) / "config.yaml").manifest)


def rename(manifest: Path, corpus: str, prefix: str, emotions: Mapping[str, str] = OTHER) -> Path:
    """The same audio backwards as another corpus, of other speakers; its manifest."""
    before = read_manifest(manifest)
    for row in before.utterances:
        samples, rate = soundfile.read(before.audio_path(row), dtype="int16")
        soundfile.write(before.root / f"{prefix}-{row.file}", samples[::-1], rate, subtype="PCM_16")
    rows = [
        row.model_copy(
            update={
                "id": f"{prefix}-{row.id}",
                "file": f"{prefix}-{row.file}",
                "speaker": f"{prefix}-{row.speaker}",
                "emotion": emotions[row.emotion],
            }
        )
        for row in before.utterances
    ]
    path = manifest.with_name(f"{corpus}.jsonl")
    write_manifest(path, before.header.model_copy(update={"corpus": corpus}), rows)
    return path


def train(config: RunConfig, folds: Iterable[str]) -> Path:
    """Its run folder, with these folds."""
    run(config, "phonemo train", folds=list(folds))
    return Path(config.output)


@pytest.fixture(scope="module")
def home(tmp_path_factory, no_plots) -> Home:
    beeps = make_config(tmp_path_factory.mktemp("cross"), rate_heads=0.02)
    beeps = with_changes(beeps, protocol={"validation_units": 2})  # one speaker calibrates nothing
    manifest = rename(Path(beeps.manifest), "tones", "t")
    tones = with_changes(
        beeps,
        name="tones",
        manifest=str(manifest),
        output=str(Path(beeps.output).with_name("tones")),
        labels={"names": ["anger", "calm", "neutral"]},
    )
    return Home(
        train(beeps, ("speaker-s1", "speaker-s3")), train(tones, ("speaker-t-s1", "speaker-t-s2"))
    )


@pytest.fixture(scope="module")
def matrix(home) -> dict[str, Any]:
    """What all of it gives where calm is counted as neutral."""
    return cross(home.runs, merge=MERGE)


def cell(result: Mapping[str, Any], train: str, test: str) -> dict[str, Any]:
    return next(cell for cell in result["cells"] if (cell["train"], cell["test"]) == (train, test))


def counted(scores: Mapping[str, float]) -> dict[str, float]:
    """Anger against all that is counted as neutral, by hand."""
    return {"anger": scores["anger"], "neutral": scores["neutral"] + scores.get("calm", 0)}


def unweighted(pairs: Iterable[tuple[str, str]]) -> float:
    """The mean recall over the emotions of (truth, answer)."""
    right = defaultdict(list)
    for truth, answer in pairs:
        right[truth].append(truth == answer)
    return float(np.mean([np.mean(item) for item in right.values()]))


# Cells --------------------------------------------------------------------------------------------


def test_a_row_for_every_run_and_a_column_for_every_corpus(matrix):
    assert (matrix["labels"], matrix["merge"]) == (["anger", "neutral"], MERGE)
    pairs = [(cell["train"], cell["test"]) for cell in matrix["cells"]]
    assert pairs == [(a, b) for a in ("beeps", "tones") for b in ("beeps", "tones")]
    assert {cell["models"] for cell in matrix["cells"]} == {2}
    assert not any(cell["leaky"] for cell in matrix["cells"])
    for item in matrix["cells"]:
        own = item["train"] == item["test"]
        assert item["protocol"] == ("speaker" if own else "another corpus")
    assert (cell(matrix, "beeps", "tones")["speakers"], cell(matrix, "tones", "beeps")["run"]) == (
        4,
        "tones",
    )


@pytest.mark.parametrize(("corpus", "utterances"), [("beeps", 8), ("tones", 12)])
def test_the_own_cell_has_the_predictions_of_the_runs_folds(home, matrix, corpus, utterances):
    """Two folds of six; a beep that is sad is none of the two."""
    rows = read_rows(getattr(home, corpus) / "predictions.jsonl")
    pairs = []
    for row in rows:
        scores = counted(row["scores"])
        truth = MERGE.get(row["truth"], row["truth"])
        if truth in scores:
            pairs.append((truth, max(scores, key=scores.__getitem__)))
    result = cell(matrix, corpus, corpus)
    assert result["utterances"] == len(pairs) == utterances
    assert result["ua"]["mean"] == pytest.approx(unweighted(pairs), abs=1e-6)


@pytest.mark.parametrize(
    ("trained", "tested", "utterances"), [("beeps", "tones", 24), ("tones", "beeps", 16)]
)
def test_a_foreign_cell_has_every_model_on_the_whole_corpus(
    home, matrix, trained, tested, utterances
):
    manifest = read_manifest(home.manifest(tested))
    chosen = [row for row in manifest.utterances if row.emotion != "sadness"]
    means, angry = [], []
    for folder in sorted(getattr(home, trained).glob("seed-*/*/model")):
        predictor = TorchRecognizer.load(folder)
        scores = [counted(predictor.predict(manifest.audio_path(row)).scores) for row in chosen]
        answers = [max(score, key=score.__getitem__) for score in scores]
        truth = [MERGE.get(row.emotion, row.emotion) for row in chosen]
        means.append(unweighted(zip(truth, answers, strict=True)))
        angry += [score["anger"] / sum(score.values()) for score in scores]
    result = cell(matrix, trained, tested)
    assert result["utterances"] == len(chosen) == utterances
    assert len(means) == 2
    assert result["ua"]["mean"] == pytest.approx(np.mean(means), abs=1e-6)
    shares = np.stack([angry, 1 - np.array(angry)], axis=1)
    expected = calibration(shares, [int(name != "anger") for name in truth * 2]).ece
    assert predictor.calibrated.temperature != 1
    assert result["ece"] == pytest.approx(expected, abs=1e-4), "scores are calibrated ones"


def test_without_a_merge_uncommon_emotions_are_dropped(home):
    result = cross(home.runs)
    assert (result["labels"], result["merge"]) == (["anger", "neutral"], {})
    counts = {(cell["train"], cell["test"]): cell["utterances"] for cell in result["cells"]}
    assert counts == {
        ("beeps", "beeps"): 8,
        ("beeps", "tones"): 16,
        ("tones", "beeps"): 16,
        ("tones", "tones"): 8,
    }


def test_a_corpus_without_a_run_is_a_column_too(home):
    """Of its emotions calm is none that the beeps know."""
    result = cross([home.beeps], [home.manifest("tones")])
    assert [(cell["train"], cell["test"]) for cell in result["cells"]] == [
        ("beeps", "beeps"),
        ("beeps", "tones"),
    ]
    assert result["labels"] == ["anger", "neutral"]


def test_emotions_can_be_chosen_among_common_ones(home):
    third = rename(home.manifest("beeps"), "third", "u", {name: name for name in OTHER})
    result = cross([home.beeps], [third])
    assert result["labels"] == ["anger", "neutral", "sadness"]
    chosen = cross([home.beeps], [third], ["sadness", "anger"])
    assert chosen["labels"] == ["anger", "sadness"]
    assert [cell["utterances"] for cell in chosen["cells"]] == [8, 16]


def test_cached_features_give_the_same_results(home, matrix, tmp_path):
    copies = [
        Path(shutil.copytree(path, tmp_path / where / path.name))
        for where in ("kept", "heard")
        for path in home.runs
    ]
    for folder in copies[2:]:
        config = load_config(folder / "config.yaml")
        write_config(folder / "config.yaml", with_changes(config, train={"cache": False}))
    kept, predicted = cross(copies[:2], merge=MERGE), cross(copies[2:], merge=MERGE)
    assert any((tmp_path / "kept" / "cache").iterdir())
    assert not (tmp_path / "heard" / "cache").exists()
    assert kept["cells"] == matrix["cells"]
    for item, other in zip(kept["cells"], predicted["cells"], strict=True):
        assert (item["ua"], item["wa"]) == (other["ua"], other["wa"])
        assert item["ece"] == pytest.approx(other["ece"], abs=1e-4)


# Emotions counted together ------------------------------------------------------------------------


def test_merged_emotions_are_summed_and_others_are_dropped():
    mapped = Mapped(LabelSet(("anger", "neutral"), MERGE))
    result = mapped.scores({"anger": 0.2, "calm": 0.4, "fear": 0.2, "neutral": 0.2})
    assert result == {"anger": 0.25, "neutral": 0.75}
    assert [mapped.emotion(name) for name in ("anger", "calm", "fear", None)] == [
        "anger",
        "neutral",
        None,
        None,
    ]


def test_scores_without_common_emotions_are_uniform():
    mapped = Mapped(LabelSet(("anger", "neutral"), MERGE))
    assert mapped.scores({"anger": 0.0, "fear": 1.0}) == {"anger": 0.5, "neutral": 0.5}


@pytest.mark.parametrize(
    ("names", "merge", "message"),
    [
        (
            ["anger", "sadness"],
            {},
            "'sadness' is not in every run and corpus; common: anger, neutral",
        ),
        (["anger", "calm"], MERGE, "'calm' is not in every run and corpus; common: anger, neutral"),
        ([], {"neutral": "anger", "calm": "anger"}, "at least two common emotions, got 1"),
        (["anger"], {}, "expected at least two common emotions, got 1; add merges with --merge"),
    ],
)
def test_too_few_common_emotions_are_an_error(home, names, merge, message):
    with pytest.raises(LabelError, match=message):
        cross(home.runs, names=names, merge=merge)


@pytest.fixture(scope="module")
def merging(home, tmp_path_factory) -> Path:
    """A run of the tones that counts calm as neutral by its own config."""
    config = load_config(home.tones / "config.yaml")
    output = tmp_path_factory.mktemp("merging") / "run"
    labels = {"names": ["anger", "neutral"], "merge": MERGE}
    merged = with_changes(config, output=str(output), labels=labels, train={"epochs": 1})
    return train(merged, ["speaker-t-s1", "speaker-t-s2"])


def test_a_runs_merges_apply_to_all_runs(home, merging):
    """Else a column would hold answers for other utterances on its own row."""
    result = cross([home.beeps, merging])
    assert (result["labels"], result["merge"]) == (["anger", "neutral"], MERGE)
    counts = {(cell["train"], cell["test"]): cell["utterances"] for cell in result["cells"]}
    assert counts["tones", "tones"] == 12, "all of two folds"
    assert counts["beeps", "tones"] == 24, "all of the corpus"


def test_conflicting_merges_are_an_error(home, merging, tmp_path):
    folder = Path(shutil.copytree(home.beeps, tmp_path / "beeps"))
    labels = {"names": ["anger", "neutral"], "merge": {"calm": "anger"}}
    write_config(
        folder / "config.yaml", with_changes(load_config(folder / "config.yaml"), labels=labels)
    )
    with pytest.raises(LabelError, match="maps calm to neutral, --merge or another run to anger"):
        cross([folder, merging])


# What is refused ----------------------------------------------------------------------------------


def test_a_run_trained_on_speakers_of_a_tested_corpus_is_a_leak(home, tmp_path):
    config = load_config(home.tones / "config.yaml")
    start = home.beeps / "seed-1" / "speaker-s1" / "model"
    heir = with_changes(
        config,
        output=str(tmp_path / "heir"),
        model={"start": str(start), "backbone": str(start)},
        train={"epochs": 1},
    )
    with pytest.raises(LeakageError, match=r"heir.*trained on 12 of the 16 utterances of beeps"):
        cross([home.beeps, train(heir, ["speaker-t-s1"])])


def test_shared_speakers_and_renamed_recordings_are_a_leak(home, tmp_path):
    """A corpus of the same name that is somebody else's selection."""
    before = read_manifest(home.manifest("beeps"))
    rows = [row.model_copy(update={"id": f"new-{row.id}"}) for row in before.utterances]
    header = before.header.model_copy(update={"root": str(before.root.resolve())})
    write_manifest(tmp_path / "manifest.jsonl", header, rows)
    config = load_config(home.tones / "config.yaml")
    start = home.beeps / "seed-1" / "speaker-s1" / "model"
    heir = with_changes(config, output=str(tmp_path / "heir"), model={"backbone": str(start)})
    folder = train(with_changes(heir, train={"epochs": 1}), ["speaker-t-s1"])
    with pytest.raises(LeakageError, match=r"trained on 12 of the 16 .* on 3 of their speakers"):
        cross([folder], [tmp_path / "manifest.jsonl"])


def test_two_runs_of_one_corpus_are_refused(home, tmp_path):
    twin = shutil.copytree(home.beeps, tmp_path / "twin")
    with pytest.raises(ResultError, match="corpus 'beeps' occurs twice"):
        cross([home.beeps, twin])
    with pytest.raises(ResultError, match="corpus 'beeps' occurs twice"):
        cross([home.beeps], [home.manifest("beeps")])


def test_an_unfinished_run_or_one_without_its_models_is_refused(home, tmp_path):
    copy = Path(shutil.copytree(home.tones, tmp_path / "copy"))
    shutil.rmtree(copy / "seed-1" / "speaker-t-s1" / "model")
    with pytest.raises(ResultError, match=r"speaker-t-s1.model: no model found"):
        cross([home.beeps, copy])
    (copy / "metrics.json").unlink()
    with pytest.raises(ResultError, match="copy: expected a finished run"):
        cross([home.beeps, copy])
    with pytest.raises(ResultError, match="expected a finished run"):
        cross([home.beeps, home.tones / "seed-1"])


def test_a_system_without_models_cannot_be_tested_elsewhere(home, tmp_path):
    folder = Path(shutil.copytree(home.tones, tmp_path / "svm"))
    config = load_config(folder / "config.yaml")
    write_config(folder / "config.yaml", with_changes(config, system="egemaps-svm"))
    with pytest.raises(ResultError, match="svm: system egemaps-svm saves no model"):
        cross([home.beeps, folder])


# The command --------------------------------------------------------------------------------------


def test_the_command_prints_the_matrix_and_writes_it(home, matrix, tmp_path, capfd):
    output = tmp_path / "matrix.json"
    code = call("cross", *home.runs, "--merge", "calm=neutral", "-o", output, "--quiet")
    lines = capfd.readouterr().out.splitlines()
    assert code == 0
    assert lines[:2] == [
        "UA %, 2 emotions: anger, neutral (chance 50.0)",
        "counted together: calm as neutral",
    ]
    assert lines[2].split() == ["trained", "on", "beeps", "tones"]
    own = f"{100 * cell(matrix, 'beeps', 'beeps')['ua']['mean']:.1f}*"
    foreign = f"{100 * cell(matrix, 'beeps', 'tones')['ua']['mean']:.1f}"
    assert [part for part in lines[3].split() if "(" not in part] == ["beeps", own, foreign]
    written = json.loads(output.read_text())
    assert written["cells"] == json.loads(json.dumps(matrix["cells"]))
    assert written["command"].startswith("phonemo cross ")


@pytest.mark.parametrize("pair", ["calm", "calm=", "=neutral", " = "])
def test_a_malformed_merge_is_a_usage_error(home, capfd, pair):
    code = call("cross", *home.runs, "--merge", pair, "--quiet")
    assert_one_line(Typed(code, *capfd.readouterr()), 2, f"--merge '{pair}': expected OLD=NEW")


def test_merges_of_runs_and_options_are_combined(home, monkeypatch):
    """As IEMOCAP's excitement as happiness; the own cell alone would have it otherwise."""
    runs = [cross_module._open(folder) for folder in home.runs]
    merging = replace(
        runs[0],
        config=runs[0].config.model_copy(
            update={"labels": LabelsConfig(names=("anger", "sadness"), merge={"calm": "anger"})}
        ),
    )
    assert cross_module._combine_merges([merging, runs[1]], {"neutral": "sadness"}) == {
        "neutral": "sadness",
        "calm": "anger",
    }
    with pytest.raises(LabelError, match="maps calm to anger, --merge or another run to sadness"):
        cross_module._combine_merges([merging], {"calm": "sadness"})
