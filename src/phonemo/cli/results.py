"""The commands that read results and train nothing: report and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli.options import check_writable

if TYPE_CHECKING:
    pass

import json

from phonemo.errors import ResultError

_RESULTS = Path("results")


def report(
    results: Annotated[Path, typer.Option(help="Folder of <name>/metrics.json.")] = _RESULTS,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path(
        "RESULTS.md"
    ),
    readme: Annotated[Path, typer.Option(help="Its table is rewritten too.")] = Path("README.md"),
    models: Annotated[
        Path, typer.Option(help="Folder of <name>/README.md, model cards with tables.")
    ] = Path("models"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a page would change.")
    ] = False,
) -> None:
    """Write RESULTS.md and the tables of README and cards."""
    from phonemo.evaluation.report import stale, write_results

    if results != _RESULTS and not results.is_dir():
        raise ResultError(f"{results}: no such folder; the folder of <name>/metrics.json is wanted")
    cards = sorted(models.glob("*/README.md"))
    pages = ", ".join(str(page) for page in stale(results, output, readme, cards))
    if check and pages:
        raise ResultError(f"{pages}: not what {results}/ says; run: make report")
    if not check:
        write_results(results, output, readme, cards)
        typer.echo(f"written: {pages}" if pages else "nothing has changed")


def compare(
    first: Annotated[Path, typer.Argument(help="A run folder.")],
    second: Annotated[Path, typer.Argument(help="Another, of the same protocol and seeds.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the comparison as JSON, too.")
    ] = None,
) -> None:
    """Say whether two runs differ by more than chance.

    Paired by utterance and seed, with speakers as the unit.
    """
    from phonemo.evaluation.significance import compare_runs, comparison_data, comparison_lines
    from phonemo.files import atomic_write_text

    ours, theirs, found = compare_runs(first, second)
    for line in comparison_lines(ours.metrics, theirs.metrics, found):
        typer.echo(line)
    if output is not None:
        data = comparison_data(ours.metrics, theirs.metrics, found)
        atomic_write_text(output, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def page(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the run.")
    ] = None,
    audio: Annotated[bool, typer.Option(help="Hold the voices of the hardest clips.")] = True,
) -> None:
    """Write a run's results as one page of HTML."""
    from phonemo.evaluation.html.run_page import write_page

    if output is not None:
        check_writable(output)
    typer.echo(str(write_page(run, output, audio)))
