"""The commands that make a trained model ready to be used elsewhere: export and shrink.

The commands about models on a hub: push and card.
"""

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


def _drift_line(drift: Drift) -> str:
    line = (
        f"  int8 against fp32 on {drift.clips} clips ({drift.audio}): scores differ by at most "
        f"{drift.largest:.3f}, {drift.mean:.4f} in the mean; {drift.changed:.1%} of labels change"
    )
    if drift.ua_fp32 is None or drift.ua_int8 is None:
        return line
    return f"{line}; UA {drift.ua_fp32:.1%} becomes {drift.ua_int8:.1%}"


Folder = Annotated[Path, typer.Argument(help="A bundle or a model folder.")]
Scores = Annotated[
    Path | None,
    typer.Option(help="metrics.json of the run whose recipe made it: its scores, for the card."),
]


def push(
    model: Folder,
    repository: Annotated[str, typer.Argument(help="org/name; made where it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="For its owner alone.")] = False,
    revision: Annotated[
        str | None, typer.Option(help="A branch that is there; default: the main one.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Of the commit.")] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Propose the change instead of making it.")
    ] = False,
    metrics: Scores = None,
) -> None:
    """Put a model onto the Hugging Face hub, with its card.

    Log in first: hf auth login. The names of the speakers that it learnt from go with it.
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
        Path | None, typer.Option("--output", "-o", help="Write it there, as README.md.")
    ] = None,
    repository: Annotated[str, typer.Option(help="The org/name that it will have.")] = "org/name",
    metrics: Scores = None,
) -> None:
    """Write a model's card from what its files say."""
    from phonemo.integrations.model_card import model_card

    text = model_card(model, repository, metrics)
    if output is None:
        typer.echo(text, nl=False)
        return
    check_writable(output)
    output.write_text(text, encoding="utf-8")
