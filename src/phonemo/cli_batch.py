"""The command for very many recordings: batch."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from phonemo import console_batch
from phonemo.cli_adapt import ProfileFile
from phonemo.cli_predict import InTime, Labels, Phonemes, Threshold, TopK, names_of
from phonemo.cli_shared import (
    Activity,
    Address,
    Engine,
    EngineName,
    Model,
    Quiet,
    check_address,
    typed,
)
from phonemo.errors import UsageError


class PartFormat(StrEnum):
    """Of the files with the answers."""

    jsonl = "jsonl"
    parquet = "parquet"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="A folder, a pattern ('calls/**/*.wav'), a manifest (.jsonl, .csv, .parquet with a "
        "column file), a list (.txt, or - for standard input) or a recording; an address such as "
        "s3://bucket/folder too.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", help="The batch's folder, or an address; run again to go on."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=1, help="Recordings at once; default: one a processor."),
]
Kind = Annotated[
    PartFormat,
    typer.Option("--format", help="Of the answers; parquet needs pip install 'phonemo[parquet]'."),
]
PartFiles = Annotated[
    int,
    typer.Option(
        min=1, help="Recordings in a part: what a killed worker loses at most. Hours long: few."
    ),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="First make a profile of a sample of the recordings, then apply it to all; it stays "
        "in OUTPUT. They should be of one source.",
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--adapt-sample", min=1, help="Recordings of that sample. Default: 300; more gain little."
    ),
]
Retry = Annotated[bool, typer.Option("--retry", help="Hear parts with errors again.")]


def batch(
    inputs: Inputs,
    output: Output,
    engine: Engine = EngineName.local,
    workers: Workers = None,
    address: Address = None,
    format: Kind = PartFormat.jsonl,
    part_files: PartFiles = 100,
    retry: Retry = False,
    model: Model = None,
    phonemes: Phonemes = False,
    timeline: InTime = False,
    labels: Labels = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    vad: Activity = "energy",
    profile: ProfileFile = None,
    adapt: Adapt = False,
    adapt_sample: Sample = None,
    quiet: Quiet = False,
) -> None:
    """Hear very many recordings; killed, it goes on.

    On this machine or on many. Run the same command again to go on where it stopped. Every
    recording has one row in OUTPUT/parts: its answer, or its error. Exit status 0: all answered;
    1: some failed, each with an error in its row; 2: wrong usage.
    """
    check_address(engine, address)
    if adapt_sample is not None and not adapt:
        raise UsageError("--adapt-sample is of --adapt; give --adapt with it")
    from phonemo.batch import asked as asking
    from phonemo.batch.run import Batch, run_batch
    from phonemo.batch.sampling import SAMPLE
    from phonemo.opening import fingerprint, located
    from phonemo.runtime.profile import Profile

    model = located(model)

    asked = asking.Asked(
        model=None if model is None else os.path.abspath(model),
        model_sha256=fingerprint(model),
        labels=tuple(names_of(labels)),
        top_k=top_k,
        phonemes=phonemes,
        timeline=timeline,
        activity=vad,
        threshold=threshold,
        format=format.value,
        adapt=(adapt_sample or SAMPLE) if adapt else None,
    )
    wanted = Batch(
        output,
        asked,
        asking.Engine(engine.value, workers or _processors(engine), address),
        part_files,
        retry,
        None if profile is None else Profile.load(profile),
    )
    with console_batch.progress(quiet) as progress:
        found = run_batch(inputs, wanted, typed(), progress)
    for line in console_batch.lines(found, output):
        typer.echo(line)
    if found["files"]["failed"]:
        raise typer.Exit(1)


def _processors(engine: EngineName) -> int | None:
    """Ray knows those of its cluster."""
    from phonemo.processes import available_cpus

    return available_cpus() if engine is EngineName.local else None
