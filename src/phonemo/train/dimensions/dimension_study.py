"""A study of derived arousal and valence: methods x left-out corpora, picked by nested tests.

The emotions' scores times published norms are compared with a regression to these norms as anchors,
without and with the intensities that RAVDESS has. Nothing is picked by the tested corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phonemo.annotations.dimensions import NORMS
from phonemo.config import digest_of
from phonemo.errors import ProtocolError
from phonemo.files import folder_lock
from phonemo.labels import LabelSet
from phonemo.train.callbacks import RunProgress
from phonemo.train.dimensions.contrasts import Recordings, contrasts_of
from phonemo.train.dimensions.derivations import METHODS, Candidate, DerivationBench, Floats
from phonemo.train.dimensions.level_test import level_changes
from phonemo.train.transfer.corpora import concatenate_rows, read_corpora
from phonemo.train.transfer.selection import choices_of
from phonemo.train.transfer.study import Study, StudyBench
from phonemo.train.transfer.study_config import TransferConfig
from phonemo.train.transfer.vectors import forbid_leaks, open_network
from phonemo.version import __version__

#: Parts in which the speakers of a corpus with intensities are left out.
_SPEAKER_PARTS = 4


def derive_dimensions(
    config: TransferConfig, command: str, progress: RunProgress | None = None
) -> dict[str, Any]:
    """Run the study; the result is the content of dimensions.json.

    Args:
        config: a transfer study with one system on a network that is not trained.
        command: the command line, for the record.
        progress: receives progress.

    Raises:
        PhonemoError: of any kind.
    """
    labels = LabelSet(config.labels.names, config.labels.merge)
    progress = progress or RunProgress()
    study = Study(
        config, read_corpora(config, labels), labels, StudyBench(config, command, progress)
    )
    with folder_lock(Path(config.output)):
        torch.set_num_threads(config.threads)
        bench, candidates = _opened(study)
        cells = [
            cell
            for number, corpus in enumerate(config.left_out, start=1)
            for cell in _cells(bench, candidates, corpus, (number, len(config.left_out)))
        ]
        return {
            "name": config.name,
            "command": command,
            "config": digest_of(config, {"output": True, "threads": True}),
            "phonemo": __version__,
            "averaged": list(config.averaged),
            "selected_by": list(config.calibrate_by or study.corpora),
            "cells": cells,
            "speakers_left_out": list(_within(bench, candidates, cells)),
            "levels": level_changes(list(study.corpora.values())),
        }


def _opened(study: Study) -> tuple[DerivationBench, dict[str, list[Candidate]]]:
    """The network's bench, and the candidates of each method."""
    systems = list(study.config.systems.values())
    if len(systems) != 1 or systems[0].network is None:
        raise ProtocolError(
            "expected one system with a network for derived dimensions; leave the others out"
        )
    choices = choices_of(systems[0])
    bench = DerivationBench(study, open_network(systems[0].network))
    return bench, {
        method: [Candidate(method, norm, choice) for norm, choice in product(NORMS, choices)]
        for method in METHODS
    }


def _cells(
    bench: DerivationBench,
    candidates: Mapping[str, Sequence[Candidate]],
    left_out: str,
    count: tuple[int, int],
) -> Iterator[dict[str, Any]]:
    """Test every method on one corpus, each with the candidate picked on the others."""
    forbid_leaks(bench.network, bench.study.corpora[left_out])
    for method, options in candidates.items():
        scores = [_nested_score(bench, candidate, left_out) for candidate in options]
        best = options[int(np.argmax(scores))]
        derivation = bench.trained(best, bench.study.teaching(left_out))
        rows, known = bench.rows(best, left_out), bench.known(left_out)
        yield {
            "method": method,
            "left_out": left_out,
            "utterances": len(rows),
            "speakers": len(np.unique(rows.speaker)),
            "picked": best.to_json(),
            "nested_auc": max(scores),
            "candidates": len(options),
            "conditions": _conditions(known, derivation.tested(rows)),
        }
        bench.study.bench.progress.step(*count, {"auc": max(scores)})


def _nested_score(bench: DerivationBench, candidate: Candidate, left_out: str) -> float:
    """The mean AUC on each training corpus, by a candidate trained on the other ones."""
    judging = bench.study.config.calibrate_by
    means = []
    for corpus in bench.study.teaching(left_out):
        if judging is None or corpus.name in judging:
            trained = bench.trained(candidate, bench.study.teaching(left_out, corpus.name))
            values = trained.values(bench.rows(candidate, corpus.name).vectors, None)
            aucs = contrasts_of(bench.known(corpus.name), values, samples=0)
            means.append(np.mean([contrast.auc for contrast in aucs.values()]))
    return float(np.mean(means))


def _conditions(known: Recordings, tested: Mapping[str, Floats]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "contrasts": {
                contrast: asdict(result) for contrast, result in contrasts_of(known, values).items()
            },
            "mean": dict(zip(("arousal", "valence"), values.mean(axis=0).tolist(), strict=True)),
            "deviation": dict(
                zip(("arousal", "valence"), values.std(axis=0).tolist(), strict=True)
            ),
            "beyond": float(((values < 0) | (values > 1)).any(axis=1).mean()),
        }
        for name, values in tested.items()
    ]


def _within(
    bench: DerivationBench,
    candidates: Mapping[str, Sequence[Candidate]],
    cells: Sequence[Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Leave speakers of a corpus with intensities out, trained on its others and all corpora.

    The candidate of each method is the one picked without the corpus.
    """
    for cell in cells:
        known = bench.known(cell["left_out"])
        if not (known.strong >= 0).any():
            continue
        best = next(
            candidate
            for candidate in candidates[cell["method"]]
            if candidate.to_json() == cell["picked"]
        )
        values = _speakers_left_out(bench, best, cell["left_out"])
        results = _conditions(known, {"single": values})
        yield {key: cell[key] for key in ("method", "left_out", "picked")} | {"conditions": results}


def _speakers_left_out(bench: DerivationBench, candidate: Candidate, corpus: str) -> Floats:
    """Values of all recordings, each by a model that was not trained on the speaker."""
    known, tested = bench.known(corpus), bench.rows(candidate, corpus)
    values = np.empty((len(tested), 2))
    names = np.unique(known.speaker)
    others = [other.name for other in bench.study.teaching(corpus)]
    for part in range(_SPEAKER_PARTS):
        own = np.isin(known.speaker, names[part::_SPEAKER_PARTS])
        rows = concatenate_rows(
            [*(bench.rows(candidate, name) for name in others), tested.where(~own)]
        )
        strong = np.concatenate(
            [*(bench.known(name).strong for name in others), known.strong[~own]]
        )
        head = bench.head(candidate, rows, (corpus, part))
        trained = bench.fitted(candidate, head, rows, strong, (corpus, part))
        values[own] = trained.values(tested.vectors[own], None)
    return values
