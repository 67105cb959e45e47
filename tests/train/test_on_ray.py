"""Ray trains the same cells as one process and reports failures.

Each command with Ray runs in its own process, as Ray leaves threads and children behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'phonemo[batch]'")

from phonemo.config import write_config
from phonemo.errors import MissingExtraError, RunError
from phonemo.files import read_rows
from phonemo.runtime import workers
from phonemo.train.experiments.ablation import ablate
from phonemo.train.experiments.ablation_config import AblationConfig
from tests.train import tiny_training  # noqa: F401  (it keeps collections short)
from tests.train.tiny_run import SPEAKERS, make_config

FOLD = f"speaker-{SPEAKERS[0]}"
TRAINED = ("multi-task", "single-task")

#: One job for each process, and one that fails there.
SPREAD = """
import os
from phonemo.runtime.workers import Cluster, run_on_ray

def process(job):
    return os.getpid() if job else 1 // job

found = dict(run_on_ray(process, [1, 2, 0], 1, Cluster(workers=2)))
print(sorted(found), os.getpid() in found.values(), type(found[0]).__name__, found[0])
"""


def study(folder: Path, name: str) -> AblationConfig:
    path = folder / "base.yaml"
    write_config(path, make_config(folder / "base", epochs=1))
    arms = {"multi-task": {}, "single-task": {"model.auxiliary": None}}
    arms["wild"] = {"train.rate_heads": 1e30}
    tables = [{"title": "Q", "baseline": "multi-task", "arms": ["single-task", "wild"]}]
    data = {"name": "tiny", "base": str(path), "output": str(folder / name)}
    return AblationConfig.model_validate({**data, "tables": tables, "arms": arms})


def python(*typed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *typed], capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture(scope="module")
def here_and_there(tmp_path_factory) -> tuple[AblationConfig, str, AblationConfig, str]:
    """The same study in this process and by Ray, each with its error for the failing arm."""
    folder = tmp_path_factory.mktemp("ray")
    here, there = study(folder, "here"), study(folder, "there")
    with pytest.raises(RunError) as caught:
        ablate(here, "phonemo ablate", [FOLD], workers=1)
    path = folder / "study.yaml"
    path.write_text(json.dumps(there.model_dump(mode="json")), encoding="utf-8")
    typed = ["ablate", str(path), "--fold", FOLD, "--engine", "ray", "--workers", "2"]
    ended = python("-m", "phonemo", *typed)
    assert ended.returncode == 1, ended.stderr
    return here, str(caught.value), there, ended.stderr


def test_ray_gives_the_answers_of_one_process(here_and_there):
    here, _, there, _ = here_and_there
    for arm in TRAINED:
        rows = [
            read_rows(Path(config.output) / arm / "seed-1" / FOLD / "predictions.jsonl")
            for config in (here, there)
        ]
        assert rows[0]
        assert rows[0] == rows[1]


def test_a_cell_that_fails_is_named_and_leaves_the_others_alone(here_and_there):
    _, message, there, message_there = here_and_there
    assert message_there.splitlines()[-1] == f"phonemo: {message}"
    assert "wild" in message
    found = json.loads((Path(there.output) / "ablation.json").read_text())
    assert found["missing"] == ["wild"]


def test_jobs_run_in_other_processes_and_a_failure_is_one_line(tmp_path):
    script = tmp_path / "spread.py"
    script.write_text(SPREAD, encoding="utf-8")
    ended = python(str(script))
    assert ended.stdout == (
        "[0, 1, 2] False RunError on Ray: ZeroDivisionError: integer division or modulo by zero\n"
    ), ended.stderr


def test_a_machine_without_the_folder_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(workers.logging, "disable", lambda level: None)
    before = os.getcwd()
    result = workers._call_in_folder(str(tmp_path / "elsewhere"), str, 1)
    assert isinstance(result, RunError)
    assert "must share the folder" in str(result)
    assert os.getcwd() == before


def test_no_cluster_at_the_address_is_a_one_line_error():
    with (
        pytest.raises(RunError, match=r"no Ray at 127\.0\.0\.1:9 "),
        workers.ray_session("127.0.0.1:9", None),
    ):
        pytest.fail("there is none")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="batch"):
        workers.needs_ray()
