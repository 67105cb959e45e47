"""The command site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Output = Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A bundle, or the name of an included model; repeatable, the first one is the default "
        "model. Default: phonemo-small.",
    ),
]
EngineSource = Annotated[
    Path | None,
    typer.Option(
        "--onnxruntime-web",
        metavar="PATH",
        help="The file of npm pack onnxruntime-web, or a folder with the package. Default: npm "
        "fetches it once, and it is kept in the user's cache folder.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a site in that folder.")]


def site(
    output: Output,
    model: Models = None,
    onnxruntime_web: EngineSource = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the page as a static site without a server.

    Any static host serves the folder, also below a path; audio stays in the visitor's browser. To
    see it: python -m http.server -d FOLDER. Fetches onnxruntime-web once with npm, which
    pip install 'phonemo[site]' provides.
    """
    import shlex

    from phonemo.loader import resolve_model
    from phonemo.runtime.bundle import packaged
    from phonemo.site.onnxruntime_web import obtain_engine
    from phonemo.site.site_models import open_models
    from phonemo.site.write_site import check_target, write_site

    check_target(output, overwrite)
    bundles = open_models(resolve_model(name) or packaged() for name in model or (None,))
    written = write_site(output, bundles, obtain_engine(onnxruntime_web), overwrite)
    size = f"{written.first_bytes / 1e6:.1f} MB"
    typer.echo(f"{output}: {written.files} files; {size} for the first recognition")
    typer.echo(f"  models: {', '.join(written.models)}")
    typer.echo(f"  to see it: python -m http.server -b 127.0.0.1 -d {shlex.quote(str(output))}")
