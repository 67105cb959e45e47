"""The command mcp."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from phonemo.cli.options import Model
from phonemo.errors import MissingExtraError

Root = Annotated[
    list[Path] | None,
    typer.Option(
        "--root",
        help="A folder whose recordings may be read; repeatable. Default: the roots of the client "
        "if it has some, else the current folder.",
    ),
]
MaxMinutes = Annotated[
    float, typer.Option(min=0.1, max=600, help="Longest recording that is recognized, in minutes.")
]
MaxMegabytes = Annotated[
    float, typer.Option("--max-mb", min=0.1, max=10_000, help="Largest file that is read, in MB.")
]


def mcp(
    root: Root = None,
    model: Model = None,
    max_minutes: MaxMinutes = 30.0,
    max_mb: MaxMegabytes = 200.0,
) -> None:
    """Serve tools for language models (MCP).

    The Model Context Protocol, over standard input and output.
    Tools: recognize_emotion, emotion_timeline, compare_recordings, list_models; they only read. An
    MCP client starts this command. Needs pip install 'phonemo[mcp]'.
    """
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        raise MissingExtraError("phonemo mcp", "mcp")
    from phonemo.integrations.mcp_tools.recording_roots import RecordingRoots

    roots = RecordingRoots(root) if root else None
    from phonemo.audio import AudioLimits
    from phonemo.integrations.mcp_tools.emotion_tools import EmotionTools, model_name
    from phonemo.loader import load_model

    recognizer = load_model(model)
    recognizer.limits = AudioLimits(max_seconds=60 * max_minutes)
    name = model_name(None if model is None else str(model), recognizer)
    tools = EmotionTools(recognizer, name, most_bytes=int(max_mb * 1e6))
    from phonemo.integrations.mcp_tools.tool_server import build_server

    server = build_server(tools, roots)
    signal.signal(signal.SIGINT, _leave)
    status = 0
    try:
        server.run("stdio")
    except* BrokenPipeError:  # the client is gone
        status = 1
    # a recording that is being recognized for nobody does not delay the end
    os._exit(status)


def _leave(number: int, frame: object) -> None:
    # the SDK's thread that reads standard input cannot be interrupted; nothing is left to write
    os.write(sys.stderr.fileno(), b"phonemo: stopped\n")
    os._exit(130)
