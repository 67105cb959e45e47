"""From the files of a study to transfer.json: scores over seeds and draws, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.config import digest_of
from phonemo.train.transfer.corpora import Corpus
from phonemo.train.transfer.study import Study
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
    """The content of transfer.json.

    Args:
        study: its config and corpora.
        files: the contents of its files; None for what is not finished.
        command: what was typed.
    """
    config = study.config
    done = [one for one in files if one is not None]
    tested = [one for one in done if "left_out" in one]
    within = [one for one in done if "corpus" in one]
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
        "corpora": [_corpus(study, one) for one in study.corpora.values()],
        "systems": [
            _system(study, name, [one for one in tested if one["system"] == name])
            for name in config.systems
            if any(one["system"] == name for one in tested)
        ],
        "within": [_within(one) for one in within],
    }


def _corpus(study: Study, corpus: Corpus) -> dict[str, Any]:
    labels = study.labels
    counts = Counter(corpus.truth(labels).tolist())
    return {
        "name": corpus.name,
        "utterances": len(corpus.chosen(labels)),
        "speakers": len({one.speaker for one in corpus.utterances if one.speaker}),
        "emotions": {labels.names[number]: counts[number] for number in sorted(counts)},
        "left_out": corpus.name in study.config.left_out,
    }


def _system(study: Study, name: str, cells: Cells) -> dict[str, Any]:
    config = study.config
    by_corpus = {
        corpus: [one for one in cells if one["left_out"] == corpus] for corpus in config.left_out
    }
    names = [one.name for one in conditions_of(config)]
    whole = all(by_corpus[corpus] for corpus in config.averaged)
    return {
        "name": name,
        "config": digest_of(config.systems[name], {}),
        "corpora": [_left_out(study, found) for found in by_corpus.values() if found],
        "mean": [
            found
            for one in names
            if whole and (found := _mean(study, [by_corpus[c] for c in config.averaged], one))
        ],
    }


def _left_out(study: Study, cells: Cells) -> dict[str, Any]:
    names = [one.name for one in conditions_of(study.config)]
    return {
        "left_out": cells[0]["left_out"],
        "seeds": [one["seed"] for one in cells],
        "unlabelled": any(one["unlabelled"] for one in cells),
        "utterances": cells[0]["utterances"],
        "speakers": len(cells[0]["speakers"]),
        "picked": [
            {"seed": one["seed"], "score": one["score"], "choice": one["picked"]} for one in cells
        ],
        "combinations": max(1, len(cells[0]["candidates"])),
        "calibration": [
            {"seed": one["seed"], "adapted": kind == "adapted", **one["calibration"][kind]}
            for one in cells
            for kind in ("single", "adapted")
        ],
        "conditions": [found for one in names if (found := _condition(study, cells, one))],
    }


def _condition(study: Study, cells: Cells, name: str) -> dict[str, Any] | None:
    """Scores over all runs of some cells; None where no pool could be drawn."""
    runs = _runs(cells, name)
    if not runs:
        return None
    tables = _tables(study, cells, runs)
    pooled = tables.sum(axis=1)
    recalls = dict(zip(study.labels.names, mean_recalls(pooled), strict=True))
    return {
        **_about(name),
        "runs": len(runs),
        "ua": _score([tables]),
        "wa": mean_wa(pooled),
        "recalls": {label: one for label, one in recalls.items() if one is not None},
        **_selective(runs, int(cells[0]["utterances"])),
    }


def _mean(study: Study, parts: Sequence[Cells], name: str) -> dict[str, Any] | None:
    """The same over corpora, each of which weighs the same; None where one has no such test."""
    found = [_condition(study, cells, name) for cells in parts]
    if any(one is None for one in found):
        return None
    known = [one for one in found if one is not None]
    tables = [_tables(study, cells, _runs(cells, name)) for cells in parts]
    coverages = [one["coverage"] for one in known]
    errors = [one["error"] for one in known if one["error"] is not None]
    return {
        **_about(name),
        "runs": sum(one["runs"] for one in known),
        "ua": _score(tables),
        "wa": float(np.mean([one["wa"] for one in known])),
        "coverage": float(np.mean(coverages)),
        "error": float(np.mean(errors)) if errors else None,
        "ece": float(np.mean([one["ece"] for one in known])),
    }


def _about(name: str) -> dict[str, Any]:
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
    """(run, speaker, emotion, emotion)."""
    classes = len(study.labels)
    shape = (len(runs), len(cells[0]["speakers"]), classes, classes)
    return np.array([one["tables"] for one in runs], np.int64).reshape(shape)


def _score(parts: Sequence[Counts]) -> dict[str, Any]:
    """UA over corpora: its mean, interval, and deviation over runs (of one corpus alone)."""
    low, high = interval(parts)
    runs = ua_by_run(parts[0].sum(axis=1)) if len(parts) == 1 else []
    return {
        "mean": float(np.mean([mean_ua(one.sum(axis=1)) for one in parts])),
        "low": low,
        "high": high,
        "sd": float(np.std(runs, ddof=1)) if len(runs) > 1 else None,
    }


def _selective(runs: Sequence[Mapping[str, Any]], utterances: int) -> dict[str, Any]:
    given = sum(one["given"] for one in runs)
    return {
        "coverage": given / (utterances * len(runs)),
        "error": sum(one["wrong"] for one in runs) / given if given else None,
        "ece": float(np.mean([one["ece"] for one in runs])),
    }


def _within(found: Mapping[str, Any]) -> dict[str, Any]:
    classes, speakers = len(found["labels"]), len(found["speakers"])
    scores = {}
    for profile in PROFILES:
        tables = np.array(found[profile]["tables"], np.int64)
        tables = tables.reshape(1, speakers, classes, classes)
        recalls = mean_recalls(tables.sum(axis=1))
        scores[profile] = {
            "ua": _score([tables]),
            "wa": mean_wa(tables.sum(axis=1)),
            "recalls": {
                label: one
                for label, one in zip(found["labels"], recalls, strict=True)
                if one is not None
            },
            "picked": _often(found[profile]["picked"]),
        }
    kept = ("system", "corpus", "labels", "teachers", "utterances")
    return {**{key: found[key] for key in kept}, "speakers": speakers, **scores}


def _often(picked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was picked, and for how many speakers, the most often first."""
    different: list[Mapping[str, Any]] = []
    counts: list[int] = []
    for one in picked:
        if one not in different:
            different.append(one)
            counts.append(0)
        counts[different.index(one)] += 1
    order = sorted(range(len(counts)), key=lambda number: -counts[number])
    return [{"speakers": counts[number], "choice": dict(different[number])} for number in order]
