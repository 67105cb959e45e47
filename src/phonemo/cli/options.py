"""Options and checks that several commands share."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from phonemo.errors import UsageError

Value = TypeVar("Value", int, str)
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key, as train.epochs=5; repeatable."
    ),
]
Apart = Annotated[str | None, typer.Option(help="Tell these apart only: anger,neutral,sadness")]
ProtocolName = Annotated[str, typer.Option(help="As for inspect.")]
Folds = Annotated[int | None, typer.Option(help="Group the units into so many folds.")]
FoldFolder = Annotated[str | None, typer.Option(help="Folder of published fold files.")]

if TYPE_CHECKING:
    from phonemo.config import ProtocolConfig


class EngineName(StrEnum):
    """Where work is done side by side."""

    local = "local"
    ray = "ray"


Engine = Annotated[
    EngineName,
    typer.Option("--engine", help="local: processes on this machine; ray: Ray, a cluster too."),
]
Address = Annotated[
    str | None,
    typer.Option(help="Of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; default: none."),
]
Model = Annotated[
    Path | None,
    typer.Option(
        help="A bundle (phonemo export), a model folder (phonemo train, needs torch), or "
        "phonemo-small or phonemo-open, which ship with phonemo. Default: phonemo-small."
    ),
]
Activity = Annotated[
    str,
    typer.Option(help="Voice activity: energy, or silero (pip install 'phonemo[vad]')."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Recordings at once; default: one a processor."),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--fold", metavar="NAME", help="Do this fold only; repeatable."),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", metavar="N", help="Do this seed only; repeatable."),
]


def check_writable(path: Path) -> None:
    """Say at once what would else come out after minutes of work."""
    if path.is_dir():
        raise UsageError(f"{path}: a folder; name the file to write")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UsageError(
            f"{path}: cannot be written, because {there} is not a folder you may write to; "
            "name another --output"
        )


def check_address(engine: EngineName, address: str | None) -> None:
    """An address is of no use without Ray."""
    if address is not None and engine is not EngineName.ray:
        raise UsageError("--address is of a Ray cluster; give --engine ray with it")


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["phonemo", *sys.argv[1:]])


def parse_overrides(overrides: list[str] | None, output: Path | None) -> list[str]:
    """--output is one more override of the config."""
    named = [f"output={json.dumps(str(output))}"] if output else []
    return [*(overrides or ()), *named]


def unique(values: Iterable[Value] | None) -> list[Value]:
    """A repeatable option's values, each once, in their order."""
    return list(dict.fromkeys(values or ()))


def pairs_of(values: Iterable[str] | None) -> dict[str, str]:
    """A repeatable OLD=NEW option; UsageError for another form."""
    pairs = {}
    for value in values or ():
        old, _, new = (part.strip() for part in value.partition("="))
        if not old or not new:
            raise UsageError(f"--merge {value!r}: OLD=NEW is wanted, as calm=neutral")
        pairs[old] = new
    return pairs


def protocol_of(**settings: object) -> ProtocolConfig:
    """The protocol that options name; UsageError where they do not fit each other."""
    from pydantic import ValidationError

    from phonemo.config import ProtocolConfig

    try:
        protocol = ProtocolConfig.model_validate(settings)
    except ValidationError as error:
        fault = error.errors()[0]
        key = str(fault["loc"][0])
        option = "protocol" if key == "name" else key.replace("_", "-")
        raise UsageError(f"--{option} {fault['input']!r}: {fault['msg']}") from error
    if protocol.name.startswith("published") != (protocol.folder is not None):
        raise UsageError(
            f"--protocol {protocol.name} and --folder {protocol.folder}: a folder of fold files is "
            "for published and published-leaky, which need it"
        )
    return protocol
