"""The commands that make a trained model ready to be used elsewhere: export and shrink."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.opening import needs_torch

if TYPE_CHECKING:
    from phonemo.runtime.bundle import Bundle, Drift


class Precision(StrEnum):
    """Weights of an exported network."""

    int8 = "int8"
    fp32 = "fp32"


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
    share: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Share the network of the bundle NAME beside the output, with its precision.",
        ),
    ] = None,
    lineage: Annotated[
        bool,
        typer.Option(
            "--lineage", help="Put provenance.json into it, with names of speakers; --share does."
        ),
    ] = False,
) -> None:
    """Write a model as a bundle, which needs no torch.

    It is checked against torch, and refused if it differs.
    """
    needs_torch("exporting")
    from phonemo.train.export import export as export_model

    bundle = export_model(
        model,
        output,
        precision.value,
        name=name,
        licence=licence,
        manifest=manifest,
        share=share,
        lineage=lineage,
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


def _exported_lines(bundle: Bundle) -> Iterator[str]:
    card = bundle.card
    shared = "" if card.network is None else f", the network of {card.network}"
    size = f"{len(bundle.model) / 1e6:.1f} MB{shared}"
    yield f"{bundle.folder}: {card.name}, {card.precision}, {size}"
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
