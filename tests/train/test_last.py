"""select_by last: no epoch is picked, and the validation part is learnt from."""

from __future__ import annotations

import json
from pathlib import Path

from phonemo.train.callbacks import read_log
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from phonemo.train.provenance import provenance_of
from tests.train.tiny_run import make_config


def test_the_last_epoch_is_used_and_validation_is_trained_on(tmp_path: Path) -> None:
    config = make_config(tmp_path, select_by="last", epochs=3, batch_size=6)
    metrics = run(config, "phonemo train", folds=["speaker-s1"])
    folder = Path(config.output) / "seed-1" / "speaker-s1"
    fold = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert fold["sizes"] == {"train": 12, "validation": 6, "test": 6}
    assert fold["steps"] == 3 * 18 / 6, "18 utterances an epoch: train and validation"
    assert fold["best_step"] is None or fold["best_step"] == fold["steps"]
    assert fold["best_validation"] is None
    assert not any("eval_ua" in row for row in read_log(folder / "log.jsonl"))
    assert "no epoch was selected" in metrics["protocol_note"]
    assert (folder / "learning-curves.png").is_file()
    pictures = ("confusion", "reliability", "risk-coverage", "phoneme-errors")
    for name in (*(f"{one}.png" for one in pictures), "phoneme-errors.csv"):
        assert (Path(config.output) / name).is_file(), name
    split = prepare_experiment(config).split
    tested = {fold for fold in split.folds if fold.name == "speaker-s1"}.pop()
    provenance = provenance_of(folder / "model").taught["beeps"].utterances
    assert len(provenance) == len(tested.train) + len(tested.validation)
