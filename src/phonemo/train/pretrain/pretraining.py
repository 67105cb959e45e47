"""A complete pretraining, resumable, into one folder.

<output>/config.yaml inputs.json environment.json     config, manifest hashes, software versions
<output>/front_end/ whole/     log.jsonl, tensorboard/, and checkpoints/ until the end
<output>/student/              the network, for a config's model.backbone
<output>/metrics.json          the final losses; written last
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import TrainerCallback

from phonemo.audio import RATE
from phonemo.config import write_config
from phonemo.errors import ConfigError, ManifestError, RunError
from phonemo.files import checksummed_folder, folder_lock, loads_json, sha256_of, write_json
from phonemo.model.backbone import Backbone
from phonemo.model.pretrained import feature_extractor, quiet_transformers
from phonemo.train.callbacks import JsonLines, RunProgress, Steps, tensorboard
from phonemo.train.pretrain.crops import change, needed
from phonemo.train.pretrain.distil import Distillation, Scales, at_level, measure_scales
from phonemo.train.pretrain.distillation_trainer import StageTrainer
from phonemo.train.pretrain.pretrain_config import PretrainConfig, StageConfig, load_pretrain_config
from phonemo.train.pretrain.speech import Crops, SpeechCache, divided, open_speech_cache
from phonemo.train.pretrain.student import (
    build_student,
    frame_shift,
    open_student,
    pretraining_corpora,
)
from phonemo.train.pretrain.teacher import Teacher, load_teacher
from phonemo.train.provenance import HEARD, environment, provenance_of

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
STUDENT = "student"
_STAGES = ("front_end", "whole")
#: What a folder may hold before its config is written.
_BEFORE_CONFIG = {".lock", "inputs.json", "environment.json", f"{CONFIG}.part"}
#: Number and length of the crops on which the teacher's features are measured.
_MEASURED = 64
_MEASURED_SECONDS = 3
_HELD_OUT_SECONDS = 3
_HELD_OUT_BATCH = 16


@dataclass(frozen=True)
class Lesson:
    """Inputs of both stages."""

    config: PretrainConfig
    teacher: Teacher
    student: Backbone
    bank: SpeechCache
    members: list[int]
    held_out: list[Tensor]
    scales: Scales


def pretrain(
    config: PretrainConfig, command: str, progress: RunProgress | None = None
) -> dict[str, Any]:
    """Train a student, or resume; a finished pretraining is not repeated.

    Args:
        config: the pretraining's config.
        command: the command line, written to the output.
        progress: receives progress.

    Returns:
        The final losses on held-out recordings, with the hours of speech.

    Raises:
        PhonemoError: of any kind; finished stages are kept.
    """
    progress = progress or RunProgress()
    torch.set_num_threads(config.threads)
    output, inputs = Path(config.output), _inputs(config)
    with folder_lock(output):
        _check_same(output, config, inputs)
        if not (output / "metrics.json").is_file():
            lesson = _prepare(config, progress)
            _write_inputs(output, config, inputs, command)
            _train_stages(lesson, output, progress)
    metrics: dict[str, Any] = loads_json((output / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def _inputs(config: PretrainConfig) -> dict[str, str]:
    for path in config.manifests:
        if not Path(path).is_file():
            raise ManifestError(f"{path}: no such manifest; make one with: phonemo prepare")
    return {path: sha256_of(Path(path)) for path in config.manifests}


def _check_same(output: Path, config: PretrainConfig, inputs: dict[str, str]) -> None:
    config_path = output / CONFIG
    if not config_path.is_file():
        foreign = sorted({path.name for path in output.iterdir()} - _BEFORE_CONFIG)
        if foreign:
            raise RunError(
                f"{output}: expected a pretraining's folder or an empty one, got one with "
                f"{foreign[0]!r}; name another with --output"
            )
        return
    try:
        earlier = load_pretrain_config(config_path)
    except ConfigError as error:
        raise RunError(
            f"{output}: expected a pretraining's folder, got another ({error}); name another with "
            "--output"
        ) from error
    same_inputs = loads_json((output / "inputs.json").read_text(encoding="utf-8")) == inputs
    if earlier.digest != config.digest or not same_inputs:
        difference = "another config" if same_inputs else "other manifests"
        raise RunError(
            f"{output}: expected a pretraining with the same config and manifests, got one with "
            f"{difference}; name another with --output"
        )


def _write_inputs(
    output: Path, config: PretrainConfig, inputs: dict[str, str], command: str
) -> None:
    write_json(output / "inputs.json", inputs)
    write_json(output / "environment.json", environment(command))
    write_config(output / CONFIG, config)


def _prepare(config: PretrainConfig, progress: RunProgress) -> Lesson:
    _check_start(config)
    bank = open_speech_cache(config, Path(config.output).parent, progress.features)
    if bank.skipped:
        log.warning("%d recordings cannot be decoded and are skipped", len(bank.skipped))
    members, held_out = divided(bank, config.held_out)
    teacher = load_teacher(config.teacher, config.floor_db, config.student.layers)
    _check_lengths(config, teacher)
    torch.manual_seed(config.seed)
    if config.start is None:
        student = Backbone(build_student(config.student, teacher), normalise=True)
    else:
        student = open_student(config.start, config.student, teacher)
    crops = [_fixed_crop(bank, members, number, config) for number in range(_MEASURED)]
    scales = measure_scales(teacher, crops)
    batches = _held_out_batches(bank, held_out)
    return Lesson(config, teacher, student, bank, members, batches, scales)


def _check_start(config: PretrainConfig) -> None:
    corpora = provenance_of(config.start).trained_on
    for corpus in config.never_heard:
        if corpus in corpora:
            raise ConfigError(
                f"start {config.start!r}: expected a student not trained on never_heard, got one "
                f"trained on {corpus!r}; remove one or the other"
            )


def _check_lengths(config: PretrainConfig, teacher: Teacher) -> None:
    longest = max(config.front_end.hearing.longest_seconds, config.whole.hearing.longest_seconds)
    if max(longest, _MEASURED_SECONDS) > teacher.longest_seconds:
        raise ConfigError(
            f"expected crops of at most {teacher.longest_seconds:g} s, the teacher's limit, got "
            f"{longest:g} s; lower hearing.longest_seconds"
        )


def _fixed_crop(
    bank: SpeechCache, members: list[int], number: int, config: PretrainConfig
) -> Tensor:
    """Return a crop at the teacher's level, for measuring."""
    size = _MEASURED_SECONDS * RATE
    augmentation = config.whole.hearing
    draw = np.random.default_rng([config.seed, 2, number])
    recording = bank.recording(members[int(draw.integers(len(members)))])
    samples = np.resize(recording, needed(size, augmentation))  # repeated until it is long enough
    return at_level(torch.from_numpy(change(samples, size, augmentation, draw)), config.level)


