"""The commands for people who use a trained model: predict, export and shrink."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonemo.cli_answers import Format, targets_of, writer_of
from phonemo.errors import PhonemoError, UsageError
from phonemo.labels import LabelSet
from phonemo.opening import needs_torch, open_model
from phonemo.prediction import Prediction
from phonemo.recordings import recordings

if TYPE_CHECKING:
    from phonemo.runtime.bundle import Bundle, Drift


class Precision(StrEnum):
    """Weights of an exported network."""

    int8 = "int8"
    fp32 = "fp32"


def predict(
    # Not Path: the answer names each file as it was typed, and Path would tidy ./a and http://b.
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="wav, flac, mp3, ogg or aiff; a folder stands for all in it."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="A bundle (phonemo export) or a model folder (phonemo train, needs torch). "
            "Default: the model that ships with phonemo."
        ),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            metavar="FORMAT",
            help="jsonl, table, csv, textgrid (for Praat) or audacity (a label track). Default: "
            "table on a terminal, jsonl elsewhere.",
        ),
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for the files of textgrid and audacity.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in that folder.")
    ] = False,
    phonemes: Annotated[
        bool, typer.Option("--phonemes", help="In jsonl: the times of the phonemes, too.")
    ] = False,
    labels: Annotated[
        str | None,
        typer.Option(help="Choose among these emotions only: anger,happiness,neutral,sadness"),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Do not count failed files on standard error.")
    ] = False,
) -> None:
    """Say which emotion each file carries: one line a file.

    Exit status 0: all files answered; 1: some failed, each with an error in its line; 2: wrong
    usage.
    """
    names = names_of(labels)
    wanted = format or (Format.table if sys.stdout.isatty() else Format.jsonl)
    named = recordings(files)
    targets = targets_of(named, wanted, output_dir, overwrite)
    opened = open_model(model)
    known = LabelSet(tuple(opened.labels))
    if names:
        known = known.restrict(names)  # a wrong one is told before any file
    write = writer_of(wanted, known.names, phonemes, targets)
    failed = 0
    for name, _ in named:
        found = _answer(opened, name, names)
        failed += isinstance(found, PhonemoError)
        write(name, found)
    if failed:
        if not quiet:
            typer.echo(f"phonemo: {failed} of {len(named)} failed; their lines say why", err=True)
        raise typer.Exit(1)


def export(
    model: Annotated[Path, typer.Argument(help="A model folder that phonemo train wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle folder to write.")],
    precision: Annotated[
        Precision, typer.Option(help="int8 is a third of the size and nearly as exact.")
    ] = Precision.int8,
    name: Annotated[
        str | None, typer.Option(help="The bundle's name; default: that of its folder.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "not stated",
    manifest: Annotated[
        Path | None,
        typer.Option(help="Recordings to compare int8 with fp32 on; default: noise."),
    ] = None,
) -> None:
    """Write a model as a bundle, which needs no torch.

    It is checked against torch, and refused if it differs.
    """
    needs_torch("exporting")
    from phonemo.train.export import export as export_model

    bundle = export_model(
        model, output, precision.value, name=name, licence=licence, manifest=manifest
    )
    for line in _exported_lines(bundle):
        typer.echo(line)


def shrink(
    model: Annotated[Path, typer.Argument(help="A model folder that phonemo train wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
) -> None:
    """Write a model folder with weights in half precision.

    It takes half the room and is opened like any other.
    """
    needs_torch("shrinking")
    from phonemo.train.folder import shrink as shrink_model

    shrink_model(model, output)
    size = sum(path.stat().st_size for path in output.iterdir())
    typer.echo(f"{output}: {size / 1e6:.1f} MB")


def names_of(labels: str | None) -> list[str]:
    """The emotions of an option --labels; none where it was not given."""
    names = [name.strip() for name in labels.split(",")] if labels is not None else []
    if not all(names):
        raise UsageError(f"--labels {labels!r}: emotions with commas between, as anger,neutral")
    return names


def _answer(opened: Any, name: str, names: list[str]) -> Prediction | PhonemoError:
    try:
        found: Prediction = opened.predict(name)
        return found.among(names) if names else found
    except PhonemoError as error:
        return error


def _exported_lines(bundle: Bundle) -> Iterator[str]:
    card = bundle.card
    yield f"{bundle.folder}: {card.name}, {card.precision}, {len(bundle.model) / 1e6:.1f} MB"
    yield f"  fp32 against torch: logits differ by at most {card.parity.difference:.1e}"
    if card.drift is not None:
        yield _drift_line(card.drift)


def _drift_line(drift: Drift) -> str:
    line = (
        f"  int8 against fp32 on {drift.clips} clips ({drift.audio}): scores differ by at most "
        f"{drift.largest:.3f}, {drift.mean:.4f} in the mean; {drift.changed:.1%} of labels change"
    )
    if drift.ua_fp32 is None or drift.ua_int8 is None:
        return line
    return f"{line}; UA {drift.ua_fp32:.1%} becomes {drift.ua_int8:.1%}"
