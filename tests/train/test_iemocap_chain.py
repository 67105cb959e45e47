"""What a licensed user types, on a generated IEMOCAP: prepare, inspect, train, every fold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.config import load_config
from phonemo.train.experiments import emotional_phonemes
from tests.laws import REPOSITORY
from tests.tiny_iemocap import make_iemocap
from tests.tiny_nets import make_backbone_folder

CONFIGS = REPOSITORY / "configs"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A prepared release and a backbone of wav2vec2-base's kind."""
    folder = tmp_path_factory.mktemp("iemocap")
    make_iemocap(folder / "release")
    manifest = str(folder / "iemocap.jsonl")
    command = ["prepare", "iemocap", str(folder / "release"), "-o", manifest, "--allow-partial"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    # 200 frames a second, which are enough for the phonemes: attention takes most of the time
    strides = {"conv_kernel": [10, 4, 4], "conv_stride": [5, 4, 4]}
    make_backbone_folder(folder / "backbone", "wav2vec2-group", **strides)
    return folder


def train(work, name, *more):
    sets = {
        "manifest": work / "iemocap.jsonl",
        "output": work / name,
        "model.backbone": work / "backbone",
        "model.width": 8,
        "train.epochs": 1,
        "seeds": "[1]",
    }
    command = ["train", str(CONFIGS / f"{name}.yaml"), "--quiet", *more]
    for key, value in sets.items():
        command += ["--set", f"{key}={value}"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, (done.output, done.exception)
    home = Path(done.stdout.rpartition("run folder: ")[2].strip())
    return done.stdout, json.loads((home / "metrics.json").read_text(encoding="utf-8"))


def test_leave_one_session_out(work):
    text, metrics = train(work, "iemocap-paper")
    assert metrics["protocol"]["name"] == "session"
    assert len(metrics["results"]["folds"]) == 5
    assert not metrics["leaky"]
    assert "LEAKY" not in text
    assert metrics["results"]["labels"] == ["anger", "happiness", "neutral", "sadness"]
    assert metrics["results"]["phonemes"]["tokens"] > 0
    styles = metrics["results"]["per_style"]
    assert set(styles) == {"scripted", "improvised"}
    assert sum(one["utterances"] for one in styles.values()) == metrics["results"]["utterances"]
    protocol = json.loads((work / "iemocap-paper" / "protocol.json").read_text(encoding="utf-8"))
    for fold in protocol["folds"]:
        sessions = [{one[:5] for one in fold[part]} for part in ("train", "validation", "test")]
        assert [len(one) for one in sessions] == [3, 1, 1]
        assert len(set.union(*sessions)) == 5


def test_the_looser_setting_is_marked(work):
    text, metrics = train(work, "iemocap-paper-setting", "--fold", "random-1")
    assert metrics["leaky"]
    assert "LEAKY: train and test share speakers" in text


def test_the_question_of_the_phoneme_task_is_one_command(work, monkeypatch):
    """Of improvised speech; the arms of all speech differ in the style alone."""
    shipped = yaml.safe_load((CONFIGS / "ablations/iemocap-tasks.yaml").read_text("utf-8"))
    arms = shipped["arms"]
    improvised = {name: arms[name] for name in arms if name.endswith("-improvised")}
    assert arms == improvised | {
        name.removesuffix("-improvised"): {k: v for k, v in keys.items() if k != "protocol.style"}
        for name, keys in improvised.items()
    }
    small = {"manifest": str(work / "iemocap.jsonl"), "model.backbone": str(work / "backbone")}
    small |= {"model.width": 8, "train.epochs": 1, "seeds": [1]}
    shipped |= {"arms": improvised, "every": small, "output": str(work / "tasks")}
    shipped["tables"] = shipped["tables"][1:]
    shipped["tune"]["values"] = shipped["tune"]["values"][:2]
    (work / "tasks.yaml").write_text(yaml.safe_dump(shipped), encoding="utf-8")
    monkeypatch.chdir(REPOSITORY)
    command = ["ablate", str(work / "tasks.yaml"), "--fold", "session-1", "--workers", "1", "-q"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, (done.output, done.exception)
    (table,) = json.loads((work / "tasks/ablation.json").read_text("utf-8"))["tables"]
    assert [row["arm"] for row in table["rows"]] == list(improvised)
    metrics = json.loads((work / "tasks/multi-task-improvised/metrics.json").read_text("utf-8"))
    assert set(metrics["results"]["per_style"]) == {"improvised"}
    assert "only improvised speech" in metrics["protocol_note"]


def test_the_emotional_phonemes_of_iemocap_are_one_command(work, monkeypatch):
    """One arm on one fold, with a limit of utterances that the generated release reaches."""
    monkeypatch.setattr(emotional_phonemes, "_LEAST_UTTERANCES", 4)
    monkeypatch.chdir(REPOSITORY)
    small = {"manifest": work / "iemocap.jsonl", "model.backbone": work / "backbone"}
    small |= {"model.width": 8, "train.epochs": 1, "train.top_k": 1, "seeds": [1]}
    small |= {"model.auxiliary.emotional_phonemes": 2}
    command = ["ablate", "configs/ablations/iemocap-phonemes.yaml", "-o", str(work / "phonemes")]
    command += [word for key, value in small.items() for word in ("--set", f"every.{key}={value}")]
    command += ["--set", "tune=null", "--fold", "session-1", "--workers", "1", "-q"]
    command += ["--arm", "multi-task", "--arm", "emotional"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, (done.output, done.exception)
    cell = work / "phonemes/emotional/seed-1/session-1/metrics.json"
    measured = json.loads(cell.read_text("utf-8"))["phonemes"]
    assert sum(row["chosen"] for row in measured) == 2


def test_both_differ_in_the_protocol_alone():
    paper, loose = (
        load_config(CONFIGS / f"{name}.yaml").model_dump()
        for name in ("iemocap-paper", "iemocap-paper-setting")
    )
    different = {key for key in paper if paper[key] != loose[key]}
    assert different == {"name", "output", "protocol"}
    assert paper["model"]["backbone"] == "facebook/wav2vec2-base"
    assert len(paper["seeds"]) >= 3
