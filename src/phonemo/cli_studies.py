"""The commands that put several trainings together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phonemo import console
from phonemo.cli_predict import names_of
from phonemo.cli_shared import (
    Address,
    Apart,
    Engine,
    EngineName,
    Names,
    Override,
    Quiet,
    Seeds,
    changes,
    check_address,
    check_writable,
    once,
    pairs_of,
    typed,
)
from phonemo.errors import UsageError
from phonemo.opening import needs_torch


def ablate(
    config: Annotated[Path, typer.Argument(help="A YAML config, as configs/ablations/paper.yaml.")],
    overrides: Override = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder of the arms' runs.")
    ] = None,
    fold: Names = None,
    seed: Seeds = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings side by side; default: as the cores allow."),
    ] = None,
    engine: Engine = EngineName.local,
    address: Address = None,
    quiet: Quiet = False,
) -> None:
    """Train arms of an experiment and compare them, resumable.

    Run it again to go on where it stopped; finished cells are left as they are.
    """
    from phonemo.ablated import ablation_lines
    from phonemo.config import expand, load_ablation_config

    resolved = load_ablation_config(config, changes(overrides, output))
    expand(resolved)
    check_address(engine, address)
    needs_torch("training")
    from phonemo.train.ablation import ABLATION
    from phonemo.train.ablation import ablate as run_ablation
    from phonemo.train.on_ray import Cluster

    cluster = Cluster(address, workers) if engine is EngineName.ray else None
    with console.run_progress(quiet) as progress:
        found = run_ablation(resolved, typed(), once(fold), once(seed), workers, progress, cluster)
    for line in ablation_lines(found):
        typer.echo(line)
    typer.echo(f"written: {Path(resolved.output) / ABLATION}")


def cross(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, each of another corpus.")],
    manifest: Annotated[
        list[Path] | None, typer.Option(help="Test on this corpus too; repeatable.")
    ] = None,
    labels: Apart = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Count an emotion as another; repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the matrix as JSON, too.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Test every run on the corpora of the others.

    A matrix of UA: on its own corpus a run's own folds, on another all of its models.
    """
    from phonemo.crossed import cross_lines
    from phonemo.whole import write_whole

    if output is not None:
        check_writable(output)
    names, merged = names_of(labels), pairs_of(merge)
    needs_torch("testing across corpora")
    from phonemo.train.cross import cross as run_cross

    with console.run_progress(quiet) as progress:
        found = run_cross(runs, manifest or (), names, merged, progress)
    for line in cross_lines(found):
        typer.echo(line)
    if output is not None:
        data = {"name": output.absolute().parent.name, "command": typed(), **found}
        write_whole(output, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def calibrate(
    folder: Annotated[Path, typer.Argument(help="A model folder, or a bundle.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    manifest: Annotated[
        list[Path] | None,
        typer.Option(help="Fit on this manifest, whose speakers it has not heard; repeatable."),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="Fit on answers that phonemo evaluate --output wrote; repeatable."),
    ] = None,
    risk: Annotated[
        float, typer.Option(min=0, max=1, help="Share of wrong answers that may be given.")
    ] = 0.1,
    quiet: Quiet = False,
) -> None:
    """Make a model's scores mean what they say.

    Fits a temperature and the score below which an answer carries the warning "unsure".
    """
    from phonemo.runtime.bundle import is_bundle

    if not manifest and not predictions:
        raise UsageError("nothing to calibrate on; give --manifest or --predictions")
    if manifest and is_bundle(folder):
        raise UsageError(f"{folder}: a bundle; --manifest needs the model folder it was made of")
    needs_torch("calibrating")
    from phonemo.plain_json import read_rows
    from phonemo.train.assess import held_out_rows
    from phonemo.train.calibrating import check_new, on_rows, recalibrate
    from phonemo.train.lineage import Lineage

    check_new(folder, output)
    for path in predictions or ():
        if not path.is_file():
            raise UsageError(f"{path}: no such file; phonemo evaluate --output writes one")
    rows = [row for path in predictions or () for row in read_rows(path)]
    past = Lineage()
    for path in manifest or ():
        with console.counter("hearing", quiet) as progress:
            heard, whose = held_out_rows(folder, path, progress)
        rows, past = [*rows, *heard], past | whose
    found = on_rows(rows, risk)
    recalibrate(folder, output, found, past if manifest else None)
    typer.echo(f"{output}: temperature {found.temperature:.3f} from {found.utterances} answers")
    for line in console.sureness_lines(rows, found):
        typer.echo(line)
