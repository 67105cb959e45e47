"""The commands that need several trainings: ablations, crossings, studies of left-out corpora."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phonemo.cli import console
from phonemo.cli.options import (
    Address,
    Apart,
    Engine,
    EngineName,
    Names,
    Override,
    Quiet,
    Seeds,
    check_address,
    check_writable,
    command_line,
    pairs_of,
    parse_overrides,
    unique,
)
from phonemo.cli.predict import names_of
from phonemo.errors import UsageError
from phonemo.loader import needs_torch


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
    from phonemo.evaluation.studies import ablation_lines
    from phonemo.train.experiments.ablation_config import expand, load_ablation_config

    resolved = load_ablation_config(config, parse_overrides(overrides, output))
    expand(resolved)
    check_address(engine, address)
    needs_torch("training")
    from phonemo.runtime.workers import Cluster
    from phonemo.train.experiments.ablation import ABLATION
    from phonemo.train.experiments.ablation import ablate as run_ablation

    cluster = Cluster(address, workers) if engine is EngineName.ray else None
    with console.run_progress(quiet) as progress:
        found = run_ablation(
            resolved, command_line(), unique(fold), unique(seed), workers, progress, cluster
        )
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
    from phonemo.evaluation.studies import cross_lines
    from phonemo.files import atomic_write_text

    if output is not None:
        check_writable(output)
    names, merged = names_of(labels), pairs_of(merge)
    needs_torch("testing across corpora")
    from phonemo.train.experiments.cross_corpus import cross as run_cross

    with console.run_progress(quiet) as progress:
        found = run_cross(runs, manifest or (), names, merged, progress)
    for line in cross_lines(found):
        typer.echo(line)
    if output is not None:
        data = {"name": output.absolute().parent.name, "command": command_line(), **found}
        atomic_write_text(output, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def calibrate(
    folder: Annotated[Path, typer.Argument(help="A model folder, or a bundle.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    manifest: Annotated[
        list[Path] | None,
        typer.Option(
            help="Fit on this manifest, with speakers that it was not trained on; repeatable."
        ),
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
    from phonemo.files import read_rows
    from phonemo.train.calibrate import calibrate_rows, check_new, recalibrate
    from phonemo.train.experiments.assess import held_out_rows
    from phonemo.train.provenance import Provenance

    check_new(folder, output)
    for path in predictions or ():
        if not path.is_file():
            raise UsageError(f"{path}: no such file; phonemo evaluate --output writes one")
    rows = [row for path in predictions or () for row in read_rows(path)]
    past = Provenance()
    for path in manifest or ():
        with console.progress_callback("recognizing", quiet) as progress:
            heard, whose = held_out_rows(folder, path, progress)
        rows, past = [*rows, *heard], past | whose
    found = calibrate_rows(rows, risk)
    recalibrate(folder, output, found, past if manifest else None)
    typer.echo(f"{output}: temperature {found.temperature:.3f} from {found.utterances} answers")
    for line in console.calibration_lines(rows, found):
        typer.echo(line)


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
    from phonemo.evaluation.transfer_report import transfer_lines
    from phonemo.files import atomic_write_text
    from phonemo.train.transfer.study_config import load_transfer_config

    resolved = load_transfer_config(config, parse_overrides(overrides, output))
    if results is not None:
        check_writable(results)
    needs_torch("testing on corpora left out")
    from phonemo.train.transfer.study_run import TRANSFER, StudyPart
    from phonemo.train.transfer.study_run import transfer as run_transfer

    part = StudyPart(unique(system), unique(left_out), unique(seed))
    with console.run_progress(quiet) as progress:
        found = run_transfer(resolved, command_line(), part, progress)
    for line in transfer_lines(found):
        typer.echo(line)
    typer.echo(f"written: {Path(resolved.output) / TRANSFER}")
    if results is not None:
        atomic_write_text(results, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
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
    from phonemo.errors import UsageError
    from phonemo.train.transfer.study_config import load_transfer_config

    resolved = load_transfer_config(config, parse_overrides(overrides, None))
    if system is None and len(resolved.systems) > 1:
        raise UsageError(f"expected --system, one of {', '.join(resolved.systems)}, got none")
    needs_torch("fitting a head")
    from phonemo.train.transfer.ship import fit_all, ship

    with console.run_progress(quiet) as progress:
        final = fit_all(
            resolved,
            system or next(iter(resolved.systems)),
            command=command_line(),
            progress=progress,
        )
    picked, sure = final.picked.choice.to_json(), final.picked.single
    typer.echo(f"picked: {json.dumps(picked)}")
    typer.echo(
        f"temperature {sure.temperature:.3f}, unsure below {sure.abstain_below:.3f}, fitted on "
        f"{sure.utterances} answers for corpora left out"
    )
    typer.echo(f"written: {ship(final, network, output)}")
