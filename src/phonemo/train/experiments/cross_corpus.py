"""Cross-corpus evaluation: every model of some runs on the other runs' corpora.

A row is a training corpus, a column a test corpus. On its own corpus a run is scored by its folds;
on others, each of its models is tested on all utterances and the scores are averaged.
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
from phonemo.train.provenance import overlap_of, provenance_of

_BATCH = 16
Row = dict[str, Any]


@dataclass(frozen=True)
class Mapped:
    """The common emotions, and the mapping of other emotions to them."""

    labels: LabelSet

    def emotion(self, name: str | None) -> str | None:
        """Map an emotion to a common one; None if there is none."""
        return self.labels.merged(name) if name is not None and name in self.labels else None

    def scores(self, given: Mapping[str, float]) -> dict[str, float]:
        """Sum scores over the common emotions and rescale them to one."""
        sums = dict.fromkeys(self.labels.names, 0.0)
        for name, score in given.items():
            common = self.emotion(name)
            if common is not None:
                sums[common] += score
        total = sum(sums.values())
        if total <= 0:
            return {name: 1 / len(sums) for name in sums}
        return {name: round(score / total, 6) for name, score in sums.items()}


@dataclass(frozen=True)
class _Run:
    """A run with at least one finished fold."""

    folder: Path
    config: RunConfig
    corpus: str

    @property
    def models(self) -> list[Path]:
        """The model folders of its finished folds."""
        return [path.parent / "model" for path in sorted(self.folder.glob("seed-*/*/metrics.json"))]


def cross(
    runs: Sequence[Path],
    manifests: Sequence[Path] = (),
    names: Sequence[str] = (),
    merge: Mapping[str, str] | None = None,
    progress: RunProgress | None = None,
) -> dict[str, Any]:
    """Test every run on every corpus.

    Args:
        runs: run folders of ``phonemo train``, one per corpus.
        manifests: further corpora to test on.
        names: the emotions to classify; empty means all that every run and corpus has.
        merge: emotions mapped to another, such as {"calm": "neutral"}.
        progress: progress callbacks for each pair and the features it needs.

    Returns:
        JSON-compatible data: ``labels``, ``merge`` and ``cells``, one per pair with its results.

    Raises:
        ResultError: a folder is not a finished run, or two runs have the same corpus.
        LabelError: fewer than two common emotions.
        LeakageError: a run was trained on utterances or speakers of another tested corpus.
    """
    progress = progress or RunProgress()
    opened = [_open(folder) for folder in runs]
    tested = _test_corpora(opened, manifests)
    merged = _combine_merges(opened, merge or {})
    mapped = Mapped(_common_labels(opened, list(tested.values()), names, merged))
    pairs = [(run, corpus) for run in opened for corpus in tested]
    cells = []
    for number, (run, corpus) in enumerate(pairs, start=1):
        progress.cell(number, len(pairs), f"{run.corpus} on {corpus}")
        own = run.corpus == corpus
        rows = (
            _fold_rows(run, mapped) if own else _cross_rows(run, tested[corpus], mapped, progress)
        )
        cells.append(_cell(run, corpus, own, summarize(rows, mapped.labels)))
    merges = dict(mapped.labels.merge)
    return {"labels": list(mapped.labels.names), "merge": merges, "cells": cells}


def _open(folder: Path) -> _Run:
    if not is_run(folder) or not (folder / "metrics.json").is_file():
        raise ResultError(f"{folder}: expected a finished run folder of phonemo train")
    config = load_config(folder / CONFIG)
    if config.system != "network":
        raise ResultError(
            f"{folder}: system {config.system} saves no model; use a run with system network"
        )
    run = _Run(folder, config, read_manifest(config.manifest).header.corpus)
    missing = [model for model in run.models if not model.is_dir()]
    if missing or not run.models:
        where = missing[0] if missing else folder
        raise ResultError(f"{where}: no model found; train the run again")
    return run


def _test_corpora(runs: Sequence[_Run], manifests: Sequence[Path]) -> dict[str, Manifest]:
    tested: dict[str, Manifest] = {}
    for path in [*(Path(run.config.manifest) for run in runs), *manifests]:
        manifest = read_manifest(path)
        corpus = manifest.header.corpus
        if corpus in tested:
            raise ResultError(f"{path}: corpus {corpus!r} occurs twice; pass each corpus once")
        tested[corpus] = manifest
    return tested


def _combine_merges(runs: Sequence[_Run], requested: Mapping[str, str]) -> dict[str, str]:
    """Combine the requested merges with those of the runs' configs."""
    merged = dict(requested)
    for run in runs:
        for old, new in run.config.labels.merge.items():
            if merged.setdefault(old, requested.get(new, new)) != requested.get(new, new):
                others = f"--merge or another run to {merged[old]}"
                raise LabelError(f"{run.folder} maps {old} to {new}, {others}; use one mapping")
    return merged


