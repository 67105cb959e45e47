"""The command that puts our row beside EmoBox' table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonemo import console
from phonemo.cli_shared import Quiet, typed
from phonemo.opening import needs_torch


def emobox(
    corpus: Annotated[str, typer.Argument(help="emodb, ravdess or iemocap.")],
    manifest: Annotated[Path, typer.Option(help="A manifest of the whole corpus.")],
    folds: Annotated[Path, typer.Option(help="The corpus' folder of EmoBox' data: fold_1, ...")],
    backbone: Annotated[
        str, typer.Option(help="A backbone or a model folder; it stays as it is.")
    ] = "models/phonemo-small-backbone",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: work/runs/emobox-CORPUS.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run EmoBox' folds and print our row beside its Table 4."""
    needs_torch("EmoBox' folds")
    from phonemo.train.emobox import compare, emobox_config

    home = output or Path("work") / "runs" / f"emobox-{corpus}"
    config = emobox_config(corpus, manifest, folds, backbone, home)
    with console.run_progress(quiet) as progress:
        found = compare(config, typed(), progress)
    for line in found.lines:
        typer.echo(line)
    typer.echo(f"  run folder: {home}")