def _held_out_batches(bank: SpeechCache, numbers: list[int]) -> list[Tensor]:
    """Return the beginnings of held-out recordings, unchanged, in batches (batch, sample)."""
    size = _HELD_OUT_SECONDS * RATE
    clips = [np.resize(bank.recording(number), size).astype(np.float32) for number in numbers]
    return list(torch.from_numpy(np.stack(clips)).split(_HELD_OUT_BATCH))


def _train_stages(lesson: Lesson, output: Path, progress: RunProgress) -> None:
    config = lesson.config
    metrics: dict[str, Any] = {"hours": lesson.bank.seconds / 3600, "config": config.digest}
    for number, name in enumerate(_STAGES, start=1):
        stage: StageConfig = getattr(config, name)
        if stage.steps:
            progress.cell(number, len(_STAGES), name.replace("_", " "))
            metrics[name] = _train_stage(lesson, name, stage, output, progress)
    save_student(output / STUDENT, lesson.student, lesson.bank, config)
    write_json(output / "metrics.json", metrics)
    for name in _STAGES:
        shutil.rmtree(output / name / "checkpoints", ignore_errors=True)


def _train_stage(
    lesson: Lesson, name: str, stage: StageConfig, output: Path, progress: RunProgress
) -> dict[str, float]:
    config, folder = lesson.config, output / name
    distillation = Distillation(
        lesson.student,
        lesson.teacher,
        lesson.scales,
        config.level,
        frame_shift(config.student),
        whole=name == "whole",
    )
    seed = config.seed * len(_STAGES) + _STAGES.index(name)
    trainer = StageTrainer(
        distillation,
        config,
        stage,
        Crops(lesson.bank, lesson.members, stage, seed),
        lesson.held_out,
        folder / "checkpoints",
        _callbacks(folder, progress),
    )
    trainer.resume_or_start()
    return trainer.evaluate()


def _callbacks(folder: Path, progress: RunProgress) -> list[TrainerCallback]:
    return [JsonLines(folder / "log.jsonl"), Steps(progress), tensorboard(folder / "tensorboard")]


def save_student(
    target: Path, student: Backbone, bank: SpeechCache, config: PretrainConfig
) -> None:
    """Write the student in half precision, with checksums and its training corpora."""
    with quiet_transformers(), checksummed_folder(target, (OSError, SafetensorError)) as folder:
        student.network.half().save_pretrained(folder)
        student.network.float()
        feature_extractor(normalise=True).save_pretrained(folder)
        content = {
            "utterances": bank.corpora,
            "config": config.digest,
            "start": config.start,
        }
        before = {} if config.start is None else {"before": pretraining_corpora(config.start)}
        (folder / HEARD).write_text(json.dumps(content | before, indent=1), encoding="utf-8")
