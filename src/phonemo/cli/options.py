"""Options and checks shared by several commands."""

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
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a config key, e.g. train.epochs=5; repeatable."
    ),
]
Apart = Annotated[str | None, typer.Option(help="Use only these emotions: anger,neutral,sadness")]
ProtocolName = Annotated[str, typer.Option(help="Split protocol; see phonemo inspect.")]
Folds = Annotated[int | None, typer.Option(help="Number of folds to group the units into.")]
FoldFolder = Annotated[str | None, typer.Option(help="Folder of published fold files.")]

if TYPE_CHECKING:
    from phonemo.audio import Channels
    from phonemo.config import ProtocolConfig


class EngineName(StrEnum):
    """Where parallel work runs."""

    local = "local"
    ray = "ray"


Engine = Annotated[
    EngineName,
    typer.Option("--engine", help="local: processes on this machine; ray: a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster: auto, HOST:PORT or ray://HOST:PORT. Default: a local Ray."),
]
Model = Annotated[
    Path | None,
    typer.Option(
        help="A bundle (phonemo export), a model folder (phonemo train, needs torch), or "
        "phonemo-small or phonemo-open (included). Default: phonemo-small."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="cpu|cuda|cuda:N|auto",
        help="Where the network runs; auto: the CUDA card if the network opens there. A card "
        "needs onnxruntime-gpu in place of onnxruntime.",
    ),
]
Activity = Annotated[
    str,
    typer.Option(help="Voice activity: energy, or silero (pip install 'phonemo[vad]')."),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, help="Recordings processed in parallel. Default: one per CPU."
    ),
]
ChannelChoice = Annotated[
    str,
    typer.Option(
        "--channels",
        metavar="mix|split|N",
        help="mix: the mean of all channels; split: each channel on its own, as for the two sides "
        "of a call; or the number of one channel (1 is left, 2 is right).",
    ),
]
Arms = Annotated[
    list[str] | None,
    typer.Option("--arm", metavar="NAME", help="Run and compare only this arm; repeatable."),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--fold", metavar="NAME", help="Run only this fold; repeatable."),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", metavar="N", help="Run only this seed; repeatable."),
]


def channels_of(text: str) -> Channels:
    """Parse --channels; UsageError for anything but mix, split or a number from 1 on."""
    from phonemo.audio import parse_channels

    return parse_channels(text)


def check_writable(path: Path) -> None:
    """Check before minutes of work that path can be written; raise UsageError if not."""
    if path.is_dir():
        raise UsageError(f"{path}: expected a file, got a folder; name the file to write")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(
            f"{path}: cannot be written, because {parent} is not a writable folder; name another "
            "--output"
        )


def check_address(engine: EngineName, address: str | None) -> None:
    """Raise UsageError for an address without Ray."""
    if address is not None and engine is not EngineName.ray:
        raise UsageError("--address requires --engine ray; add --engine ray")


def command_line() -> str:
    """The command line as typed."""
    return shlex.join(["phonemo", *sys.argv[1:]])


def parse_overrides(overrides: list[str] | None, output: Path | None) -> list[str]:
    """The config overrides, with --output as the last one."""
    outputs = [f"output={json.dumps(str(output))}"] if output else []
    return [*(overrides or ()), *outputs]


def unique(values: Iterable[Value] | None) -> list[Value]:
    """A repeatable option's values without duplicates, in order."""
    return list(dict.fromkeys(values or ()))


def pairs_of(values: Iterable[str] | None) -> dict[str, str]:
    """Parse a repeatable OLD=NEW option; raise UsageError for any other form."""
    pairs = {}
    for value in values or ():
        old, _, new = (part.strip() for part in value.partition("="))
        if not old or not new:
            raise UsageError(f"--merge {value!r}: expected OLD=NEW, such as calm=neutral")
        pairs[old] = new
    return pairs


def protocol_of(**settings: object) -> ProtocolConfig:
    """Build the protocol from options; raise UsageError if they conflict."""
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
            f"--protocol {protocol.name} and --folder {protocol.folder}: expected a folder of fold "
            "files with published and published-leaky, and only with them"
        )
    return protocol
