"""Networks that a study trains on merged corpora, and never tests on them."""

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
from phonemo.files import CHECKSUMS, sha256_of
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.fold import NeuralSystem
from phonemo.train.experiments.run_folder import FoldSeed
from phonemo.train.experiments.training_run import open_system
from phonemo.train.model_folder import LABELS
from phonemo.train.provenance import provenance_of
from phonemo.train.transfer.corpora import Corpus
from phonemo.train.transfer.study_config import TrainTemplate, TransferConfig
from phonemo.train.transfer.vectors import open_network

_ALL_DATA = "everything"


def trained_on(
    study: TransferConfig,
    template: TrainTemplate,
    corpora: Sequence[Corpus],
    seed: int,
    command: str,
    progress: RunProgress,
) -> Path:
    """Return the model folder of a network trained on these corpora, training it if needed.

    An interrupted training is resumed from its last checkpoint.

    Args:
        study: has the labels and the output folder.
        template: how it is trained.
        corpora: the training corpora.
        seed: seed of the training.
        command: the command line.
        progress: receives progress.

    Raises:
        PhonemoError: of any kind; finished parts are kept.
    """
    manifest = _manifest(Path(study.output), corpora)
    run_folder = (
        Path(study.output) / "networks" / _training_digest(study.labels, template, manifest, seed)
    )
    folder = run_folder / f"seed-{seed}" / _ALL_DATA
    if not (folder / "model" / LABELS).is_file():
        _train(_config(study, template, manifest, run_folder, seed), folder, command, progress)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return folder / "model"


def inputs_of(template: TrainTemplate) -> list[str]:
    """Return what identifies the files a training starts from: its weights and extra manifests.

    All weights of a start count, since heads are copied too.
    """
    backbone, start = template.model.backbone, template.model.start
    weights = [] if backbone == "log-mel" else [open_network(backbone).digest]
    weights += [] if start is None else [sha256_of(Path(start) / CHECKSUMS)]
    return weights + [sha256_of(Path(extra.manifest)) for extra in template.extra]


def check_extras(template: TrainTemplate, corpora: Mapping[str, Corpus]) -> None:
    """Refuse an extra corpus that is one of the study's.

    Raises:
        LeakageError: there is one.
    """
    for extra in template.extra:
        name = stream_manifest(extra.manifest).header.corpus
        if shared := set(name.split("+")) & set(corpora):
            raise LeakageError(
                f"{extra.manifest}: expected a corpus that is not in corpora, got {min(shared)}; "
                "leave it out of train.extra"
            )


def forbid_start(template: TrainTemplate, corpus: Corpus) -> None:
    """Refuse a training whose start was trained on the tested corpus.

    Raises:
        LeakageError: it was.
    """
    for folder in {template.model.backbone, template.model.start} - {None}:
        seen, speakers = provenance_of(folder).overlap(corpus.name, corpus.manifest.utterances)
        if seen or speakers:
            raise LeakageError(
                f"{folder}: expected a start that was not trained on {corpus.name}, got one that "
                f"was trained on {seen} of its utterances; name another in train.model"
            )


def _train(config: RunConfig, folder: Path, command: str, progress: RunProgress) -> None:
    """Train as in the first fold, with its test part added to the training part."""
    torch.set_num_threads(config.threads)
    experiment = prepare_experiment(config)
    first = experiment.split.folds[0]
    fold = Fold(_ALL_DATA, (*first.train, *first.test), first.validation, ())
    open_system(experiment, command, progress)
    NeuralSystem(experiment, progress).train_untested(FoldSeed(fold, config.seeds[0], folder))


def _config(
    study: TransferConfig, template: TrainTemplate, manifest: Path, run_folder: Path, seed: int
) -> RunConfig:
    return RunConfig(
        name=f"{study.name}-{run_folder.name}",
        manifest=str(manifest),
        output=str(run_folder),
        extra=template.extra,
        labels=_labels_of(study.labels, manifest),
        protocol=template.protocol,
        model=template.model,
        train=template.train,
        seeds=(seed,),
        threads=study.threads,
    )


def _labels_of(labels: LabelsConfig, manifest: Path) -> LabelsConfig:
    """Return the labels that the manifest has, since an inner fold may lack some."""
    present = {utterance.emotion for utterance in stream_manifest(manifest)}
    merged = {labels.merge.get(name or "", name) for name in present}
    names = tuple(name for name in labels.names if name in merged)
    return LabelsConfig(
        names=names, merge={old: new for old, new in labels.merge.items() if new in names}
    )


def _manifest(output: Path, corpora: Sequence[Corpus]) -> Path:
    """Merge the manifests; a single one is used unchanged."""
    paths = [Path(str(corpus.manifest.path)) for corpus in corpora]
    if len(paths) == 1:
        return paths[0]
    content = "".join(map(sha256_of, paths))
    target = output / "manifests" / f"{sha256(content.encode()).hexdigest()[:12]}.jsonl"
    if not target.is_file():
        merge_streams(paths, target)
    return target


def _training_digest(
    labels: LabelsConfig, template: TrainTemplate, manifest: Path, seed: int
) -> str:
    """Return a folder name that identifies a training's inputs."""
    sections = [section.model_dump(mode="json") for section in (labels, template)]
    facts = [*sections, inputs_of(template), sha256_of(manifest), seed]
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