def _common_labels(
    runs: Sequence[_Run],
    manifests: Sequence[Manifest],
    names: Sequence[str],
    merge: Mapping[str, str],
) -> LabelSet:
    """The emotions common to all networks and corpora, after merging."""
    known = [{merge.get(name, name) for name in run.config.labels.names} for run in runs]
    for manifest in manifests:
        emotions = {row.emotion for row in manifest.utterances if row.emotion}
        known.append({merge.get(name, name) for name in emotions})
    common = set.intersection(*known)
    unknown = sorted(set(names) - common)
    if unknown:
        raise LabelError(
            f"{unknown[0]!r} is not in every run and corpus; common: {', '.join(sorted(common))}"
        )
    chosen = sorted(names or common)
    if len(chosen) < 2:
        raise LabelError(
            f"expected at least two common emotions, got {len(chosen)}; add merges with --merge"
        )
    return LabelSet(tuple(chosen), {old: new for old, new in merge.items() if new in chosen})


def _fold_rows(run: _Run, mapped: Mapped) -> list[Row]:
    """The predictions of the run's folds, mapped to the common emotions."""
    return list(_map_rows(read_rows(run.folder / "predictions.jsonl"), mapped))


def _cross_rows(run: _Run, manifest: Manifest, mapped: Mapped, progress: RunProgress) -> list[Row]:
    """Predictions of every model on every utterance, with the model's number as seed."""
    chosen = [row for row in manifest.utterances if mapped.emotion(row.emotion)]
    rows: list[Row] = []
    cache: FeatureCache | None = None
    for number, folder in enumerate(run.models):
        trained = load_trained(folder)
        _check_leakage(folder, manifest, chosen)
        if number == 0:
            cache = _features(run, trained, manifest, chosen, progress)
        rows += _map_rows(_predict_rows(trained, manifest, chosen, cache, number), mapped)
        progress.step(number + 1, len(run.models), {})
    return rows


def _predict_rows(
    trained: LoadedModel,
    manifest: Manifest,
    chosen: Sequence[Utterance],
    cache: FeatureCache | None,
    number: int,
) -> Iterator[Row]:
    dataset = SpeechDataset(manifest, chosen, TargetEncoder(trained.labels, None), cache)
    outputs = outputs_of(trained.model, dataset, _BATCH, timed=False)
    scores = softmax(outputs.logits.numpy() / stored_calibration(trained.model).temperature)
    for utterance, probabilities in zip(chosen, scores, strict=True):
        yield {
            "id": utterance.id,
            "fold": "all",
            "seed": number,
            "speaker": utterance.speaker,
            "gender": utterance.gender,
            "truth": utterance.emotion,
            "scores": dict(zip(trained.labels.names, map(float, probabilities), strict=True)),
        }


def _features(
    run: _Run,
    trained: LoadedModel,
    manifest: Manifest,
    chosen: Sequence[Utterance],
    progress: RunProgress,
) -> FeatureCache | None:
    """Cached frozen features, if all models of the run share the frozen layers."""
    below = frozen_depth(trained.model, run.config.train)
    if below is None or not run.config.train.cache:
        return None
    folder = run.folder.parent / "cache"
    return build_cache(folder, trained.model, manifest, chosen, below, progress.features)


def _check_leakage(folder: Path, manifest: Manifest, chosen: Sequence[Utterance]) -> None:
    corpus = manifest.header.corpus
    seen, speakers = overlap_of(provenance_of(folder), manifest, chosen)
    if seen or speakers:
        raise LeakageError(
            f"{folder}: trained on {seen} of the {len(chosen)} utterances of {corpus} and on "
            f"{len(speakers)} of their speakers; test it on an unseen corpus"
        )


def _map_rows(rows: Iterable[Row], mapped: Mapped) -> Iterator[Row]:
    """Map rows to the common emotions; skip rows whose true emotion is not among them."""
    for row in rows:
        truth = None if row["truth"] is None else mapped.emotion(row["truth"])
        if truth is None:
            continue
        scores = mapped.scores(row["scores"])
        label = mapped.labels.names[int(np.argmax(list(scores.values())))]
        kept = {key: value for key, value in row.items() if key not in ("temperature", "unsure")}
        yield kept | {"truth": truth, "label": label, "scores": scores}


def _cell(run: _Run, corpus: str, own: bool, results: dict[str, Any]) -> dict[str, Any]:
    return {
        "train": run.corpus,
        "test": corpus,
        "run": run.config.name,
        "config": run.config.digest,
        "protocol": run.config.protocol.name if own else "another corpus",
        "leaky": own and run.config.protocol.name.endswith("-leaky"),
        "heard": corpus in provenance_of(run.models[0]).trained_on,
        "seeds": list(run.config.seeds),
        "models": len(run.models),
        "utterances": results["utterances"],
        "speakers": results["speakers_count"],
        **{name: results[name] for name in ("wa", "ua")},
        "ece": results["calibration"]["ece"],
        "chance_wa": results["chance"]["majority_wa"],
    }
