"""The training commands: train, pretrain, probe, script, evaluate and finetune."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli.options import (
    Apart,
    FoldFolder,
    Folds,
    Names,
    Override,
    ProtocolName,
    Quiet,
    Seeds,
    check_writable,
    command_line,
    parse_overrides,
    unique,
)
from phonemo.errors import CheckpointError, UsageError
from phonemo.loader import needs_torch

if TYPE_CHECKING:
    from phonemo.train.experiments.fold_profiles import OwnProfiles
from phonemo.cli import console, predict, progress_bars
from phonemo.cli.options import protocol_of

#: Descriptions of the applied profiles.
_PROFILES = {"none": "without", "fold": "of all tested recordings", "speaker": "of each speaker"}


class Strategy(StrEnum):
    """Which part of the model is trained."""

    logistic = "logistic"
    top_k = "top_k"


def train(
    config: Annotated[Path, typer.Argument(help="A YAML config, e.g. configs/emodb.yaml.")],
    overrides: Override = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder.")] = None,
    fold: Names = None,
    seed: Seeds = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Discard the run in the folder.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train and test every fold with every seed.

    Run the command again to resume.
    """
    from phonemo.config import load_config
    from phonemo.evaluation.report import summary_lines
    from phonemo.train import distributed

    first = distributed.started().first
    with distributed.log_error_once():
        resolved = load_config(config, parse_overrides(overrides, output))
        needs_torch("training")
        from phonemo.train.experiments.training_run import run

        with progress_bars.run_progress(quiet or not first) as progress:
            metrics = run(resolved, command_line(), unique(fold), overwrite, progress, unique(seed))
    if not first:
        return
    for line in summary_lines(metrics):
        typer.echo(line)
    typer.echo(f"  run folder: {resolved.output}")


def pretrain(
    config: Annotated[
        Path, typer.Argument(help="A YAML config, e.g. configs/pretrain-small.yaml.")
    ],
    overrides: Override = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder.")] = None,
    quiet: Quiet = False,
) -> None:
    """Pretrain a network by distilling Whisper's encoder.

    A wav2vec 2.0 network is trained to predict the layers of a Whisper encoder from unlabeled
    speech. Run the command again to resume.
    """
    from phonemo.train.pretrain.pretrain_config import load_pretrain_config

    resolved = load_pretrain_config(config, parse_overrides(overrides, output))
    needs_torch("pretraining")
    from phonemo.train.pretrain.pretraining import pretrain as run_pretraining

    with progress_bars.run_progress(quiet) as progress:
        metrics = run_pretraining(resolved, command_line(), progress)
    for line in console.pretrained_lines(metrics, Path(resolved.output)):
        typer.echo(line)


def probe(
    network: Annotated[
        str, typer.Argument(help="A backbone, a model, or a Whisper model in CTranslate2 format.")
    ],
    manifest: Annotated[Path, typer.Argument(help="A manifest with emotions.")],
    labels: Apart = None,
    protocol: ProtocolName = "speaker",
    folds: Folds = None,
    folder: FoldFolder = None,
    quiet: Quiet = False,
) -> None:
    """Score every frozen layer with a linear classifier."""
    settings = protocol_of(name=protocol, folds=folds, folder=folder)
    names = predict.names_of(labels)
    needs_torch("probing")
    from phonemo.train.experiments.baselines.probe import probe as probe_network

    with progress_bars.progress_callback("features", quiet) as progress:
        scores = probe_network(network, manifest, settings, names, progress)
    typer.echo(f"{network} on {manifest}, protocol {protocol}:")
    for score in scores:
        typer.echo(f"  layer {score.layer:<3} UA {score.ua:.1%}  WA {score.wa:.1%}")


