"""Whole pretrainings: they learn, they can be stopped anywhere, and they keep to their folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from phonemo.config import write_config
from phonemo.errors import ConfigError, ManifestError, ModelError, RunError
from phonemo.files import folder_lock, verify_checksums
from phonemo.model.backbone import Backbone
from phonemo.model.pretrained import load_backbone
from phonemo.train import checkpointing
from phonemo.train.callbacks import RunProgress, read_log
from phonemo.train.experiments.training_run import run as train
from phonemo.train.pretrain import pretraining as module
from phonemo.train.pretrain.distil import Distillation
from phonemo.train.pretrain.distillation_trainer import StageTrainer
from phonemo.train.pretrain.pretrain_config import PretrainConfig
from phonemo.train.pretrain.pretraining import pretrain
from phonemo.train.pretrain.student import build_student
from phonemo.train.pretrain.teacher import load_teacher
from tests.train import tiny_run
from tests.train.pretrain.tiny_teaching import STAGE, make_config, make_speech
from tests.train.tiny_training import State, changed, copy_state

LAYERS = "network.encoder."


class Stop(RunProgress):
    """Interrupts a stage as soon as some steps are done."""

    def __init__(self, stage: str, last: int) -> None:
        self.stage, self.last, self.now = stage, last, ""

    def cell(self, number: int, total: int, name: str) -> None:
        self.now = name

    def step(self, done: int, total: int, scores: Any) -> None:
        if self.now == self.stage and done >= self.last:
            raise KeyboardInterrupt


class RecordedProgress(RunProgress):
    """Records progress."""

    def __init__(self) -> None:
        self.cells: list[Any] = []
        self.steps: list[int] = []

    def cell(self, number: int, total: int, name: str) -> None:
        self.cells.append((number, total, name))

    def step(self, done: int, total: int, scores: Any) -> None:
        self.steps.append(done)


@pytest.fixture(autouse=True, scope="module")
def _short():
    """Few crops measure the teacher, and the threads are put back."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MEASURED", 6)
        yield
    torch.set_num_threads(threads)


