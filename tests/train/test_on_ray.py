"""Cells that Ray trains are those that one process trains; what fails is told, and ends."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'phonemo[batch]'")

from phonemo import clusters
from phonemo.config import AblationConfig, write_config
from phonemo.errors import MissingExtraError, RunError
from phonemo.train import on_ray
from phonemo.train.ablation import ablate
from phonemo.train.on_ray import Cluster, spread
from phonemo.train.records import read_rows
from tests.test_cli import assert_one_line, call
from tests.train import tiny_training  # noqa: F401  (it keeps collections short)
from tests.train.tiny_run import SPEAKERS, make_config

#: Ray leaves its processes to end by themselves.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

FOLD = f"speaker-{SPEAKERS[0]}"


def study(folder: Path, name: str) -> AblationConfig:
    path = folder / "base.yaml"
    write_config(path, make_config(folder / "base", epochs=1))
    arms = {
        "multi-task": {},
        "single-task": {"model.auxiliary": None},
        "wild": {"train.rate_heads": 1e30},
    }
    tables = [{"title": "Q", "baseline": "multi-task", "arms": ["single-task", "wild"]}]
    data = {"name": "tiny", "base": str(path), "output": str(folder / name)}
    return AblationConfig.model_validate({**data, "tables": tables, "arms": arms})


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> dict[str, tuple[AblationConfig, str]]:
    """The same study in this process and by Ray, each with what it said of the arm that fails."""
    folder = tmp_path_factory.mktemp("ray")
    found = {}
    for name, cluster in (("here", None), ("ray", Cluster(workers=2))):
        config = study(folder, name)
        with pytest.raises(RunError) as caught:
            ablate(config, "phonemo ablate", [FOLD], workers=1, cluster=cluster)
        found[name] = config, str(caught.value)
    return found


def test_ray_gives_the_answers_of_one_process(studies):
    rows = {}
    for name, (config, _) in studies.items():
        cells = [Path(config.output) / arm / "seed-1" / FOLD for arm in list(config.arms)[:2]]
        rows[name] = [read_rows(cell / "predictions.jsonl") for cell in cells]
    assert rows["here"] == rows["ray"]
    assert all(rows["ray"])


def test_a_cell_that_fails_is_named_and_leaves_the_others_alone(studies):
    here, by_ray = (said for _, said in studies.values())
    assert "wild" in by_ray
    assert "loss" in by_ray
    assert here == by_ray
    config, _ = studies["ray"]
    assert json.loads((Path(config.output) / "ablation.json").read_text())["missing"] == ["wild"]


def _process(job: int) -> int:
    return os.getpid() if job else 1 // job


def test_the_work_is_done_in_other_processes_and_what_fails_there_is_one_line():
    told = {}
    spread([1, 2, 0], 1, _process, Cluster(workers=2), told.__setitem__)
    assert sorted(told) == [0, 1, 2]
    assert os.getpid() not in (told[1], told[2])
    assert isinstance(told[0], RunError)
    assert str(told[0]).endswith("ZeroDivisionError: integer division or modulo by zero")
    assert str(told[0]).isprintable()


def test_a_machine_that_does_not_see_the_folder_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray.logging, "disable", lambda level: None)
    found = on_ray._done_in(str(tmp_path / "elsewhere"), _process, 1)
    assert isinstance(found, RunError)
    assert "must share the folder" in str(found)


def test_an_address_without_ray_is_one_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(study(tmp_path, "out").model_dump(mode="json")), encoding="utf-8")
    found = call("ablate", str(path), "--address", "auto")
    assert_one_line(found, 2, "--engine ray")


def test_no_cluster_at_the_address_is_one_line():
    with (
        pytest.raises(RunError, match=r"no Ray at 127\.0\.0\.1:9 "),
        clusters.ray_session("127.0.0.1:9", None),
    ):
        pytest.fail("there is none")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match="batch"):
        clusters.needs_ray()