def script(
    manifest: Annotated[Path, typer.Argument(help="A manifest with emotions and transcripts.")],
    labels: Apart = None,
    protocol: ProtocolName = "speaker",
    folds: Folds = None,
    folder: FoldFolder = None,
) -> None:
    """Score a text-only baseline: how much the words alone predict."""
    settings = protocol_of(name=protocol, folds=folds, folder=folder)
    names = predict.names_of(labels)
    needs_torch("the text baseline")
    from phonemo.train.experiments.baselines.text_baseline import text_baseline

    for line in console.script_lines(text_baseline(manifest, settings, names)):
        typer.echo(line)


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A run folder, or a model folder.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Test a model on this manifest instead of the run's data.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Choose only among these emotions: anger,neutral,sadness")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the predictions; for a run with --labels, its metrics.json.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Test a run again, or a model folder on a manifest.

    With --labels, a run's stored predictions are rescored among these emotions, without audio.
    """
    names = predict.names_of(labels)
    if output is not None:
        check_writable(output)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; expected a run folder or a model folder")
    needs_torch("evaluating")
    from phonemo.evaluation.phonemes.confusions import confusion_lines, row_confusions
    from phonemo.evaluation.report import results_lines
    from phonemo.train.experiments.assess import assess_model, assess_run, write_assessment
    from phonemo.train.experiments.run_folder import is_run

    if names and manifest is None and is_run(folder):
        _rescore(folder, names, output)
        return
    with progress_bars.progress_callback("testing", quiet) as progress:
        if manifest is None and is_run(folder):
            assessment = assess_run(folder, progress)
        elif manifest is None:
            raise UsageError(f"{folder}: not a run folder; to test a model, add --manifest FILE")
        else:
            assessment = assess_model(folder, manifest, names, progress)
    if output is not None:  # first, because a closed pipe can stop printing
        write_assessment(output, assessment)
    for note in assessment.notes:
        typer.echo(f"  note: {note}")
    for line in console.result_lines(assessment.results, results_lines):
        typer.echo(line)
    for line in confusion_lines(row_confusions(assessment.rows)):
        typer.echo(line)


def finetune(
    manifest: Annotated[Path, typer.Argument(help="A manifest written by init-corpus or prepare.")],
    start: Annotated[
        str,
        typer.Option("--from", help="phonemo-small, phonemo-open, a model folder, or a backbone."),
    ] = "phonemo-small",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder. Default: runs/NAME.")
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="logistic: train a head on the frozen network; top_k: also train its top layers."
        ),
    ] = Strategy.logistic,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    audio: Annotated[
        bool, typer.Option(help="Embed audio of the hardest clips in the page.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model on your manifest, with a report.

    Cross-validation first measures the scores on unseen speakers; then a final model is trained on
    all data. Run the command again to resume.
    """
    needs_torch("fine-tuning")
    from phonemo.evaluation.html.run_page import write_page
    from phonemo.evaluation.report import summary_lines
    from phonemo.train.experiments.finetune import finetune as learn
    from phonemo.train.experiments.finetune import plan

    run = output or _default_output(manifest)
    with progress_bars.run_progress(quiet) as progress:
        planned = plan(manifest, run, start, strategy.value, threads, progress)
    for note in planned.notes:
        typer.echo(f"phonemo: {note}", err=True)
    with progress_bars.run_progress(quiet) as progress:
        tuned = learn(planned.config, command_line(), progress)
    page = write_page(planned.config.output, audio=audio)
    for line in (*summary_lines(tuned.metrics), *_profile_lines(tuned.profiles)):
        typer.echo(line)
    typer.echo(f"  report: {page}")
    typer.echo(f"  model: {tuned.bundle or tuned.model}")
    typer.echo(f"  next: phonemo predict my.wav --model {tuned.bundle or tuned.model}")


def _rescore(folder: Path, names: list[str], output: Path | None) -> None:
    from phonemo.evaluation.report import summary_lines
    from phonemo.files import write_json
    from phonemo.train.experiments.assess import rescore_run

    name = output.absolute().parent.name if output is not None else folder.absolute().name
    metrics = rescore_run(folder, names, name, command_line())
    for line in summary_lines(metrics):
        typer.echo(line)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_json(output, metrics)


def _default_output(manifest: Path) -> Path:
    """Name the run folder after the manifest, or after its folder if it has the usual name."""
    name = manifest.stem if manifest.stem != "manifest" else manifest.absolute().parent.name
    safe = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-"
        for letter in name
    )
    return Path("runs") / (safe.strip("-._") or "mine")


def _profile_lines(profiles: OwnProfiles) -> list[str]:
    """The strength of the prior towards the start's head, and the scores with profiles."""
    lines = []
    prior = profiles.prior.get("model")
    if prior is not None:
        strength = (
            "infinite (head unchanged)" if prior["strength"] is None else f"{prior['strength']:g}"
        )
        how = f"selected on {prior['picked_by']} left-out speakers" if prior["picked_by"] else "set"
        fresh = f"; newly trained: {', '.join(prior['fresh'])}" if prior["fresh"] else ""
        lines = [
            f"  prior: the start's head for {', '.join(prior['shared'])}{fresh}; strength "
            f"{strength}, {how}; standardised by {prior['standardised_by']}"
        ]
    scores = [
        f"{_PROFILES[name]} {100 * score.ua:.1f} %" for name, score in profiles.scores.items()
    ]
    return [*lines, f"  UA with unlabeled profiles: {', '.join(scores)}"] if scores else lines
