"""Commands for studies: ablate, cross, calibrate, transfer, dimensions, phonemes, fit-head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phonemo.cli import console, progress_bars
from phonemo.cli.options import (
    Address,
    Apart,
    Arms,
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
from phonemo.loader import needs_torch, resolve_model


def ablate(
    config: Annotated[
        Path, typer.Argument(help="A YAML config, e.g. configs/ablations/paper.yaml.")
    ],
    overrides: Override = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the arms' runs.")
    ] = None,
    arm: Arms = None,
    fold: Names = None,
    seed: Seeds = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings run in parallel. Default: by number of CPUs."),
    ] = None,
    engine: Engine = EngineName.local,
    address: Address = None,
    quiet: Quiet = False,
) -> None:
    """Train and compare the arms of an ablation study.

    Run the command again to resume; finished folds are kept.
    """
    from phonemo.evaluation.studies.study_tables import ablation_lines
    from phonemo.train.experiments.ablation_config import expand, load_ablation_config, with_arms

    resolved = load_ablation_config(config, parse_overrides(overrides, output))
    expand(with_arms(resolved, unique(arm)))
    check_address(engine, address)
    needs_torch("training")
    from phonemo.runtime.workers import Cluster
    from phonemo.train.experiments.ablation import ABLATION
    from phonemo.train.experiments.ablation import ablate as run_ablation

    cluster = Cluster(address, workers) if engine is EngineName.ray else None
    with progress_bars.run_progress(quiet) as progress:
        results = run_ablation(
            *(resolved, command_line(), unique(fold), unique(seed), workers, progress, cluster),
            names=unique(arm),
        )
    for line in ablation_lines(results):
        typer.echo(line)
    typer.echo(f"written: {Path(resolved.output) / ABLATION}")


def cross(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, one per corpus.")],
    manifest: Annotated[
        list[Path] | None, typer.Option(help="Also test on this corpus; repeatable.")
    ] = None,
    labels: Apart = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Map an emotion to another; repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the matrix as JSON.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Test every run on the other runs' corpora.

    Prints a matrix of UA: a run is scored on its own corpus by its folds, and on other corpora by
    all of its models.
    """
    from phonemo.evaluation.studies.study_tables import cross_lines
    from phonemo.files import atomic_write_text

    if output is not None:
        check_writable(output)
    names, merged = names_of(labels), pairs_of(merge)
    needs_torch("testing across corpora")
    from phonemo.train.experiments.cross_corpus import cross as run_cross

    with progress_bars.run_progress(quiet) as progress:
        matrix = run_cross(runs, manifest or (), names, merged, progress)
    for line in cross_lines(matrix):
        typer.echo(line)
    if output is not None:
        data = {"name": output.absolute().parent.name, "command": command_line(), **matrix}
        atomic_write_text(output, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def calibrate(
    folder: Annotated[Path, typer.Argument(help="A model folder, or a bundle.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    manifest: Annotated[
        list[Path] | None,
        typer.Option(
            help="Fit on this manifest, whose speakers the model was not trained on; repeatable."
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="Fit on predictions written by phonemo evaluate --output; repeatable."),
    ] = None,
    risk: Annotated[
        float, typer.Option(min=0, max=1, help="Largest accepted share of wrong predictions.")
    ] = 0.1,
    quiet: Quiet = False,
) -> None:
    """Calibrate a model's scores.

    Fits a temperature, and the score below which a prediction gets the warning "unsure".
    """
    from phonemo.runtime.bundle import is_bundle

    if not manifest and not predictions:
        raise UsageError("no calibration data; add --manifest or --predictions")
    if manifest and is_bundle(folder):
        raise UsageError(
            f"{folder}: --manifest: expected a model folder, got a bundle; pass the folder "
            "it was exported from"
        )
    needs_torch("calibrating")
    from phonemo.evaluation.prediction_rows import read_predictions
    from phonemo.train.calibrate import calibrate_rows, check_new, recalibrate
    from phonemo.train.experiments.assess import held_out_rows
    from phonemo.train.provenance import Provenance

    check_new(folder, output)
    for path in predictions or ():
        if not path.is_file():
            raise UsageError(f"{path}: no such file; create it with phonemo evaluate --output")
    rows = [row for path in predictions or () for row in read_predictions(path)]
    provenance = Provenance()
    for path in manifest or ():
        with progress_bars.progress_callback("recognizing", quiet) as progress:
            new_rows, source = held_out_rows(folder, path, progress)
        rows, provenance = [*rows, *new_rows], provenance | source
    scaling = calibrate_rows(rows, risk)
    recalibrate(folder, output, scaling, provenance if manifest else None)
    typer.echo(
        f"{output}: temperature {scaling.temperature:.3f} from {scaling.utterances} predictions"
    )
    for line in console.calibration_lines(rows, scaling):
        typer.echo(line)


def transfer(
    config: Annotated[Path, typer.Argument(help="A YAML config, e.g. configs/transfer.yaml.")],
    overrides: Override = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the study.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Also write the results here, e.g. results/transfer/transfer.json."),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="NAME", help="Test only this system; repeatable."),
    ] = None,
    left_out: Annotated[
        list[str] | None,
        typer.Option("--left-out", metavar="CORPUS", help="Test only on this corpus; repeatable."),
    ] = None,
    seed: Seeds = None,
    quiet: Quiet = False,
) -> None:
    """Evaluate systems with leave-one-corpus-out tests.

    Systems are trained and selected on all corpora but one and tested on that one: one recording
    at a time, and adapted with its unlabeled recordings. Run the command again to resume;
    finished folds are kept.
    """
    from phonemo.evaluation.transfer.transfer_report import transfer_lines
    from phonemo.files import atomic_write_text
    from phonemo.train.transfer.study_config import load_transfer_config

    resolved = load_transfer_config(config, parse_overrides(overrides, output))
    if results is not None:
        check_writable(results)
    needs_torch("testing on corpora left out")
    from phonemo.train.transfer.study_run import TRANSFER, StudyPart
    from phonemo.train.transfer.study_run import transfer as run_transfer

    part = StudyPart(unique(system), unique(left_out), unique(seed))
    with progress_bars.run_progress(quiet) as progress:
        study = run_transfer(resolved, command_line(), part, progress)
    for line in transfer_lines(study):
        typer.echo(line)
    typer.echo(f"written: {Path(resolved.output) / TRANSFER}")
    if results is not None:
        atomic_write_text(results, json.dumps(study, indent=1, ensure_ascii=False) + "\n")
        typer.echo(f"written: {results}")


def dimensions(
    config: Annotated[Path, typer.Argument(help="A YAML config, e.g. configs/dimensions.yaml.")],
    overrides: Override = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Also write the results, e.g. results/dimensions/dimensions.json."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Test derived arousal and valence with corpora left out.

    Published norms weighted by the emotions' scores are compared with a regression to these norms.
    The tests are pairs of recordings whose order is known, such as anger and sadness.
    """
    from phonemo.evaluation.dimension_report import dimension_lines
    from phonemo.files import atomic_write_text
    from phonemo.train.transfer.study_config import load_transfer_config

    resolved = load_transfer_config(config, parse_overrides(overrides, None))
    if results is not None:
        check_writable(results)
    needs_torch("testing on corpora left out")
    from phonemo.train.dimensions.dimension_study import derive_dimensions

    with progress_bars.run_progress(quiet) as progress:
        study = derive_dimensions(resolved, command_line(), progress)
    for line in dimension_lines(study):
        typer.echo(line)
    if results is not None:
        atomic_write_text(results, json.dumps(study, indent=1, ensure_ascii=False) + "\n")
        typer.echo(f"written: {results}")


def phonemes(
    manifests: Annotated[
        list[Path], typer.Argument(help="Manifests with phonemes, one per corpus.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results and cached features.")
    ],
    network: Annotated[
        str, typer.Option(help="A pretrained backbone; its frozen hidden states are measured.")
    ] = "models/phonemo-small-backbone",
    labels: Apart = None,
    utterances: Annotated[
        int,
        typer.Option(min=1, help="Draw whole sentences of a corpus up to so many utterances."),
    ] = 1440,
    segments: Annotated[
        int, typer.Option(min=20, help="Utterances that every phoneme is measured on.")
    ] = 150,
    draws: Annotated[int, typer.Option(min=1, help="Draws of them, which are averaged.")] = 5,
    keep: Annotated[int, typer.Option(min=1, help="Phonemes that a fold chooses.")] = 12,
    aligner: Annotated[
        str,
        typer.Option(
            metavar="BUNDLE",
            help="Aligns corpora of fewer than 20 sentences; none fits a layer on each corpus.",
        ),
    ] = "phonemo-open",
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 1,
    results: Annotated[
        Path | None,
        typer.Option(help="Also write the results here, e.g. results/emotional-phonemes."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Measure which phonemes carry the emotion, by corpus.

    It is also tested whether the corpora agree. Writes phonemes.json, phonemes.csv and
    phonemes.png. Features are cached: an interrupted run goes on where it stopped.
    """
    needs_torch("measuring phonemes")
    from phonemo.evaluation.phonemes.phoneme_chart import plot_phonemes
    from phonemo.evaluation.phonemes.phoneme_section import phoneme_lines
    from phonemo.train.experiments.phoneme_study.phoneme_bits import Material
    from phonemo.train.experiments.phoneme_study.phoneme_study import (
        StudyOptions,
        study_phonemes,
        write_study,
    )

    emotions = tuple(names_of(labels) or ())
    material = Material(segments, draws, seed)
    bundle = None if aligner == "none" else resolve_model(aligner)
    options = StudyOptions(network, emotions, utterances, keep, material, bundle)
    with progress_bars.task_progress(quiet) as progress:
        study = study_phonemes(manifests, output, command_line(), options, progress)
    plot_phonemes(study, output / "phonemes.png")
    for line in phoneme_lines(study):
        typer.echo(line)
    typer.echo(f"written: {output / 'phonemes.json'}")
    if results is not None:
        write_study(study, results)
        typer.echo(f"written: {results / 'phonemes.json'}")


def fit_head(
    config: Annotated[Path, typer.Argument(help="A YAML config, e.g. configs/small.yaml.")],
    network: Annotated[
        Path,
        typer.Option(help="Model folder that gets the head; its other weights are unchanged."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
    system: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="System of the config. Default: its only one."),
    ] = None,
    overrides: Override = None,
    quiet: Quiet = False,
) -> None:
    """Fit the head of the released model and put it into a network.

    The head is trained on all training corpora of a study. Hyperparameters, temperature and
    threshold come from leave-one-corpus-out tests. The model itself gets no score: phonemo
    transfer measures the recipe.
    """
    from phonemo.errors import UsageError
    from phonemo.train.transfer.study_config import load_transfer_config

    resolved = load_transfer_config(config, parse_overrides(overrides, None))
    if system is None and len(resolved.systems) > 1:
        raise UsageError(f"expected --system, one of {', '.join(resolved.systems)}, got none")
    needs_torch("fitting a head")
    from phonemo.train.transfer.final_head import fit_all, ship

    with progress_bars.run_progress(quiet) as progress:
        final = fit_all(
            resolved,
            system or next(iter(resolved.systems)),
            command=command_line(),
            progress=progress,
        )
    choice, single = final.picked.choice.to_json(), final.picked.single
    typer.echo(f"picked: {json.dumps(choice)}")
    typer.echo(
        f"temperature {single.temperature:.3f}, unsure below {single.abstain_below:.3f}, fitted on "
        f"{single.utterances} predictions on left-out corpora"
    )
    typer.echo(f"written: {ship(final, network, output)}")
