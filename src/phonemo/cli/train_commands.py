"""Training on the command line: train, pretrain, probe, script, evaluate, finetune."""

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
from phonemo.cli import console, predict
from phonemo.cli.options import protocol_of

#: By whose profile is applied, in words.
_PROFILES = {"none": "without", "fold": "of all tested recordings", "speaker": "of each speaker"}


class Strategy(StrEnum):
    """What learns."""

    logistic = "logistic"
    top_k = "top_k"


def train(
    config: Annotated[Path, typer.Argument(help="A YAML config, as configs/emodb.yaml.")],
    overrides: Override = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder.")] = None,
    fold: Names = None,
    seed: Seeds = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Throw away the run that the folder holds.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train and test every fold with every seed, resumable.

    Run it again to go on where it stopped.
    """
    from phonemo.config import load_config
    from phonemo.evaluation.report import summary_lines
    from phonemo.train import distributed

    first = distributed.started().first
    with distributed.log_error_once():
        resolved = load_config(config, parse_overrides(overrides, output))
        needs_torch("training")
        from phonemo.train.experiments.training_run import run

        with console.run_progress(quiet or not first) as progress:
            metrics = run(resolved, command_line(), unique(fold), overwrite, progress, unique(seed))
    if not first:
        return
    for line in summary_lines(metrics):
        typer.echo(line)
    typer.echo(f"  run folder: {resolved.output}")


def pretrain(
    config: Annotated[Path, typer.Argument(help="A YAML config, as configs/pretrain-small.yaml.")],
    overrides: Override = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder.")] = None,
    quiet: Quiet = False,
) -> None:
    """Pretrain a network with Whisper's encoder as its teacher.

    A wav2vec 2.0 network learns the layers of a Whisper encoder from unlabelled speech.
    Run it again to go on where it stopped.
    """
    from phonemo.train.pretrain.pretrain_config import load_pretrain_config

    resolved = load_pretrain_config(config, parse_overrides(overrides, output))
    needs_torch("pretraining")
    from phonemo.train.pretrain.pretraining import pretrain as run_pretraining

    with console.run_progress(quiet) as progress:
        metrics = run_pretraining(resolved, command_line(), progress)
    for line in console.pretrained_lines(metrics, Path(resolved.output)):
        typer.echo(line)


def probe(
    network: Annotated[
        str, typer.Argument(help="A backbone, a model, or a Whisper in CTranslate2.")
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
    from phonemo.train.experiments.probe import probe as probe_network

    with console.progress_callback("listening", quiet) as progress:
        scores = probe_network(network, manifest, settings, names, progress)
    typer.echo(f"{network} on {manifest}, protocol {protocol}:")
    for one in scores:
        typer.echo(f"  layer {one.layer:<3} UA {one.ua:.1%}  WA {one.wa:.1%}")


def script(
    manifest: Annotated[Path, typer.Argument(help="A manifest with emotions and transcripts.")],
    labels: Apart = None,
    protocol: ProtocolName = "speaker",
    folds: Folds = None,
    folder: FoldFolder = None,
) -> None:
    """Score the words alone: what the script gives away."""
    settings = protocol_of(name=protocol, folds=folds, folder=folder)
    names = predict.names_of(labels)
    needs_torch("the script control")
    from phonemo.train.experiments.text_baseline import text_baseline

    for line in console.script_lines(text_baseline(manifest, settings, names)):
        typer.echo(line)


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A run folder, or a model folder.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Test a model on this manifest instead of a run's own data.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Choose among these emotions only: anger,neutral,sadness")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the predictions; with a run's --labels its metrics.json."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Test a run again, or any model on any manifest.

    With --labels a run's written answers are scored among these emotions; no audio is needed.
    """
    names = predict.names_of(labels)
    if output is not None:
        check_writable(output)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; a run or a model folder is wanted")
    needs_torch("evaluating")
    from phonemo.evaluation.report import results_lines
    from phonemo.train.experiments.assess import assess_model, assess_run, write_assessment
    from phonemo.train.experiments.run_folder import is_run

    if names and manifest is None and is_run(folder):
        _rescore(folder, names, output)
        return
    with console.progress_callback("testing", quiet) as progress:
        if manifest is None and is_run(folder):
            assessment = assess_run(folder, progress)
        elif manifest is None:
            raise UsageError(f"{folder}: not a run folder; a model needs --manifest FILE")
        else:
            assessment = assess_model(folder, manifest, names, progress)
    if output is not None:  # before anything is printed, which a closed pipe may stop
        write_assessment(output, assessment)
    for note in assessment.notes:
        typer.echo(f"  note: {note}")
    for line in console.result_lines(assessment.results, results_lines):
        typer.echo(line)


def finetune(
    manifest: Annotated[Path, typer.Argument(help="As init-corpus or prepare wrote it.")],
    start: Annotated[
        str,
        typer.Option("--from", help="phonemo-small, phonemo-open, a model folder, or a backbone."),
    ] = "phonemo-small",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder; default: runs/NAME.")
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(help="logistic: a head on the network as it is; top_k: its top learns too."),
    ] = Strategy.logistic,
    threads: Annotated[int, typer.Option(min=1, help="Of the processor.")] = 2,
    audio: Annotated[
        bool, typer.Option(help="Let the page hold the voices of the hardest clips.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model to your manifest, with a report.

    Every fold first, which says how good it is on people it has not heard; then a model that
    has heard all. Run it again to go on where it stopped.
    """
    needs_torch("fine-tuning")
    from phonemo.evaluation.html.run_page import write_page
    from phonemo.evaluation.report import summary_lines
    from phonemo.train.experiments.finetune import finetune as learn
    from phonemo.train.experiments.finetune import plan

    made = plan(manifest, output or _home(manifest), start, strategy.value, threads)
    for note in made.notes:
        typer.echo(f"phonemo: {note}", err=True)
    with console.run_progress(quiet) as progress:
        found = learn(made.config, command_line(), progress)
    page = write_page(made.config.output, audio=audio)
    for line in (*summary_lines(found.metrics), *_profile_lines(found.profiles)):
        typer.echo(line)
    typer.echo(f"  report: {page}")
    typer.echo(f"  model: {found.bundle or found.model}")
    typer.echo(f"  next: phonemo predict my.wav --model {found.bundle or found.model}")


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


def _home(manifest: Path) -> Path:
    """Named after the manifest, or after its folder where it has the usual name."""
    named = manifest.stem if manifest.stem != "manifest" else manifest.absolute().parent.name
    kept = "".join(
        one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in named
    )
    return Path("runs") / (kept.strip("-._") or "mine")


def _profile_lines(found: OwnProfiles) -> list[str]:
    """How far the heads were drawn towards the start's, and what profiles add."""
    lines = []
    done = found.prior.get("model")
    if done is not None:
        strength = (
            "endless, its head as it is" if done["strength"] is None else f"{done['strength']:g}"
        )
        how = f"picked by {done['picked_by']} speakers left out" if done["picked_by"] else "set"
        fresh = f"; learnt anew: {', '.join(done['fresh'])}" if done["fresh"] else ""
        lines = [
            f"  prior: the start's head for {', '.join(done['shared'])}{fresh}; strength "
            f"{strength}, {how}; standardised by {done['standardised_by']}"
        ]
    told = [f"{_PROFILES[name]} {100 * one.ua:.1f} %" for name, one in found.scores.items()]
    return [*lines, f"  UA with unlabelled profiles: {', '.join(told)}"] if told else lines
