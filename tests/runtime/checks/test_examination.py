"""What phonemo doctor finds: faults are problems with a next step, missing extras are not."""

from __future__ import annotations

import json
import shutil
from importlib import metadata

import pytest

from phonemo.runtime import bundle
from phonemo.runtime.bundle import CARD, packaged, packaged_names
from phonemo.runtime.checks import machine, models_found, packages, self_test
from phonemo.runtime.checks.examination import examine
from phonemo.runtime.checks.findings import Examination, Finding, Section, without_user
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.runtime.cards import pretend_card
from tests.tiny_bundle import BUNDLE

DECLARED = ["numpy>=1.26", "base<2", 'one>=1.2 ; extra == "x"', 'phonemo[x] ; extra == "all"']
DECLARED += ['two[a,b]>=3,<4; extra == "all"', "phonemo[all]; extra == 'all'"]


@pytest.fixture
def installed(monkeypatch):
    """Distributions and versions; phonemo's requirements are DECLARED."""
    versions: dict[str, str] = {"numpy": "2.0", "base": "1.10rc1", "one": "1.10", "two": "3.0.0"}
    monkeypatch.setattr(packages, "version_of", versions.get)
    monkeypatch.setattr(metadata, "requires", lambda name: DECLARED)
    return versions


@pytest.mark.parametrize("name", packaged_names())
def test_the_self_test_knows_every_model_that_ships(name):
    """After a model has changed, run: python -m tests.golden.make_self_test."""
    recognizer = OnnxRecognizer.load(packaged(name), threads=1)
    assert self_test.digest_of(recognizer) in self_test.expected_logits()


def test_a_working_installation_has_no_problems():
    found = examine()
    assert found.ok, found.problems
    content = found.plain()
    assert content["self-test"]["phonemo-small"].startswith("passed")
    assert "s of audio per second" in content["self-test"]["speed"]
    assert content["self-test"]["device"] == "cpu"
    assert {"phonemo", "python", "numpy", "onnxruntime", "libsndfile"} <= set(content["versions"])
    assert json.loads(json.dumps(content)) == content


def test_other_outputs_than_the_releases_are_a_problem(monkeypatch):
    real = self_test.expected_logits()
    moved = {key: {name: x + 0.4 for name, x in row.items()} for key, row in real.items()}
    monkeypatch.setattr(self_test, "expected_logits", lambda: moved)
    finding = self_test.self_test().findings["phonemo-small"]
    assert finding.value.startswith("failed, logits differ by 0.4")
    assert "update onnxruntime" in finding.problem


def test_a_missing_card_is_a_problem_of_the_self_test(monkeypatch):
    pretend_card(monkeypatch, "falls back")
    found = examine("cuda")
    assert any("expected a session on cuda" in problem for problem in found.problems)
    pretend_card(monkeypatch, "works")
    assert examine("cuda").plain()["self-test"]["device"] == "cuda"


def test_a_damaged_model_that_ships_is_a_problem(monkeypatch, tmp_path):
    shutil.copytree(BUNDLE, tmp_path / "phonemo-small")
    (tmp_path / "phonemo-small" / "head.onnx").write_bytes(b"damaged")
    monkeypatch.setattr(bundle, "_models_folder", lambda: tmp_path)
    (problem,) = Examination((models_found.models(),)).problems
    assert "pip install --force-reinstall phonemo" in problem
    shutil.rmtree(tmp_path / "phonemo-small")
    assert "expected phonemo-small" in models_found.models().findings["shipped"].problem


def test_models_of_the_hubs_cache_are_checked(monkeypatch, tmp_path):
    snapshot = tmp_path / "models--org--my--name" / "snapshots" / "0123456789abcdef"
    shutil.copytree(BUNDLE, snapshot)
    (tmp_path / "models--org--other" / "snapshots" / "1").mkdir(parents=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = models_found.models().findings
    name = "org/my--name@0123456789ab"
    assert found[name].value.startswith("cached, int8")
    assert set(found) == {*packaged_names(), name}
    (snapshot / CARD).write_text("{")
    assert models_found.models().findings[name].problem.endswith("download it again")


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HF_HUB_CACHE": "/a/hub"}, "/a/hub"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HOME": "/d"}, "/d/.cache/huggingface/hub"),
    ],
)
def test_the_hubs_cache_is_where_huggingface_hub_has_it(monkeypatch, variables, place):
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert models_found.hub_cache().as_posix() == place


def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch):
    monkeypatch.setattr(models_found.os, "access", lambda path, mode: False)
    problems = Examination((models_found.folders(),)).problems
    assert len(problems) == 2
    assert "set HF_HOME" in problems[0]


def test_an_extra_names_its_missing_packages_and_the_install_line(installed):
    assert packages.required().findings["required"].problem is None
    assert {one.value for one in packages.extras().findings.values()} == {"installed"}
    del installed["two"]
    installed["one"] = "1.1.9"
    found = packages.extras().findings
    assert found["x"].value == "no, one 1.1.9 is not >=1.2"
    assert found["all"].value == "no, one 1.1.9 is not >=1.2; missing: two"
    assert found["all"].hint == "pip install 'phonemo[all]'"
    assert not Examination((packages.extras(),)).problems


def test_a_missing_or_old_required_package_is_a_problem(installed):
    installed |= {"numpy": "1.25.9", "base": "2.0"}
    problem = packages.required().findings["required"].problem
    assert problem.startswith("numpy 1.25.9 is not >=1.26; base 2.0 is not <2; run: pip install")


def test_onnxruntime_gpu_replaces_onnxruntime_but_not_beside_it(monkeypatch, installed):
    monkeypatch.setattr(metadata, "requires", lambda name: ["onnxruntime>=1.20"])
    installed["onnxruntime-gpu"] = "1.31.1"
    assert packages.required().findings["required"].problem is None
    monkeypatch.setattr(machine, "version_of", lambda name: "1.31.1")
    assert "overwrite each other" in machine.versions().findings["onnxruntime-gpu"].problem


def test_phonemo_without_metadata_is_examined_all_the_same(monkeypatch):
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert not packages.extras().findings
    assert packages.required().findings["required"].problem is None


def test_a_section_that_cannot_be_made_is_a_problem_and_the_others_follow(monkeypatch):
    def broken() -> Section:
        raise ImportError("libgomp.so.1:\n cannot open")

    monkeypatch.setattr(machine, "devices", broken)
    (problem,) = examine().problems
    assert problem.startswith("devices, devices: ImportError: libgomp.so.1: cannot open; run: pip")


def test_reports_hold_neither_home_nor_user(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setenv("LOGNAME", "anna")
    data = {"cache": "/home/anna/.cache", "other": ["/scratch/anna/hub", "anna is a name", 1, None]}
    assert without_user(data) == {
        "cache": "~/.cache",
        "other": ["/scratch/USER/hub", "anna is a name", 1, None],
    }
    found = Examination((Section("s", {"n": Finding("/home/anna/x", "/home/anna/y is full")}),))
    assert "anna" not in json.dumps(found.plain())
