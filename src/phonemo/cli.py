"""The command line.

Each command imports what it needs when it runs; results go to standard output, everything else
to standard error.
"""

from __future__ import annotations

import json
import logging
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from phonemo import console
from phonemo.config import ProtocolConfig
from phonemo.errors import ConfigError, PhonemoError, UsageError
from phonemo.version import __version__

app = typer.Typer(
    name="phonemo",
    help="Speech emotion recognition that also hears phonemes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as train.epochs=5."),
]


class Format(StrEnum):
    """Output formats of predict."""

    jsonl = "jsonl"
    table = "table"


@app.callback(invoke_without_command=True)
def _phonemo(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"phonemo {__version__}")
        raise typer.Exit


@app.command()
def corpora() -> None:
    """List the corpora that can be prepared, with licence and published counts."""
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
        bool, typer.Option(help="Accept a part of the release; the manifest will say so.")
    ] = False,
    g2p: Annotated[bool, typer.Option(help="Turn transcripts into phonemes.")] = True,
    quiet: Quiet = False,
) -> None:
    """Read a corpus into a manifest: one JSON row an utterance."""
    from phonemo.corpora.prepare import prepare as prepare_corpus

    with console.counter("reading", quiet) as progress:
        made = prepare_corpus(
            corpus, root, output, allow_partial=allow_partial, g2p=g2p, progress=progress
        )
    for line in console.prepared_lines(made):
        typer.echo(line)


@app.command()
def inspect(
    manifest: Annotated[Path, typer.Argument(help="A manifest.")],
    protocol: Annotated[str, typer.Option(help="speaker, session, sentence, published ...")] = (
        "speaker"
    ),
    folds: Annotated[int | None, typer.Option(help="Group the units into so many folds.")] = None,
    folder: Annotated[str | None, typer.Option(help="Folder of published fold files.")] = None,
    validation_units: Annotated[int, typer.Option(help="Units in the validation part.")] = 1,
    drop_near_duplicates: Annotated[
        float | None, typer.Option(help="Drop train texts this near to a test text (Jaccard).")
    ] = None,
) -> None:
    """Show what train and test would share under a protocol; a speaker leak is an error."""
    from pydantic import ValidationError

    from phonemo.corpora import leakage
    from phonemo.corpora.manifest import read_manifest
    from phonemo.corpora.splits import make_split

    try:
        settings = ProtocolConfig.model_validate(
            {
                "name": protocol,
                "folds": folds,
                "folder": folder,
                "validation_units": validation_units,
                "drop_near_duplicates": drop_near_duplicates,
            }
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(f"protocol {fault['loc'][0]}: {fault['msg']}") from error
    rows = [one for one in read_manifest(manifest).utterances if one.emotion]
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
    fold: Annotated[list[str] | None, typer.Option(help="Only this fold; repeatable.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Throw away what the run folder holds.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train and test every fold with every seed; run it again to go on where it stopped."""
    from phonemo.config import load_config
    from phonemo.report import summary_lines

    changes = [*(overrides or ()), *([f"output={json.dumps(str(output))}"] if output else ())]
    resolved = load_config(config, changes)
    _needs_torch("training")
    from phonemo.train.runner import run

    with console.run_progress(quiet) as progress:
        metrics = run(resolved, _typed(), fold or (), overwrite, progress)
    for line in summary_lines(metrics):
        typer.echo(line)
    typer.echo(f"  run folder: {resolved.output}")


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
        Path | None, typer.Option("--output", "-o", help="Write the predictions (JSON lines).")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Test a run again on its own protocol, or any model on any manifest."""
    _needs_torch("evaluating")
    from phonemo.report import results_lines
    from phonemo.train.assess import assess_model, assess_run, is_run, write_assessment

    with console.counter("testing", quiet) as progress:
        if manifest is None and is_run(folder):
            if labels is not None:
                raise UsageError("--labels goes with --manifest; a run keeps its own labels")
            assessment = assess_run(folder, progress)
        elif manifest is None:
            raise UsageError(f"{folder}: not a run folder; a model needs --manifest FILE")
        else:
            names = [name.strip() for name in labels.split(",")] if labels else []
            assessment = assess_model(folder, manifest, names, progress)
    for note in assessment.notes:
        typer.echo(f"  note: {note}")
    for line in console.result_lines(assessment.results, results_lines):
        typer.echo(line)
    if output is not None:
        write_assessment(output, assessment)


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Audio files: wav, flac, mp3, ogg, aiff.")],
    model: Annotated[Path, typer.Option(help="A model folder that phonemo train wrote.")],
    format: Annotated[Format | None, typer.Option(help="Default: a table on a terminal.")] = None,
    quiet: Quiet = False,
) -> None:
    """Say which emotion each file carries: one line a file.

    Exit status 0: all files answered; 1: some failed, each with an error line; 2: wrong usage.
    """
    _needs_torch("predicting with a trained network")
    from phonemo.train.predictor import Predictor

    predictor = Predictor.load(model)
    wanted = format or (Format.table if sys.stdout.isatty() else Format.jsonl)
    failed = 0
    for path in files:
        row = _answer(predictor, path)
        failed += "error" in row
        if wanted is Format.jsonl:
            typer.echo(json.dumps(row, ensure_ascii=False, allow_nan=False))
        else:
            typer.echo(console.table_row(row))
    if failed:
        if not quiet:
            typer.echo(f"phonemo: {failed} of {len(files)} files failed", err=True)
        raise typer.Exit(1)


@app.command()
def report(
    results: Annotated[Path, typer.Option(help="Folder of <name>/metrics.json.")] = Path("results"),
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("RESULTS.md"),
    readme: Annotated[Path, typer.Option(help="Its table is rewritten too.")] = Path("README.md"),
    check: Annotated[bool, typer.Option(help="Write nothing; fail if it would change.")] = False,
) -> None:
    """Write RESULTS.md and the README's table from the measured runs."""
    from phonemo.report import stale, write_results

    if not check:
        write_results(results, output, readme)
    elif pages := stale(results, output, readme):
        names = ", ".join(str(page) for page in pages)
        raise UsageError(f"{names}: not what results/ says; run: make report")


def main() -> None:
    """Run a command; every expected error is one line on standard error."""
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s", stream=sys.stderr)
    try:
        app()
    except PhonemoError as error:
        _leave(str(error), error.exit_code)
    except KeyboardInterrupt:
        _leave("stopped; run the same command again to go on", 130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        _leave(f"{error.filename or 'disk'}: {error.strerror or error}", 1)


def _answer(predictor: Any, path: Path) -> dict[str, Any]:
    try:
        prediction = predictor.predict(path)
    except PhonemoError as error:
        return {"file": str(path), "error": str(error), "code": getattr(error, "code", "error")}
    return {"file": str(path), **prediction.to_dict()}


def _needs_torch(what: str) -> None:
    from importlib.util import find_spec

    from phonemo.errors import MissingExtraError

    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtraError(what, "train")


def _typed() -> str:
    return shlex.join(["phonemo", *sys.argv[1:]])


def _leave(message: str, code: int) -> None:
    typer.echo(f"phonemo: {message}", err=True)
    sys.exit(code)
