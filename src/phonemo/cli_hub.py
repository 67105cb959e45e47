"""The commands about models on a hub: push and card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonemo.cli_shared import check_writable

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
    from phonemo.hub.pushing import push as push_folder
    from phonemo.opening import open_model

    open_model(model)
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
    from phonemo.hub.card import model_card

    text = model_card(model, repository, metrics)
    if output is None:
        typer.echo(text, nl=False)
        return
    check_writable(output)
    output.write_text(text, encoding="utf-8")
