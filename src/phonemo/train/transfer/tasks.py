"""The files that a study consists of, each named by everything that its content depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from phonemo.config import SystemConfig, WithinConfig
from phonemo.errors import ProtocolError
from phonemo.labels import LabelSet
from phonemo.train.transfer import bench, cells, networks
from phonemo.train.transfer.bench import digest_of_facts
from phonemo.train.transfer.cells import run_cell
from phonemo.train.transfer.networks import open_network
from phonemo.train.transfer.pools import conditions_of
from phonemo.train.transfer.sources import Corpus, read_corpus
from phonemo.train.transfer.study import Cell, Study
from phonemo.train.transfer.vectors import recordings_digest
from phonemo.train.transfer.within import run_within

_VERSIONS = (bench.VERSION, cells.VERSION, networks.VERSION)


@dataclass(frozen=True)
class Part:
    """What of a study a session does; nothing named means all of it."""

    systems: Sequence[str] = ()
    left_out: Sequence[str] = ()
    seeds: Sequence[int] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """One file.

    Attributes:
        name: for a progress display.
        system: the system's name.
        left_out: the corpus that is left out; for a test within a corpus, None.
        seed: of the cell; None within a corpus.
        path: of the file.
        make: computes its content.
    """

    name: str
    system: str
    left_out: str | None
    seed: int | None
    path: Path
    make: Callable[[], dict[str, Any]]


def tasks_of(study: Study) -> list[Task]:
    """All files of a study, one corpus after another, those within corpora last."""
    found = []
    config = study.config
    facts = _facts(study)
    identities = {name: _identity(system) for name, system in config.systems.items()}
    home = Path(config.output) / "cells"
    for corpus in config.left_out:
        for name in config.systems:
            for seed in config.seeds:
                key = digest_of_facts(facts, identities[name], corpus, seed)
                path = home / name / f"{corpus}-seed-{seed}-{key}.json"
                make = partial(run_cell, study, Cell(name, corpus, seed))
                found.append(
                    Task(f"{name} on {corpus} seed {seed}", name, corpus, seed, path, make)
                )
    for within in config.within:
        own = _within_facts(study, within)
        for name in config.systems:
            key = digest_of_facts(_VERSIONS, own, identities[name])
            path = home / name / f"within-{key}.json"
            make = partial(run_within, study, name, within)
            found.append(Task(f"{name} within {within.manifest}", name, None, None, path, make))
    return found


def chosen(tasks: Sequence[Task], study: Study, part: Part) -> list[Task]:
    """Those that a session is asked for; ProtocolError for what the study has not."""
    config = study.config
    _check_known("system", part.systems, tuple(config.systems))
    _check_known("left-out corpus", part.left_out, config.left_out)
    _check_known("seed", part.seeds, config.seeds)
    return [
        one
        for one in tasks
        if (not part.systems or one.system in part.systems)
        and (not part.left_out or one.left_out in part.left_out)
        and (not part.seeds or one.seed in part.seeds)
    ]


def _check_known(kind: str, asked: Sequence[Any], known: Sequence[Any]) -> None:
    strays = [one for one in asked if one not in known]
    if strays:
        raise ProtocolError(
            f"no {kind} {strays[0]!r}; expected one of {', '.join(map(str, known))}"
        )


def _facts(study: Study) -> list[Any]:
    """What all cells depend on besides their system."""
    config = study.config
    corpora = [_corpus_facts(one, study.labels) for one in study.corpora.values()]
    names = [one.name for one in conditions_of(config)]
    labels = config.labels.model_dump(mode="json")
    one_sided = None if config.one_sided is None else config.one_sided.emotion
    rest = [list(config.select_by), config.draws, config.risk, one_sided]
    return [list(_VERSIONS), corpora, names, labels, rest]


def _within_facts(study: Study, within: WithinConfig) -> list[Any]:
    labels = LabelSet(within.labels.names, within.labels.merge)
    corpora = [read_corpus(within.manifest, labels)]
    corpora += [study.corpora[name] for name in within.teachers if name in study.corpora]
    section = within.model_dump(mode="json", exclude={"manifest"})
    return [section, [_corpus_facts(one, labels) for one in corpora]]


def _corpus_facts(corpus: Corpus, labels: LabelSet) -> list[str]:
    truth = "".join(map(str, corpus.truth(labels).tolist()))
    speakers = "\n".join(corpus.speakers(labels).tolist())
    hashes = [sha256(text.encode()).hexdigest()[:16] for text in (truth, speakers)]
    return [corpus.name, recordings_digest(corpus), *hashes]


def _identity(system: SystemConfig) -> list[Any]:
    """Of a system: its config, and the weights that its networks are or start from."""
    folders = [system.network] if system.network is not None else []
    for template in system.train:
        folders += [template.model.backbone]
        folders += [template.model.start] if template.model.start else []
    weights = [open_network(folder).digest for folder in folders if folder != "log-mel"]
    return [system.model_dump(mode="json", exclude={"network"}), weights]
