"""A whole study: systems x corpora that are left out x seeds, resumable, into one folder.

<output>/transfer.yaml              the config as it was resolved
<output>/networks/ manifests/       trainings, and the merged manifests that they learn from
<output>/heads/                     linear heads by what they depend on
<output>/cells/<system>/<corpus>-seed-1-<digest>.json   what came out of each cell
<output>/transfer.json              all of them, summed up
Vectors lie beside the folder, in vectors/, where other studies find them too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from phonemo.config import TransferConfig, write_config
from phonemo.errors import ConfigError, RunError
from phonemo.labels import LabelSet
from phonemo.plain_json import parsed, write_json
from phonemo.train.callbacks import Progress
from phonemo.train.transfer.bench import Bench
from phonemo.train.transfer.choices import choices_of
from phonemo.train.transfer.nested import check_nested
from phonemo.train.transfer.networks import forbid_leaks, open_network
from phonemo.train.transfer.sources import read_corpora
from phonemo.train.transfer.study import Study
from phonemo.train.transfer.summary import summed_up
from phonemo.train.transfer.tasks import Part, Task, chosen, tasks_of
from phonemo.train.transfer.trained import check_extras, forbid_start
from phonemo.whole import locked

TRANSFER = "transfer.json"
_CONFIG = "transfer.yaml"
_OURS = {_CONFIG, TRANSFER, ".lock", "cells", "heads", "manifests", "networks"}


def transfer(
    config: TransferConfig,
    command: str,
    part: Part | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Test every system on every corpus that it did not learn from; finished cells are kept.

    Args:
        config: the study.
        command: what was typed; written beside the results.
        part: what of it is done now; None does all.
        progress: shows vectors, cells and heads.

    Returns:
        The content of transfer.json, of all that is finished.

    Raises:
        PhonemoError: of any kind; what was finished stays.
    """
    progress, output = progress or Progress(), Path(config.output)
    _check_folder(output)
    labels = LabelSet(config.labels.names, config.labels.merge)
    study = Study(config, read_corpora(config, labels), labels, Bench(config, command, progress))
    _check(study)
    tasks = tasks_of(study)
    wanted = chosen(tasks, study, part or Part())
    with locked(output):
        torch.set_num_threads(config.threads)
        write_config(output / _CONFIG, config)
        for number, task in enumerate(wanted, start=1):
            progress.cell(number, len(wanted), task.name)
            if _read(task) is None:
                write_json(task.path, task.make())
        found = summed_up(study, [_read(task) for task in tasks], command)
        write_json(output / TRANSFER, found)
    return found


def _read(task: Task) -> dict[str, Any] | None:
    """A finished file's content; None where it is not finished."""
    if not task.path.is_file():
        return None
    try:
        found: dict[str, Any] = parsed(task.path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{task.path}: not JSON ({error}); remove it and run again") from error
    return found


def _check_folder(output: Path) -> None:
    """Refuse a folder that holds something else."""
    if not output.is_dir() or (output / _CONFIG).is_file():
        return
    foreign = sorted(one.name for one in output.iterdir() if one.name not in _OURS)
    if foreign:
        raise RunError(
            f"{output}: expected a folder of phonemo transfer or an empty one, got one with "
            f"{foreign[0]!r}; name another with --output"
        )


def _check(study: Study) -> None:
    """What would stop a cell after hours is said before the first one."""
    for name, system in study.config.systems.items():
        for corpus in study.config.left_out:
            teaching = [one.name for one in study.teaching(corpus)]
            check_nested(choices_of(system), teaching, name)
            for template in system.train:
                forbid_start(template, study.corpora[corpus])
        for template in system.train:
            check_extras(template, study.corpora)
        if system.network is not None:
            _check_network(study, name)
        elif study.config.within:
            raise ConfigError(
                f"within: system {name} trains networks, expected systems whose network is used "
                "as it is; put it into a study of its own"
            )


def _check_network(study: Study, name: str) -> None:
    system = study.config.systems[name]
    network = open_network(str(system.network))
    for corpus in study.config.left_out:
        forbid_leaks(network, study.corpora[corpus])
    for choice in choices_of(system):
        network.check(choice.statistics, choice.pooled)
