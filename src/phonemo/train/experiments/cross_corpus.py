"""Across corpora: every model of some runs on the corpora that it has not learnt from.

A row is a training corpus, a column a tested one. On its own corpus a run has its own folds; on
another one each of its models is tested on all utterances, and the models are averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.config import RunConfig, load_config
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import LabelError, LeakageError, ResultError
from phonemo.evaluation.calibration import softmax
from phonemo.evaluation.summary import summarize
from phonemo.files import read_rows
from phonemo.labels import LabelSet
from phonemo.train.calibrate import stored_calibration
from phonemo.train.callbacks import RunProgress
from phonemo.train.dataset import SpeechDataset, TargetEncoder
from phonemo.train.evaluate import outputs_of
from phonemo.train.experiments.run_folder import CONFIG, is_run
from phonemo.train.feature_cache import FeatureCache, build_cache
from phonemo.train.freezing import frozen_depth
from phonemo.train.model_folder import LoadedModel, load_trained
from phonemo.train.provenance import provenance_of

_BATCH = 16
Row = dict[str, Any]


@dataclass(frozen=True)
class Mapped:
    """The emotions that are told apart everywhere, and what is counted as one of them."""

    labels: LabelSet

    def emotion(self, name: str | None) -> str | None:
        """As it is counted; None where it is none of them."""
        return self.labels.merged(name) if name is not None and name in self.labels else None

    def scores(self, given: Mapping[str, float]) -> dict[str, float]:
        """Scores over these emotions, merged ones added up, summing to one."""
        sums = dict.fromkeys(self.labels.names, 0.0)
        for name, score in given.items():
            counted = self.emotion(name)
            if counted is not None:
                sums[counted] += score
        total = sum(sums.values())
        if total <= 0:
            return {name: 1 / len(sums) for name in sums}
        return {name: round(score / total, 6) for name, score in sums.items()}


@dataclass(frozen=True)
class _Run:
    """A run with a finished cell or more."""

    folder: Path
    config: RunConfig
    corpus: str

    @property
    def models(self) -> list[Path]:
        """Of its finished cells."""
        return [one.parent / "model" for one in sorted(self.folder.glob("seed-*/*/metrics.json"))]


def cross(
    runs: Sequence[Path],
    manifests: Sequence[Path] = (),
    names: Sequence[str] = (),
    merge: Mapping[str, str] | None = None,
    progress: RunProgress | None = None,
) -> dict[str, Any]:
    """Test every run on every corpus.

    Args:
        runs: run folders of ``phonemo train``, each of another corpus.
        manifests: further corpora to test on, beside the runs' own.
        names: the emotions to tell apart; none means all that every run and corpus has.
        merge: emotions counted as another one, as {"calm": "neutral"}.
        progress: told of each pair, and of the features that it needs.

    Returns:
        JSON-able: ``labels``, ``merge`` and ``cells``, one for each pair, with its results.

    Raises:
        ResultError: a folder is no finished run, or two are of one corpus.
        LabelError: fewer than two emotions are everywhere.
        LeakageError: a run learnt from utterances or speakers of a corpus it is to be tested on.
    """
    progress = progress or RunProgress()
    opened = [_open(folder) for folder in runs]
    tested = _test(opened, manifests)
    merged = _merges(opened, merge or {})
    mapped = Mapped(_labels(opened, list(tested.values()), names, merged))
    pairs = [(one, corpus) for one in opened for corpus in tested]
    cells = []
    for number, (one, corpus) in enumerate(pairs, start=1):
        progress.cell(number, len(pairs), f"{one.corpus} on {corpus}")
        own = one.corpus == corpus
        rows = _own(one, mapped) if own else _foreign(one, tested[corpus], mapped, progress)
        cells.append(_cell(one, corpus, own, summarize(rows, mapped.labels)))
    counted = dict(mapped.labels.merge)
    return {"labels": list(mapped.labels.names), "merge": counted, "cells": cells}


def _open(folder: Path) -> _Run:
    if not is_run(folder) or not (folder / "metrics.json").is_file():
        raise ResultError(f"{folder}: no finished run; a run folder of phonemo train is wanted")
    config = load_config(folder / CONFIG)
    if config.system != "network":
        raise ResultError(f"{folder}: system {config.system} keeps no model to test elsewhere")
    found = _Run(folder, config, read_manifest(config.manifest).header.corpus)
    strays = [model for model in found.models if not model.is_dir()]
    if strays or not found.models:
        where = strays[0] if strays else folder
        raise ResultError(f"{where}: no model is there; train the run again")
    return found


def _test(runs: Sequence[_Run], manifests: Sequence[Path]) -> dict[str, Manifest]:
    tested: dict[str, Manifest] = {}
    for path in [*(Path(run.config.manifest) for run in runs), *manifests]:
        manifest = read_manifest(path)
        corpus = manifest.header.corpus
        if corpus in tested:
            raise ResultError(f"{path}: corpus {corpus!r} is there twice; once each is wanted")
        tested[corpus] = manifest
    return tested


def _merges(runs: Sequence[_Run], asked: Mapping[str, str]) -> dict[str, str]:
    """What was asked for, and what the runs themselves learnt as one."""
    merged = dict(asked)
    for run in runs:
        for old, new in run.config.labels.merge.items():
            if merged.setdefault(old, asked.get(new, new)) != asked.get(new, new):
                others = f"--merge or another run as {merged[old]}"
                raise LabelError(f"{run.folder} counts {old} as {new}, {others}")
    return merged


def _labels(
    runs: Sequence[_Run],
    manifests: Sequence[Manifest],
    names: Sequence[str],
    merge: Mapping[str, str],
) -> LabelSet:
    """The emotions that every network knows and every corpus has, after merging."""
    known = [{merge.get(name, name) for name in run.config.labels.names} for run in runs]
    for manifest in manifests:
        found = {one.emotion for one in manifest.utterances if one.emotion}
        known.append({merge.get(name, name) for name in found})
    common = set.intersection(*known)
    strays = sorted(set(names) - common)
    if strays:
        raise LabelError(f"not everyone has {strays[0]!r}; in common: {', '.join(sorted(common))}")
    chosen = sorted(names or common)
    if len(chosen) < 2:
        raise LabelError(
            f"{len(chosen)} emotions in common; at least two are wanted: merge some with --merge"
        )
    return LabelSet(tuple(chosen), {old: new for old, new in merge.items() if new in chosen})


def _own(run: _Run, mapped: Mapped) -> list[Row]:
    """The answers that the run's folds gave, among the common emotions."""
    return list(_counted(read_rows(run.folder / "predictions.jsonl"), mapped))


