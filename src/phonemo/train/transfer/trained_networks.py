"""Networks of a study that are trained here: on some corpora, merged, and never tested on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import torch

from phonemo.config import LabelsConfig, RunConfig
from phonemo.corpora.folds import Fold
from phonemo.corpora.manifest import stream_manifest
from phonemo.corpora.merge import merge_streams
from phonemo.errors import LeakageError
from phonemo.files import sha256_of
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.fold import NeuralSystem
from phonemo.train.experiments.run_folder import FoldSeed
from phonemo.train.experiments.training_run import open_system
from phonemo.train.model_folder import LABELS
from phonemo.train.provenance import provenance_of
from phonemo.train.transfer.corpora import Corpus
from phonemo.train.transfer.study_config import TrainTemplate, TransferConfig

_EVERYTHING = "everything"


def trained_on(
    study: TransferConfig,
    template: TrainTemplate,
    corpora: Sequence[Corpus],
    seed: int,
    command: str,
    progress: RunProgress,
) -> Path:
    """The model folder of a network that has learnt from these corpora; trained where it is not.

    A training that was interrupted goes on from its last checkpoint.

    Args:
        study: says the labels and the folder.
        template: how it is trained.
        corpora: what it learns from.
        seed: of the training.
        command: what was typed.
        progress: shows the training.

    Raises:
        PhonemoError: of any kind; what was finished stays.
    """
    manifest = _manifest(Path(study.output), corpora)
    home = Path(study.output) / "networks" / _named(study.labels, template, manifest, seed)
    folder = home / f"seed-{seed}" / _EVERYTHING
    if not (folder / "model" / LABELS).is_file():
        _train(_config(study, template, manifest, home, seed), folder, command, progress)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return folder / "model"


def check_extras(template: TrainTemplate, corpora: Mapping[str, Corpus]) -> None:
    """Refuse an extra corpus that is one of the study's, and a start that has learnt from it.

    Raises:
        LeakageError: either.
    """
    for extra in template.extra:
        name = stream_manifest(extra.manifest).header.corpus
        if shared := set(name.split("+")) & set(corpora):
            raise LeakageError(
                f"{extra.manifest}: expected a corpus that is not in corpora, got {min(shared)}; "
                "leave it out of train.extra"
            )


def forbid_start(template: TrainTemplate, corpus: Corpus) -> None:
    """Refuse a training that starts from what has learnt from a corpus that it is tested on.

    Raises:
        LeakageError: it has.
    """
    for folder in {template.model.backbone, template.model.start} - {None}:
        seen, speakers = provenance_of(folder).overlap(corpus.name, corpus.manifest.utterances)
        if seen or speakers:
            raise LeakageError(
                f"{folder}: expected a start that has not learnt from {corpus.name}, got one that "
                f"learnt from {seen} of its utterances; name another in train.model"
            )


def _train(config: RunConfig, folder: Path, command: str, progress: RunProgress) -> None:
    """Train as in the first fold, with what it would test among what is learnt from."""
    torch.set_num_threads(config.threads)
    experiment = prepare_experiment(config)
    first = experiment.split.folds[0]
    fold = Fold(_EVERYTHING, (*first.train, *first.test), first.validation, ())
    open_system(experiment, command, progress)
    NeuralSystem(experiment, progress).train_untested(FoldSeed(fold, config.seeds[0], folder))


def _config(
    study: TransferConfig, template: TrainTemplate, manifest: Path, home: Path, seed: int
) -> RunConfig:
    return RunConfig(
        name=f"{study.name}-{home.name}",
        manifest=str(manifest),
        output=str(home),
        extra=template.extra,
        labels=_labels_of(study.labels, manifest),
        protocol=template.protocol,
        model=template.model,
        train=template.train,
        seeds=(seed,),
        threads=study.threads,
    )


def _labels_of(labels: LabelsConfig, manifest: Path) -> LabelsConfig:
    """Those that the manifest has: an inner fold may lack one."""
    there = {one.emotion for one in stream_manifest(manifest)}
    counted = {labels.merge.get(name or "", name) for name in there}
    names = tuple(name for name in labels.names if name in counted)
    return LabelsConfig(
        names=names, merge={old: new for old, new in labels.merge.items() if new in names}
    )


def _manifest(output: Path, corpora: Sequence[Corpus]) -> Path:
    """One manifest of all; that of a single corpus as it is."""
    paths = [Path(str(one.manifest.path)) for one in corpora]
    if len(paths) == 1:
        return paths[0]
    content = "".join(map(sha256_of, paths))
    target = output / "manifests" / f"{sha256(content.encode()).hexdigest()[:12]}.jsonl"
    if not target.is_file():
        merge_streams(paths, target)
    return target


def _named(labels: LabelsConfig, template: TrainTemplate, manifest: Path, seed: int) -> str:
    """A folder's name for all that a training depends on."""
    sections = [one.model_dump(mode="json") for one in (labels, template)]
    facts = [*sections, sha256_of(manifest), seed]
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