def teach(config: PretrainConfig, progress: RunProgress | None = None) -> tuple[dict, State]:
    """The metrics, and the student in full precision."""
    result: list[State] = []
    save = module.save_student

    def keep(target: Path, student: Backbone, *rest: Any) -> None:
        result.append(copy_state(student))
        save(target, student, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "save_student", keep)
        metrics = pretrain(config, "test", progress)
    return metrics, result[0]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Holds a teacher and speech for all."""
    return tmp_path_factory.mktemp("pretrain")


@pytest.fixture(scope="module")
def recorded() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture(scope="module")
def uninterrupted(workspace, recorded) -> tuple[PretrainConfig, dict, State]:
    """An uninterrupted pretraining."""
    config = make_config(workspace)
    return config, *teach(config, recorded)


def other(workspace: Path, name: str, **changes: Any) -> PretrainConfig:
    """A pretraining with a folder of its own."""
    return make_config(workspace, output=str(workspace / "runs" / name), **changes)


# ---- learning


def test_both_stages_reduce_the_loss(workspace):
    changes = {"front_end": {"steps": 40}, "whole": {"steps": 40}, "save_steps": 5}
    metrics, _ = teach(other(workspace, "longer", **changes))
    for stage in ("front_end", "whole"):
        rows = read_log(workspace / "runs" / "longer" / stage / "log.jsonl")
        losses = [row["loss"] for row in rows if "loss" in row]
        assert sum(losses[-8:]) < 0.8 * sum(losses[:8]), stage
        first, *_, last = [row["eval_loss"] for row in rows if "eval_loss" in row]
        assert metrics[stage]["eval_loss"] == last < first
    parts = [metrics["whole"][f"eval_layer_{number}"] for number in range(3)]
    assert metrics["whole"]["eval_loss"] == pytest.approx(sum(parts) / 3)


def test_the_folder_has_the_documented_files(uninterrupted, recorded):
    config, metrics, _ = uninterrupted
    output = Path(config.output)
    names = {path.name for path in output.iterdir()}
    files = {"config.yaml", "inputs.json", "environment.json", "metrics.json", ".lock"}
    assert names == files | {"front_end", "whole", "student"}
    for stage, steps in (("front_end", 5), ("whole", 6)):
        assert {path.name for path in (output / stage).iterdir()} == {"log.jsonl", "tensorboard"}
        rows = read_log(output / stage / "log.jsonl")
        assert [row["step"] for row in rows if "loss" in row] == list(range(1, steps + 1))
    assert recorded.cells == [(1, 2, "front end"), (2, 2, "whole")]
    assert set(recorded.steps) == {1, 2, 3, 4, 5, 6}
    assert metrics["hours"] == pytest.approx(4.4 / 3600)
    assert metrics["config"] == config.digest
    environment = json.loads((output / "environment.json").read_text())
    assert environment["command"] == "test"


def test_mixed_precision_gives_nearly_the_same_weights(workspace, uninterrupted):
    config = other(workspace, "mixed", whole=STAGE | {"steps": 6, "precision": "bf16"})
    metrics, state = teach(config)
    assert changed(state, uninterrupted[2]), "it is another arithmetic"
    for name in ("front_end", "whole"):
        assert metrics[name]["eval_loss"] == pytest.approx(
            uninterrupted[1][name]["eval_loss"], rel=0.05
        )
    assert metrics["front_end"] == uninterrupted[1]["front_end"], "the stage before it is as it was"


def test_the_first_stage_does_not_train_the_transformer(workspace, uninterrupted):
    config = other(workspace, "front", whole=STAGE | {"steps": 0})
    metrics, state = teach(config)
    assert "whole" not in metrics
    torch.manual_seed(config.seed)
    teacher = load_teacher(config.teacher, config.floor_db)
    graft = copy_state(Backbone(build_student(config.student, teacher), normalise=True))
    moved = changed(graft, state)
    assert moved == {name for name in graft if not name.startswith(LAYERS)}
    moved = {name for name in changed(state, uninterrupted[2]) if name.startswith(LAYERS)}
    still = {name for name in graft if name.startswith(LAYERS)} - moved
    assert all("k_proj.bias" in name for name in still), "the second moves all but k's idle bias"


def test_two_rates_and_no_decay_for_norms_and_biases(workspace, uninterrupted, tmp_path):
    config = uninterrupted[0]
    teacher = load_teacher(config.teacher)
    student = Backbone(build_student(config.student, teacher), normalise=True)
    for full, count in ((True, 4), (False, 2)):
        distillation = Distillation(student, teacher, None, 0.08, 2, full)  # type: ignore[arg-type]
        trainer = StageTrainer(distillation, config, config.whole, None, [], tmp_path, [])  # type: ignore[arg-type]
        groups = trainer.create_optimizer().param_groups
        assert len(groups) == count
        names = {id(parameter): name for name, parameter in student.named_parameters()}
        for group in groups:
            for parameter in group["params"]:
                layers = names[id(parameter)].startswith(LAYERS)
                assert group["lr"] == (config.whole.rate_layers if layers else 0.01)
                assert group["weight_decay"] == (0.01 if parameter.ndim > 1 else 0)
        learning = [p for p in student.parameters() if p.requires_grad]
        assert sum(len(group["params"]) for group in groups) == len(learning)


def test_a_loss_of_nan_stops_the_training(workspace, monkeypatch):
    def broken(self: Distillation, waveform: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": torch.tensor(float("nan"), requires_grad=True)}

    monkeypatch.setattr(Distillation, "forward", broken)
    with pytest.raises(
        ModelError, match="expected a finite loss, got nan at step 0; lower rate_front"
    ):
        pretrain(other(workspace, "nan"), "test")


# ---- stopping and going on


@pytest.mark.parametrize(
    ("stage", "step"), [("front end", 1), ("front end", 3), ("whole", 2), ("whole", 5)]
)
def test_interrupted_and_resumed_equals_uninterrupted(workspace, uninterrupted, stage, step):
    config = other(workspace, f"stopped-{stage[0]}{step}")
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, "test", Stop(stage, step))
    assert not (Path(config.output) / "metrics.json").exists()
    metrics, state = teach(config)
    assert changed(uninterrupted[2], state) == set()
    assert metrics == uninterrupted[1]
    for name in ("front_end", "whole"):
        rows = read_log(Path(config.output) / name / "log.jsonl")
        logged = [(row["step"], row["loss"]) for row in rows if "loss" in row]
        straight = read_log(Path(uninterrupted[0].output) / name / "log.jsonl")
        assert logged == [(row["step"], row["loss"]) for row in straight if "loss" in row]


def test_a_stop_between_student_and_metrics_is_resumed(workspace, uninterrupted, monkeypatch):
    config = other(workspace, "stopped-late")

    def full(path: Path, data: Any) -> None:
        if path.name == "metrics.json":
            raise KeyboardInterrupt
        write(path, data)

    write = module.write_json
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_json", full)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, "test")
    metrics, state = teach(config)
    assert changed(uninterrupted[2], state) == set()
    assert metrics == uninterrupted[1]


def test_a_broken_checkpoint_is_skipped(workspace, uninterrupted, caplog):
    config = other(workspace, "broken")
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, "test", Stop("whole", 5))
    newest = checkpointing.newest_checkpoint(Path(config.output) / "whole" / "checkpoints")
    assert newest is not None
    (newest / checkpointing.WEIGHTS).write_bytes(b"half")
    assert changed(uninterrupted[2], teach(config)[1]) == set()
    assert newest.name in caplog.text


def test_a_finished_pretraining_is_not_repeated(uninterrupted):
    config = uninterrupted[0]
    model = Path(config.output) / "student" / "model.safetensors"
    before = model.stat().st_mtime_ns
    assert pretrain(config.model_copy(update={"threads": 2}), "test") == uninterrupted[1]
    assert model.stat().st_mtime_ns == before


# ---- the folder


def test_another_config_leaves_a_pretraining_unchanged(workspace, uninterrupted):
    for changes in ({"seed": 2}, {"whole": {"rate_layers": 0.1}}, {"floor_db": 80.0}):
        with pytest.raises(RunError, match="got one with another config"):
            pretrain(make_config(workspace, **changes), "test")
    pretrain(make_config(workspace, log_steps=7, threads=1), "test")


def test_a_grown_manifest_is_an_error(tmp_path):
    config = make_config(tmp_path, front_end={"steps": 1}, whole={"steps": 0})
    pretrain(config, "test")
    make_speech(tmp_path / "speech", seconds=(0.5,) * 7)
    with pytest.raises(RunError, match="got one with other manifests"):
        pretrain(config, "test")


def test_a_foreign_folder_is_refused(workspace):
    config = other(workspace, "thesis")
    precious = Path(config.output) / "student" / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    with pytest.raises(
        RunError, match="expected a pretraining's folder or an empty one, got one with 'student'"
    ):
        pretrain(config, "test")
    assert precious.read_text() == "years of work"


def test_a_training_folder_is_refused(workspace, tmp_path):
    config = other(workspace, "training")
    write_config(Path(config.output) / "config.yaml", tiny_run.make_config(tmp_path))
    with pytest.raises(RunError, match="expected a pretraining's folder") as caught:
        pretrain(config, "test")
    assert "\n" not in str(caught.value)


def test_another_process_in_the_folder_is_an_error(workspace, uninterrupted):
    with (
        folder_lock(Path(uninterrupted[0].output)),
        pytest.raises(RunError, match="another process"),
    ):
        pretrain(uninterrupted[0], "test")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"teacher": "nowhere/"}, ModelError, "expected a Whisper model"),
        ({"start": "nowhere/"}, ModelError, "no such folder"),
        ({"manifests": ["nowhere.jsonl"]}, ManifestError, "phonemo prepare"),
        ({"never_heard": ["talk"]}, ConfigError, "never_heard"),
        ({"held_out": 6}, ConfigError, "held_out below 6"),
        ({"student": {"strides": (80, 1, 1, 2)}}, ConfigError, "a product of 320"),
        (
            {"whole": {"hearing": {"longest_seconds": 3.5}}},
            ConfigError,
            "at most 3 s, the teacher's limit",
        ),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_a_pretraining_that_fails_to_start_leaves_its_folder_free(
    workspace, changes, error, message
):
    config = other(workspace, "began", **changes)
    with pytest.raises(error, match=message) as caught:
        pretrain(config, "test")
    assert "\n" not in str(caught.value)
    assert not (Path(config.output) / "config.yaml").exists()


# ---- the student


def test_the_student_opens_as_a_backbone(uninterrupted):
    config, _, state = uninterrupted
    folder = Path(config.output) / "student"
    verify_checksums(folder)
    network, normalise = load_backbone(str(folder))
    assert normalise
    opened = copy_state(Backbone(network, normalise))
    assert opened.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(opened[name], tensor.half().float()), name
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {
        torch.float16
    }


def test_the_provenance_lists_the_training_corpora(uninterrupted):
    provenance = json.loads((Path(uninterrupted[0].output) / "student" / "heard.json").read_text())
    assert provenance == {
        "utterances": {"talk": 6},
        "config": uninterrupted[0].digest,
        "start": None,
    }


def test_a_training_uses_the_student_as_backbone(uninterrupted, tmp_path):
    config = tiny_run.make_config(tmp_path, epochs=1)
    model = {"backbone": str(Path(uninterrupted[0].output) / "student")}
    config = tiny_run.with_changes(config, model=model)
    metrics = train(config, "test", folds=["speaker-s1"])
    assert 0 <= metrics["results"]["ua"]["mean"] <= 1


def test_a_pretraining_continues_from_a_student(workspace, uninterrupted):
    """Without the first stage, with other speech, and it remembers the speech of before."""
    start = str(Path(uninterrupted[0].output) / "student")
    speech = make_speech(workspace / "more", "more", (0.5, 0.6, 0.7, 0.8))
    changes = {"front_end": {"steps": 0}, "manifests": [str(speech)], "whole": {"steps": 2}}
    config = other(workspace, "on", start=start, **changes)
    metrics, state = teach(config)
    assert "front_end" not in metrics
    assert not (Path(config.output) / "front_end").exists()
    before = copy_state(Backbone(*load_backbone(start)))
    assert changed(before, state) > {"network.feature_projection.projection.weight"}
    step = max(float((before[name] - state[name]).abs().max()) for name in state)
    assert 0 < step < 0.05, "two steps from there, not a new one"
    provenance = json.loads((Path(config.output) / "student" / "heard.json").read_text())
    assert provenance["utterances"] == {"more": 4}
    assert provenance["start"] == start
    assert provenance["before"]["utterances"] == {"talk": 6}
    again = other(
        workspace, "again", start=str(Path(config.output) / "student"), never_heard=["talk"]
    )
    with pytest.raises(ConfigError, match="not trained on never_heard, got one trained on 'talk'"):
        pretrain(
            make_config(workspace, **again.model_dump() | {"manifests": [str(speech)]}), "test"
        )


def test_no_steps_leave_the_start_unchanged(workspace, uninterrupted):
    start = Path(uninterrupted[0].output) / "student"
    config = other(workspace, "none", start=str(start), front_end={"steps": 0}, whole={"steps": 0})
    _, state = teach(config)
    assert changed(copy_state(Backbone(*load_backbone(str(start)))), state) == set()