def _foreign(run: _Run, manifest: Manifest, mapped: Mapped, progress: RunProgress) -> list[Row]:
    """Every model on every utterance; a model's number stands where a seed does."""
    chosen = [one for one in manifest.utterances if mapped.emotion(one.emotion)]
    rows: list[Row] = []
    cache: FeatureCache | None = None
    for number, folder in enumerate(run.models):
        trained = load_trained(folder)
        _forbid_leaks(folder, manifest.header.corpus, chosen)
        if number == 0:
            cache = _features(run, trained, manifest, chosen, progress)
        rows += _counted(_answers(trained, manifest, chosen, cache, number), mapped)
        progress.step(number + 1, len(run.models), {})
    return rows


def _answers(
    trained: LoadedModel,
    manifest: Manifest,
    chosen: Sequence[Utterance],
    cache: FeatureCache | None,
    number: int,
) -> Iterator[Row]:
    dataset = SpeechDataset(manifest, chosen, TargetEncoder(trained.labels, None), cache)
    found = outputs_of(trained.model, dataset, _BATCH, timed=False)
    scores = softmax(found.logits.numpy() / stored_calibration(trained.model).temperature)
    for one, shares in zip(chosen, scores, strict=True):
        yield {
            "id": one.id,
            "fold": "all",
            "seed": number,
            "speaker": one.speaker,
            "gender": one.gender,
            "truth": one.emotion,
            "scores": dict(zip(trained.labels.names, map(float, shares), strict=True)),
        }


def _features(
    run: _Run,
    trained: LoadedModel,
    manifest: Manifest,
    chosen: Sequence[Utterance],
    progress: RunProgress,
) -> FeatureCache | None:
    """Kept frozen layers, where all models of the run have the same."""
    below = frozen_depth(trained.model, run.config.train)
    if below is None or not run.config.train.cache:
        return None
    home = run.folder.parent / "cache"
    return build_cache(home, trained.model, manifest, chosen, below, progress.features)


def _forbid_leaks(folder: Path, corpus: str, chosen: Sequence[Utterance]) -> None:
    seen, speakers = provenance_of(folder).overlap(corpus, chosen)
    if seen or speakers:
        raise LeakageError(
            f"{folder}: learnt from {seen} of the {len(chosen)} utterances of {corpus} and has "
            f"heard {len(speakers)} of their speakers; test it on a corpus that it has not heard"
        )


def _counted(rows: Iterable[Row], mapped: Mapped) -> Iterator[Row]:
    """Rows among the common emotions; those of another truth are left out."""
    for row in rows:
        truth = mapped.emotion(row["truth"])
        if truth is None:
            continue
        scores = mapped.scores(row["scores"])
        label = mapped.labels.names[int(np.argmax(list(scores.values())))]
        bare = {key: value for key, value in row.items() if key not in ("temperature", "unsure")}
        yield bare | {"truth": truth, "label": label, "scores": scores}


def _cell(run: _Run, corpus: str, own: bool, results: dict[str, Any]) -> dict[str, Any]:
    return {
        "train": run.corpus,
        "test": corpus,
        "run": run.config.name,
        "config": run.config.digest,
        "protocol": run.config.protocol.name if own else "another corpus",
        "leaky": own and run.config.protocol.name.endswith("-leaky"),
        "heard": corpus in provenance_of(run.models[0]).heard,
        "seeds": list(run.config.seeds),
        "models": len(run.models),
        "utterances": results["utterances"],
        "speakers": results["speakers_count"],
        **{name: results[name] for name in ("wa", "ua")},
        "ece": results["calibration"]["ece"],
        "chance_wa": results["chance"]["majority_wa"],
    }
