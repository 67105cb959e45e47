"""The command-line entry point.

Commands import their dependencies when they run. Results go to standard output, everything else to
standard error.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from phonemo.cli import (
    adapt,
    align,
    corpora_commands,
    models,
    predict,
    results,
    study_commands,
    train_commands,
)
from phonemo.cli.programs import batch, doctor, mcp, serve, site
from phonemo.errors import PhonemoError
from phonemo.version import __version__

#: Commands that resume where they stopped.
_RESUMABLE = ("train", "pretrain", "ablate", "batch", "finetune", "transfer", "phonemes", "align")


class _Commands(TyperGroup):
    """The command group; on Ctrl-C it prints how to resume, where typer prints nothing."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; on Ctrl-C exit with 130 and the next step."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            resumes = ctx.invoked_subcommand in _RESUMABLE
            advice = " to resume" if resumes else ""
            if ctx.invoked_subcommand == "predict":
                advice = ", with --overwrite if it wrote files; written files are complete"
            _leave(f"stopped; run the same command again{advice}", 130)


app = typer.Typer(
    cls=_Commands,
    name="phonemo",
    help="Speech emotion recognition with time-aligned phonemes.",
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
    # set by torchrun; only train supports several processes
    if ctx.invoked_subcommand not in (None, "train") and "LOCAL_RANK" in os.environ:
        from phonemo.train import distributed

        with distributed.log_error_once():
            distributed.refuse_several(ctx.invoked_subcommand)


app.command()(corpora_commands.corpora)
app.command()(corpora_commands.prepare)
app.command()(corpora_commands.merge)
app.command()(corpora_commands.inspect)
app.command()(train_commands.train)
app.command()(train_commands.pretrain)
app.command()(train_commands.probe)
app.command()(train_commands.script)
app.command()(train_commands.evaluate)
app.command()(predict.predict)
app.command()(align.align)
app.command()(adapt.adapt)
app.command()(batch.batch)
app.command()(serve.serve)
app.command()(doctor.doctor)
app.command()(mcp.mcp)
app.command()(site.site)
app.command("init-corpus")(corpora_commands.init_corpus)
app.command()(train_commands.finetune)
app.command()(results.page)
app.command()(models.export)
app.command()(models.shrink)
app.command()(models.push)
app.command()(models.card)
app.command()(study_commands.ablate)
app.command()(study_commands.cross)
app.command()(study_commands.calibrate)
app.command()(study_commands.transfer)
app.command()(study_commands.dimensions)
app.command()(study_commands.phonemes)
app.command("fit-head")(study_commands.fit_head)
app.command()(results.report)
app.command()(results.compare)


def main() -> None:
    """Run a command; report every expected error as one line on standard error."""
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
        _close_broken_output()
        _leave(f"{where}{reason}; check the path, its permissions and the free space", 1)


def _close_broken_output() -> None:
    """Close a standard output that cannot be written, or Python ends with a second message."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            sys.stdout.close()


def _set_up_streams() -> None:
    """Send logs to standard error, silence libraries, and escape what stdout cannot encode."""
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s", stream=sys.stderr)
    for name in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    os.environ.setdefault(
        "TORCH_CPP_LOG_LEVEL", "ERROR"
    )  # no warning of torch's C++ concerns users
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _leave(message: str, code: int) -> NoReturn:
    line = "".join(letter if letter.isprintable() else "?" for letter in message)
    typer.echo(f"phonemo: {line}", err=True)
    sys.exit(code)
