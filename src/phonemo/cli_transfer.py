"""The command that leaves corpora out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phonemo import console
from phonemo.cli_shared import Override, Quiet, Seeds, changes, check_writable, once, typed
from phonemo.opening import needs_torch


def transfer(
    config: Annotated[Path, typer.Argument(help="A YAML config, as configs/transfer.yaml.")],
    overrides: Override = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder of the study.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Write the results here, too: results/transfer/transfer.json."),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="NAME", help="Test this system only; repeatable."),
    ] = None,
    left_out: Annotated[
        list[str] | None,
        typer.Option("--left-out", metavar="CORPUS", help="Test on this one only; repeatable."),
    ] = None,
    seed: Seeds = None,
    quiet: Quiet = False,
) -> None:
    """Test systems on corpora that they did not learn from, resumable.

    Each corpus is left out in turn; everything is learnt and picked on the others. It is tested one
    recording at a time, and adapted by unlabelled recordings of it. Run it again to go on where it
    stopped; finished cells are left as they are.
    """
    from phonemo.config import load_transfer_config
    from phonemo.transferred import transfer_lines
    from phonemo.whole import write_whole

    resolved = load_transfer_config(config, changes(overrides, output))
    if results is not None:
        check_writable(results)
    needs_torch("testing on corpora left out")
    from phonemo.train.transfer.protocol import TRANSFER
    from phonemo.train.transfer.protocol import transfer as run_transfer
    from phonemo.train.transfer.tasks import Part

    part = Part(once(system), once(left_out), once(seed))
    with console.run_progress(quiet) as progress:
        found = run_transfer(resolved, typed(), part, progress)
    for line in transfer_lines(found):
        typer.echo(line)
    typer.echo(f"written: {Path(resolved.output) / TRANSFER}")
    if results is not None:
        write_whole(results, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        typer.echo(f"written: {results}")
