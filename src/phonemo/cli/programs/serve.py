"""The command serve."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from phonemo.cli.options import Override
from phonemo.errors import MissingExtraError

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="A YAML config, e.g. configs/serve.yaml.")
]
Host = Annotated[
    str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1, this machine only.")
]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one. Default: 8000.")
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A bundle, a model folder, or the name of an included model; repeatable, the first "
        "one is the default model. Default: phonemo-small.",
    ),
]
Profiles = Annotated[
    Path | None,
    typer.Option(
        "--profiles",
        help="Folder of profiles written by phonemo adapt; clients select one with profile=STEM.",
    ),
]
ServeDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="cpu|cuda|cuda:N|auto",
        help="Where the networks run; auto: the CUDA card if they open there. Default: cpu.",
    ),
]
AccessLog = Annotated[
    bool, typer.Option("--access-log", help="Log every request to standard error.")
]
NewKey = Annotated[
    bool,
    typer.Option("--new-key", help="Print a new API key and its digest for access.keys, and exit."),
]


def serve(
    config: ConfigFile = None,
    host: Host = None,
    port: Port = None,
    model: Models = None,
    profiles: Profiles = None,
    device: ServeDevice = None,
    overrides: Override = None,
    access_log: AccessLog = False,
    new_key: NewKey = False,
) -> None:
    """Serve emotion recognition over HTTP and WebSocket.

    Endpoints: POST /v1/audio/emotions and WS /v1/audio/stream; / is a web page. Ctrl-C stops the
    server after running requests finish. Needs pip install 'phonemo[serve]'.
    """
    from phonemo.server.settings import load_serve_config

    folder = None if profiles is None else str(profiles)
    options = {"host": host, "port": port, "models": model, "profiles": folder}
    options["device"] = device
    typed = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    resolved = load_serve_config(config, [*(overrides or ()), *typed])
    _needs_serve()
    if new_key:
        from phonemo.server.auth import new_key as make_key

        key, digest = make_key()
        typer.echo(f"key:    {key}\ndigest: {digest}")
        return
    from phonemo.cli.programs.start_progress import StartProgress
    from phonemo.server.formats import media_line
    from phonemo.server.uvicorn_server import run

    progress = StartProgress(sys.stderr)

    def announce(address: str) -> None:
        progress.finish()
        typer.echo(f"phonemo: serving at {address} (Ctrl-C stops); {media_line()}", err=True)

    try:
        run(resolved, announce, access_log, progress)
    finally:
        progress.finish()


def _needs_serve() -> None:
    from importlib.util import find_spec

    modules = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")
    if any(find_spec(name) is None for name in modules):
        raise MissingExtraError("phonemo serve", "serve")
