"""A complete study, systems x left-out corpora x seeds, resumable, into one folder.

<output>/transfer.yaml              the resolved config
<output>/networks/ manifests/       trained networks, and the merged manifests they are trained on
<output>/heads/                     linear heads, named by a digest of their inputs
<output>/cells/<system>/<corpus>-seed-1-<digest>.json   the result of each cell
<output>/transfer.json              the summary
Vectors are stored beside the folder, in vectors/, and shared with other studies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from phonemo.config import write_config
from phonemo.errors import ConfigError, ProtocolError, RunError
from phonemo.files import folder_lock, loads_json, write_json
from phonemo.labels import LabelSet
from phonemo.train.callbacks import RunProgress
from phonemo.train.transfer import study as bench
from phonemo.train.transfer import study_cell, vectors
from phonemo.train.transfer.corpora import Corpus, read_corpora, read_corpus
from phonemo.train.transfer.selection import check_nested, choices_of
from phonemo.train.transfer.study import Cell, Study, StudyBench, digest_of_facts
from phonemo.train.transfer.study_cell import run_cell
from phonemo.train.transfer.study_config import SystemConfig, TransferConfig, WithinConfig
from phonemo.train.transfer.study_summary import summarize_study
from phonemo.train.transfer.testing import conditions_of
from phonemo.train.transfer.trained_networks import check_extras, forbid_start, inputs_of
from phonemo.train.transfer.vectors import forbid_leaks, open_network, recordings_digest
from phonemo.train.transfer.within_corpus import run_within

_VERSIONS = (bench.VERSION, study_cell.VERSION, vectors.VERSION)


@dataclass(frozen=True)
class StudyPart:
    """The part of a study to run; empty fields select everything."""

    systems: Sequence[str] = ()
    left_out: Sequence[str] = ()
    seeds: Sequence[int] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """One result file of a study.

    Attributes:
        name: name for progress.
        system: the system's name.
        left_out: the left-out corpus; None for a test within a corpus.
        seed: the cell's seed; None within a corpus.
        path: path of the file.
        make: computes its content.
    """

    name: str
    system: str
    left_out: str | None
    seed: int | None
    path: Path
    make: Callable[[], dict[str, Any]]


def tasks_of(study: Study) -> list[Task]:
    """List all result files of a study by corpus, those within corpora last."""
    tasks = []
    config = study.config
    facts = _facts(study)
    identities = {name: _identity(system) for name, system in config.systems.items()}
    folder = Path(config.output) / "cells"
    for corpus in config.left_out:
        for name in config.systems:
            for seed in config.seeds:
                key = digest_of_facts(facts, identities[name], corpus, seed)
                path = folder / name / f"{corpus}-seed-{seed}-{key}.json"
                make = partial(run_cell, study, Cell(name, corpus, seed))
                tasks.append(
                    Task(f"{name} on {corpus} seed {seed}", name, corpus, seed, path, make)
                )
    for within in config.within:
        within_facts = _within_facts(study, within)
        for name in config.systems:
            key = digest_of_facts(_VERSIONS, within_facts, identities[name])
            path = folder / name / f"within-{key}.json"
            make = partial(run_within, study, name, within)
            tasks.append(Task(f"{name} within {within.manifest}", name, None, None, path, make))
    return tasks


def chosen(tasks: Sequence[Task], study: Study, part: StudyPart) -> list[Task]:
    """Select the tasks of a part; raise ProtocolError for a name the study does not have."""
    config = study.config
    _check_names("system", part.systems, tuple(config.systems))
    _check_names("left-out corpus", part.left_out, config.left_out)
    _check_names("seed", part.seeds, config.seeds)
    return [
        task
        for task in tasks
        if (not part.systems or task.system in part.systems)
        and (not part.left_out or task.left_out in part.left_out)
        and (not part.seeds or task.seed in part.seeds)
    ]


def _check_names(kind: str, names: Sequence[Any], known: Sequence[Any]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ProtocolError(
            f"expected a {kind} among {', '.join(map(str, known))}, got {unknown[0]!r}"
        )


def _facts(study: Study) -> list[Any]:
    """Return what all cells depend on besides their system."""
    config = study.config
    corpora = [_corpus_facts(corpus, study.labels) for corpus in study.corpora.values()]
    names = [condition.name for condition in conditions_of(config)]
    labels = config.labels.model_dump(mode="json")
    one_sided = None if config.one_sided is None else config.one_sided.emotion
    options = [list(config.select_by), config.draws, config.risk, one_sided]
    return [list(_VERSIONS), corpora, names, labels, options]


def _within_facts(study: Study, within: WithinConfig) -> list[Any]:
    labels = LabelSet(within.labels.names, within.labels.merge)
    corpora = [read_corpus(within.manifest, labels)]
    corpora += [study.corpora[name] for name in within.teachers if name in study.corpora]
    section = within.model_dump(mode="json", exclude={"manifest"})
    return [section, [_corpus_facts(corpus, labels) for corpus in corpora]]


def _corpus_facts(corpus: Corpus, labels: LabelSet) -> list[str]:
    truth = "".join(map(str, corpus.truth(labels).tolist()))
    speakers = "\n".join(corpus.speakers(labels).tolist())
    hashes = [sha256(text.encode()).hexdigest()[:16] for text in (truth, speakers)]
    return [corpus.name, recordings_digest(corpus), *hashes]


def _identity(system: SystemConfig) -> list[Any]:
    """Identify a system by its config, its networks or their starts, and its extra manifests."""
    inputs = [] if system.network is None else [open_network(system.network).digest]
    inputs += [one for template in system.train for one in inputs_of(template)]
    return [system.model_dump(mode="json", exclude={"network"}), inputs]


TRANSFER = "transfer.json"
_CONFIG = "transfer.yaml"
_OWN_NAMES = {_CONFIG, TRANSFER, ".lock", "cells", "heads", "manifests", "networks"}


def transfer(
    config: TransferConfig,
    command: str,
    part: StudyPart | None = None,
    progress: RunProgress | None = None,
) -> dict[str, Any]:
    """Test every system on every left-out corpus; finished cells are kept.

    Args:
        config: the study's config.
        command: the command line, written to the results.
        part: the part to run; None runs everything.
        progress: receives progress of vectors, cells and heads.

    Returns:
        The content of transfer.json, for all finished cells.

    Raises:
        PhonemoError: of any kind; finished cells are kept.
    """
    progress, output = progress or RunProgress(), Path(config.output)
    _check_folder(output)
    labels = LabelSet(config.labels.names, config.labels.merge)
    study = Study(
        config, read_corpora(config, labels), labels, StudyBench(config, command, progress)
    )
    _check(study)
    tasks = tasks_of(study)
    selected = chosen(tasks, study, part or StudyPart())
    with folder_lock(output):
        torch.set_num_threads(config.threads)
        write_config(output / _CONFIG, config)
        for number, task in enumerate(selected, start=1):
            progress.cell(number, len(selected), task.name)
            if _read(task) is None:
                write_json(task.path, task.make())
        summary = summarize_study(study, [_read(task) for task in tasks], command)
        write_json(output / TRANSFER, summary)
    return summary


def _read(task: Task) -> dict[str, Any] | None:
    """Read a task's file; None if it is not finished."""
    if not task.path.is_file():
        return None
    try:
        content: dict[str, Any] = loads_json(task.path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{task.path}: not JSON ({error}); remove it and run again") from error
    return content


def _check_folder(output: Path) -> None:
    """Refuse a folder with other content."""
    if not output.is_dir() or (output / _CONFIG).is_file():
        return
    foreign = sorted(path.name for path in output.iterdir() if path.name not in _OWN_NAMES)
    if foreign:
        raise RunError(
            f"{output}: expected a folder of phonemo transfer or an empty one, got one with "
            f"{foreign[0]!r}; name another with --output"
        )


def _check(study: Study) -> None:
    """Raise errors that would otherwise stop a cell after hours."""
    for name, system in study.config.systems.items():
        for corpus in study.config.left_out:
            teaching = [teacher.name for teacher in study.teaching(corpus)]
            check_nested(choices_of(system), teaching, name)
            for template in system.train:
                forbid_start(template, study.corpora[corpus])
        for template in system.train:
            check_extras(template, study.corpora)
        if system.network is not None:
            _check_network(study, name)
        elif study.config.within:
            raise ConfigError(
                f"within: expected systems with a fixed network, got {name}, which trains "
                "networks; put it into a separate study"
            )


def _check_network(study: Study, name: str) -> None:
    system = study.config.systems[name]
    network = open_network(str(system.network))
    for corpus in study.config.left_out:
        forbid_leaks(network, study.corpora[corpus])
    for choice in choices_of(system):
        network.check(choice.statistics, choice.pooled)
