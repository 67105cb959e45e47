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
    """Test systems on corpora left out in turn, resumable.

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


def fit_head(
    config: Annotated[Path, typer.Argument(help="A YAML config, as configs/small.yaml.")],
    network: Annotated[
        Path,
        typer.Option(help="A model folder that the head is put into; its other weights stay."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the config; default: its only one.")
    ] = None,
    overrides: Override = None,
    quiet: Quiet = False,
) -> None:
    """Fit the head that ships, and put it into a network.

    It learns from all corpora of a study that teach. What the study picks from, temperature and
    threshold come from corpora left out in turn. No score is the model's own: phonemo transfer
    measures the recipe.
    """
    from phonemo.config import load_transfer_config
    from phonemo.errors import UsageError

    resolved = load_transfer_config(config, changes(overrides, None))
    if system is None and len(resolved.systems) > 1:
        raise UsageError(f"expected --system, one of {', '.join(resolved.systems)}, got none")
    needs_torch("fitting a head")
    from phonemo.train.transfer.final import fit_all
    from phonemo.train.transfer.shipping import ship

    with console.run_progress(quiet) as progress:
        final = fit_all(
            resolved, system or next(iter(resolved.systems)), command=typed(), progress=progress
        )
    picked, sure = final.picked.choice.to_json(), final.picked.single
    typer.echo(f"picked: {json.dumps(picked)}")
    typer.echo(
        f"temperature {sure.temperature:.3f}, unsure below {sure.abstain_below:.3f}, fitted on "
        f"{sure.utterances} answers for corpora left out"
    )
    typer.echo(f"written: {ship(final, network, output)}")
