"""Summary of a study's files: scores over seeds and draws, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.config import digest_of
from phonemo.train.transfer.corpora import Corpus
from phonemo.train.transfer.study import Study
from phonemo.train.transfer.system_comparison import compare_systems
from phonemo.train.transfer.testing import (
    Condition,
    conditions_of,
    interval,
    mean_recalls,
    mean_ua,
    mean_wa,
    ua_by_run,
)
from phonemo.train.transfer.within_corpus import PROFILES
from phonemo.version import __version__

Counts = npt.NDArray[np.int64]
Cells = Sequence[Mapping[str, Any]]


def summarize_study(
    study: Study, files: Sequence[Mapping[str, Any] | None], command: str
) -> dict[str, Any]:
    """Compute the content of transfer.json.

    Args:
        study: the study.
        files: the contents of its files; None for unfinished ones.
        command: the command line.
    """
    config = study.config
    done = [content for content in files if content is not None]
    tested = [cell for cell in done if "left_out" in cell]
    within = [content for content in done if "corpus" in content]
    return {
        "name": config.name,
        "command": command,
        "config": digest_of(config, {"output": True, "threads": True}),
        "phonemo": __version__,
        "labels": list(config.labels.names),
        "merge": dict(config.labels.merge),
        "emotion": None if config.one_sided is None else config.one_sided.emotion,
        "seeds": list(config.seeds),
        "draws": config.draws,
        "risk": config.risk,
        "select_by": list(config.select_by),
        "averaged": list(config.averaged),
        "unfinished": len(files) - len(done),
        "corpora": [_corpus(study, corpus) for corpus in study.corpora.values()],
        "systems": [
            _system(study, name, [cell for cell in tested if cell["system"] == name])
            for name in config.systems
            if any(cell["system"] == name for cell in tested)
        ],
        "differences": _differences(study, tested),
        "within": [_within(content) for content in within],
    }


def _differences(study: Study, cells: Cells) -> list[dict[str, Any]]:
    """Compare the systems on the conditions that select, each of which has all seeds and pools."""
    names, systems = study.config.select_by, list(study.config.systems)
    tables = {}
    for system, corpus in product(systems, study.config.averaged):
        own = [cell for cell in cells if (cell["system"], cell["left_out"]) == (system, corpus)]
        if [cell["seed"] for cell in own] != list(study.config.seeds):
            continue
        for name in names:
            tables[system, corpus, name] = _tables(study, own, _runs(own, name))
    return compare_systems(systems, study.config.averaged, names, tables)


def _corpus(study: Study, corpus: Corpus) -> dict[str, Any]:
    labels = study.labels
    counts = Counter(corpus.truth(labels).tolist())
    return {
        "name": corpus.name,
        "utterances": len(corpus.chosen(labels)),
        "speakers": len(
            {utterance.speaker for utterance in corpus.utterances if utterance.speaker}
        ),
        "emotions": {labels.names[index]: counts[index] for index in sorted(counts)},
        "left_out": corpus.name in study.config.left_out,
    }


def _system(study: Study, name: str, cells: Cells) -> dict[str, Any]:
    config = study.config
    by_corpus = {
        corpus: [cell for cell in cells if cell["left_out"] == corpus] for corpus in config.left_out
    }
    names = [condition.name for condition in conditions_of(config)]
    complete = all(by_corpus[corpus] for corpus in config.averaged)
    return {
        "name": name,
        "config": digest_of(config.systems[name], {}),
        "corpora": [_left_out(study, own_cells) for own_cells in by_corpus.values() if own_cells],
        "mean": [
            summary
            for condition in names
            if complete
            and (summary := _mean(study, [by_corpus[c] for c in config.averaged], condition))
        ],
    }


def _left_out(study: Study, cells: Cells) -> dict[str, Any]:
    names = [condition.name for condition in conditions_of(study.config)]
    return {
        "left_out": cells[0]["left_out"],
        "seeds": [cell["seed"] for cell in cells],
        "unlabelled": any(cell["unlabelled"] for cell in cells),
        "utterances": cells[0]["utterances"],
        "speakers": len(cells[0]["speakers"]),
        "picked": [
            {"seed": cell["seed"], "score": cell["score"], "choice": cell["picked"]}
            for cell in cells
        ],
        "combinations": max(1, len(cells[0]["candidates"])),
        "calibration": [
            {"seed": cell["seed"], "adapted": kind == "adapted", **cell["calibration"][kind]}
            for cell in cells
            for kind in ("single", "adapted")
        ],
        "conditions": [scores for name in names if (scores := _condition(study, cells, name))],
    }


def _condition(study: Study, cells: Cells, name: str) -> dict[str, Any] | None:
    """Score all runs of some cells; None if no pool could be drawn."""
    runs = _runs(cells, name)
    if not runs:
        return None
    tables = _tables(study, cells, runs)
    pooled = tables.sum(axis=1)
    recalls = dict(zip(study.labels.names, mean_recalls(pooled), strict=True))
    return {
        **_condition_facts(name),
        "runs": len(runs),
        "ua": _score([tables]),
        "wa": mean_wa(pooled),
        "recalls": {label: recall for label, recall in recalls.items() if recall is not None},
        **_selective(runs, int(cells[0]["utterances"])),
    }


def _mean(study: Study, parts: Sequence[Cells], name: str) -> dict[str, Any] | None:
    """Average the scores over corpora with equal weights; None if one lacks the test."""
    scores = [_condition(study, cells, name) for cells in parts]
    if any(score is None for score in scores):
        return None
    tested = [score for score in scores if score is not None]
    tables = [_tables(study, cells, _runs(cells, name)) for cells in parts]
    coverages = [score["coverage"] for score in tested]
    errors = [score["error"] for score in tested if score["error"] is not None]
    return {
        **_condition_facts(name),
        "runs": sum(score["runs"] for score in tested),
        "ua": _score(tables),
        "wa": float(np.mean([score["wa"] for score in tested])),
        "coverage": float(np.mean(coverages)),
        "error": float(np.mean(errors)) if errors else None,
        "ece": float(np.mean([score["ece"] for score in tested])),
    }


def _condition_facts(name: str) -> dict[str, Any]:
    condition = Condition(name)
    return {"name": name, "pool": condition.pool, "share": condition.share}


def _runs(cells: Cells, name: str) -> list[Mapping[str, Any]]:
    return [
        run
        for cell in cells
        for condition in cell["conditions"]
        if condition["name"] == name
        for run in condition["runs"]
    ]


def _tables(study: Study, cells: Cells, runs: Sequence[Mapping[str, Any]]) -> Counts:
    """Return counts (run, speaker, emotion, emotion)."""
    classes = len(study.labels)
    shape = (len(runs), len(cells[0]["speakers"]), classes, classes)
    return np.array([run["tables"] for run in runs], np.int64).reshape(shape)


def _score(parts: Sequence[Counts]) -> dict[str, Any]:
    """Return the UA over corpora with interval, and the deviation over runs of a single corpus."""
    low, high = interval(parts)
    by_run = ua_by_run(parts[0].sum(axis=1)) if len(parts) == 1 else []
    return {
        "mean": float(np.mean([mean_ua(tables.sum(axis=1)) for tables in parts])),
        "low": low,
        "high": high,
        "sd": float(np.std(by_run, ddof=1)) if len(by_run) > 1 else None,
    }


def _selective(runs: Sequence[Mapping[str, Any]], utterances: int) -> dict[str, Any]:
    given = sum(run["given"] for run in runs)
    return {
        "coverage": given / (utterances * len(runs)),
        "error": sum(run["wrong"] for run in runs) / given if given else None,
        "ece": float(np.mean([run["ece"] for run in runs])),
    }


def _within(content: Mapping[str, Any]) -> dict[str, Any]:
    classes, speakers = len(content["labels"]), len(content["speakers"])
    scores = {}
    for profile in PROFILES:
        tables = np.array(content[profile]["tables"], np.int64)
        tables = tables.reshape(1, speakers, classes, classes)
        recalls = mean_recalls(tables.sum(axis=1))
        scores[profile] = {
            "ua": _score([tables]),
            "wa": mean_wa(tables.sum(axis=1)),
            "recalls": {
                label: recall
                for label, recall in zip(content["labels"], recalls, strict=True)
                if recall is not None
            },
            "picked": _count_choices(content[profile]["picked"]),
        }
    keys = ("system", "corpus", "labels", "teachers", "utterances")
    return {**{key: content[key] for key in keys}, "speakers": speakers, **scores}


def _count_choices(picked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count speakers by picked choice, most frequent first."""
    choices: list[Mapping[str, Any]] = []
    counts: list[int] = []
    for choice in picked:
        if choice not in choices:
            choices.append(choice)
            counts.append(0)
        counts[choices.index(choice)] += 1
    order = sorted(range(len(counts)), key=lambda index: -counts[index])
    return [{"speakers": counts[index], "choice": dict(choices[index])} for index in order]
