"""The model commands: export, shrink, push and card."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli.options import check_writable
from phonemo.loader import needs_torch

if TYPE_CHECKING:
    from phonemo.runtime.bundle import Bundle, Drift


class Precision(StrEnum):
    """Weight precision of an exported network."""

    int8 = "int8"
    fp32 = "fp32"


def export(
    model: Annotated[Path, typer.Argument(help="A model folder that phonemo train wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle folder to write.")],
    precision: Annotated[
        Precision, typer.Option(help="int8 is a third of the size and nearly as accurate.")
    ] = Precision.int8,
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle. Default: its folder's name.")
    ] = None,
    licence: Annotated[str, typer.Option(help="License of the weights.")] = "not stated",
    manifest: Annotated[
        Path | None,
        typer.Option(help="Recordings for comparing int8 with fp32. Default: noise."),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Reuse the network, and its precision, of the bundle NAME next to the output.",
        ),
    ] = None,
    lineage: Annotated[
        bool,
        typer.Option(
            "--lineage",
            help="Include provenance.json, with speaker names; implied by --share.",
        ),
    ] = False,
    decoder: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG",
            help="Add a phoneme language model; see configs/phoneme-decoder.yaml.",
        ),
    ] = None,
) -> None:
    """Export a model to an ONNX bundle, which needs no torch.

    The bundle is compared with torch and rejected if its scores differ.
    """
    needs_torch("exporting")
    from phonemo.train.export.export import export as export_model

    bundle = export_model(
        model,
        output,
        precision.value,
        name=name,
        licence=licence,
        manifest=manifest,
        share=share,
        lineage=lineage,
        decoder=decoder,
    )
    for line in _exported_lines(bundle):
        typer.echo(line)


def shrink(
    model: Annotated[Path, typer.Argument(help="A model folder that phonemo train wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
) -> None:
    """Write a model folder with half-precision weights.

    The result takes half the disk space and opens like any other model folder.
    """
    needs_torch("shrinking")
    from phonemo.train.model_folder import convert_to_half as shrink_model

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
    if bundle.decoder is not None:
        yield f"  phoneme language model: {len(bundle.decoder) / 1e3:.0f} kB"


def _drift_line(drift: Drift) -> str:
    line = (
        f"  int8 against fp32 on {drift.clips} clips ({drift.audio}): scores differ by at most "
        f"{drift.largest:.3f}, {drift.mean:.4f} on average; {drift.changed:.1%} of labels change"
    )
    if drift.ua_fp32 is None or drift.ua_int8 is None:
        return line
    return f"{line}; UA {drift.ua_fp32:.1%} becomes {drift.ua_int8:.1%}"


Folder = Annotated[Path, typer.Argument(help="A bundle or a model folder.")]
Scores = Annotated[
    Path | None,
    typer.Option(
        help="metrics.json of a run with the model's recipe; its scores go onto the card."
    ),
]


def push(
    model: Folder,
    repository: Annotated[str, typer.Argument(help="org/name; created if it does not exist.")],
    private: Annotated[
        bool, typer.Option("--private", help="Create the repository as private.")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="An existing branch. Default: main.")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Commit message.")] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request instead of committing.")
    ] = False,
    metrics: Scores = None,
) -> None:
    """Upload a model and its card to the Hugging Face hub.

    Log in first: hf auth login. The names of the training speakers are uploaded too.
    """
    from phonemo.integrations.hub_push import push as push_folder
    from phonemo.loader import load_model

    load_model(model)
    address = push_folder(
        model,
        repository,
        private=private,
        revision=revision,
        message=message,
        create_pr=create_pr,
        metrics=metrics,
    )
    typer.echo(address)


def card(
    model: Folder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, such as README.md.")
    ] = None,
    repository: Annotated[str, typer.Option(help="The org/name on the hub.")] = "org/name",
    metrics: Scores = None,
) -> None:
    """Write a model's card from the metadata in its files."""
    from phonemo.integrations.model_card import model_card

    text = model_card(model, repository, metrics)
    if output is None:
        typer.echo(text, nl=False)
        return
    check_writable(output)
    output.write_text(text, encoding="utf-8")
