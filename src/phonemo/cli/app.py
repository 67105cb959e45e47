"""The command line.

Each command imports what it needs when it runs; results go to standard output, everything else
to standard error.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from phonemo.cli import adapt, batch, console, data, models, predict, results, serve, studies
from phonemo.cli import models as cli_hub
from phonemo.cli import studies as cli_studies
from phonemo.cli import studies as cli_transfer
from phonemo.cli.options import (
    Apart,
    FoldFolder,
    Folds,
    Names,
    Override,
    ProtocolName,
    Quiet,
    Seeds,
    changes,
    check_writable,
    once,
    typed,
)
from phonemo.config import ProtocolConfig
from phonemo.errors import CheckpointError, PhonemoError, UsageError
from phonemo.loader import needs_torch
from phonemo.version import __version__

#: Commands that go on where they stopped.
_RESUMABLE = ("train", "pretrain", "ablate", "batch", "finetune", "transfer")


class _Commands(TyperGroup):
    """The commands; typer alone would leave without a word when it is interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C is told what to do next."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            resumes = ctx.invoked_subcommand in _RESUMABLE
            kept = " to go on where it stopped" if resumes else ""
            if ctx.invoked_subcommand == "predict":
                kept = ", with --overwrite where it wrote files; those are whole"
            _leave(f"stopped; run the same command again{kept}", 130)


