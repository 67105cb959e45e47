"""A training reaches no other machine, though the packages under it know hubs."""

from __future__ import annotations

import torch  # noqa: F401  (the light job has none, and skips this)

from phonemo.config import write_config
from tests.privacy.cages import run
from tests.train.tiny_run import make_config


def test_a_training_opens_no_socket(tmp_path):
    config = make_config(tmp_path, epochs=1)
    write_config(tmp_path / "config.yaml", config)
    home = tmp_path / "home"
    home.mkdir()
    command = ["-m", "phonemo", "train", tmp_path / "config.yaml", "--fold", "speaker-s1"]
    found = run(command, home)
    assert found.returncode == 0, found.stderr
    left = [one for one in home.rglob("*") if one.is_file()]
    assert {one.parent.name for one in left} <= {"matplotlib", "phonemo"}, left
    # matplotlib's list of fonts, and digests of the recordings that were decoded