app = typer.Typer(
    cls=_Commands,
    name="phonemo",
    help="Speech emotion recognition that also hears phonemes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _phonemo(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"phonemo {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand not in (None, "train"):
        from phonemo.train import distributed

        with distributed.log_error_once():
            distributed.refuse_several(ctx.invoked_subcommand)


@app.command()
def corpora() -> None:
    """List the corpora that can be prepared."""
    from phonemo.corpora import CORPORA

    for name, corpus in CORPORA.items():
        card = corpus.card
        counts = f"{card.utterances} utterances" if card.utterances else "any number"
        typer.echo(f"{name:<16}{card.title} ({card.language or 'any language'}; {counts})")
        typer.echo(f"{'':<16}licence: {card.licence}")


@app.command()
def prepare(
    corpus: Annotated[str, typer.Argument(help="A name that `phonemo corpora` lists.")],
    root: Annotated[Path, typer.Argument(help="The release's folder; for csv, the table.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial", help="Accept a part of the release; the manifest will say so."
        ),
    ] = False,
    g2p: Annotated[bool, typer.Option(help="Turn transcripts into phonemes.")] = True,
    quiet: Quiet = False,
) -> None:
    """Read a corpus into a manifest: one JSON row an utterance."""
    from phonemo.corpora.prepare import prepare as prepare_corpus

    check_writable(output)
    with console.counter("reading", quiet) as progress:
        made = prepare_corpus(
            corpus, root, output, allow_partial=allow_partial, g2p=g2p, progress=progress
        )
    for line in console.prepared_lines(made):
        typer.echo(line)


@app.command()
def merge(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of different corpora.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
) -> None:
    """Write several manifests as one.

    Ids and speakers are named with their corpus.
    """
    from phonemo.corpora.merge import merge_streams

    check_writable(output)
    merged = merge_streams(manifests, output)
    spoken = Counter(one.speaker for one in merged)
    counts = f"{spoken.total()} utterances, {len(set(spoken) - {None})} speakers"
    typer.echo(f"{output}: {counts} of {merged.header.corpus}")


@app.command()
def inspect(
    manifest: Annotated[Path, typer.Argument(help="A manifest.")],
    protocol: Annotated[
        str,
        typer.Option(
            help="speaker, session, sentence, speaker-sentence, published, published-leaky or "
            "random-leaky."
        ),
    ] = "speaker",
    folds: Annotated[int | None, typer.Option(help="Group the units into so many folds.")] = None,
    folder: Annotated[
        str | None, typer.Option(help="Folder of published fold files, for the published ones.")
    ] = None,
    validation_units: Annotated[int, typer.Option(help="Units in the validation part.")] = 1,
    drop_near_duplicates: Annotated[
        float | None,
        typer.Option(help="Drop from train what is this near to a test text (0 to 1, Jaccard)."),
    ] = None,
) -> None:
    """Show what train and test share; a speaker leak is an error."""
    from phonemo.corpora import leakage
    from phonemo.corpora.manifest import read_manifest
    from phonemo.corpora.splits import make_split

    settings = _protocol(
        name=protocol,
        folds=folds,
        folder=folder,
        validation_units=validation_units,
        drop_near_duplicates=drop_near_duplicates,
    )
    everything = read_manifest(manifest).utterances
    rows = [one for one in everything if one.emotion]
    if protocol.startswith("published") or not rows:  # published files name every utterance
        rows = list(everything)
    if len(rows) < len(everything):
        left_out = f"{len(everything) - len(rows)} of {len(everything)} utterances"
        typer.echo(f"phonemo: {left_out} have no emotion and are left out", err=True)
    split = make_split(rows, settings)
    report = leakage.measure(rows, split)
    for line in leakage.lines(report):
        typer.echo(line)
    leakage.forbid(report, settings)


@app.command()
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
        resolved = load_config(config, changes(overrides, output))
        needs_torch("training")
        from phonemo.train.experiments.run import run

        with console.run_progress(quiet or not first) as progress:
            metrics = run(resolved, typed(), once(fold), overwrite, progress, once(seed))
    if not first:
        return
    for line in summary_lines(metrics):
        typer.echo(line)
    typer.echo(f"  run folder: {resolved.output}")


@app.command()
def pretrain(
    config: Annotated[Path, typer.Argument(help="A YAML config, as configs/pretrain-small.yaml.")],
    overrides: Override = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder.")] = None,
    quiet: Quiet = False,
) -> None:
    """Teach a network to hear as Whisper does, resumable.

    A wav2vec 2.0 network learns the layers of a Whisper encoder from unlabelled speech.
    Run it again to go on where it stopped.
    """
    from phonemo.train.pretrain.config import load_pretrain_config

    resolved = load_pretrain_config(config, changes(overrides, output))
    needs_torch("pretraining")
    from phonemo.train.pretrain.run import pretrain as run_pretraining

    with console.run_progress(quiet) as progress:
        metrics = run_pretraining(resolved, typed(), progress)
    for line in console.pretrained_lines(metrics, Path(resolved.output)):
        typer.echo(line)


@app.command()
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
    settings = _protocol(name=protocol, folds=folds, folder=folder)
    names = predict.names_of(labels)
    needs_torch("probing")
    from phonemo.train.experiments.probe import probe as probe_network

    with console.counter("listening", quiet) as progress:
        scores = probe_network(network, manifest, settings, names, progress)
    typer.echo(f"{network} on {manifest}, protocol {protocol}:")
    for one in scores:
        typer.echo(f"  layer {one.layer:<3} UA {one.ua:.1%}  WA {one.wa:.1%}")


@app.command()
def script(
    manifest: Annotated[Path, typer.Argument(help="A manifest with emotions and transcripts.")],
    labels: Apart = None,
    protocol: ProtocolName = "speaker",
    folds: Folds = None,
    folder: FoldFolder = None,
) -> None:
    """Score the words alone: what the script gives away."""
    settings = _protocol(name=protocol, folds=folds, folder=folder)
    names = predict.names_of(labels)
    needs_torch("the script control")
    from phonemo.train.experiments.text_baseline import script_control

    for line in console.script_lines(script_control(manifest, settings, names)):
        typer.echo(line)


@app.command()
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
    with console.counter("testing", quiet) as progress:
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


def _rescore(folder: Path, names: list[str], output: Path | None) -> None:
    from phonemo.evaluation.report import summary_lines
    from phonemo.files import write_json
    from phonemo.train.experiments.assess import rescore_run

    name = output.absolute().parent.name if output is not None else folder.absolute().name
    metrics = rescore_run(folder, names, name, typed())
    for line in summary_lines(metrics):
        typer.echo(line)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_json(output, metrics)


app.command()(predict.predict)
app.command()(adapt.adapt)
app.command()(batch.batch)
app.command()(serve.serve)
app.command("init-corpus")(data.init_corpus)
app.command()(data.finetune)
app.command()(data.page)
app.command()(models.export)
app.command()(models.shrink)
app.command()(cli_hub.push)
app.command()(cli_hub.card)
app.command()(cli_studies.ablate)
app.command()(cli_studies.cross)
app.command()(cli_studies.calibrate)
app.command()(cli_transfer.transfer)
app.command("fit-head")(cli_transfer.fit_head)
app.command()(studies.emobox)
app.command()(results.report)
app.command()(results.compare)


def main() -> None:
    """Run a command; every expected error is one line on standard error."""
    _set_up_streams()
    try:
        app(prog_name="phonemo")
    except PhonemoError as error:
        _leave(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        _leave(f"{where}{reason}; check the path, its permissions and the free space", 1)


def _set_up_streams() -> None:
    """Ours go to standard error; of other libraries only what fails; no letter stops a line."""
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s", stream=sys.stderr)
    for name in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch's C++ warns of no user's mistake
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _protocol(**settings: Any) -> ProtocolConfig:
    from pydantic import ValidationError

    try:
        protocol = ProtocolConfig.model_validate(settings)
    except ValidationError as error:
        fault = error.errors()[0]
        key = str(fault["loc"][0])
        option = "protocol" if key == "name" else key.replace("_", "-")
        raise UsageError(f"--{option} {fault['input']!r}: {fault['msg']}") from error
    if protocol.name.startswith("published") != (protocol.folder is not None):
        raise UsageError(
            f"--protocol {protocol.name} and --folder {protocol.folder}: a folder of fold files is "
            "for published and published-leaky, which need it"
        )
    return protocol


def _leave(message: str, code: int) -> NoReturn:
    line = "".join(letter if letter.isprintable() else "?" for letter in message)
    typer.echo(f"phonemo: {line}", err=True)
    sys.exit(code)
