"""The commands that read results: report, compare and page."""

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
    readme: Annotated[Path, typer.Option(help="The README whose table is updated.")] = Path(
        "README.md"
    ),
    models: Annotated[
        Path, typer.Option(help="Folder of model cards with tables, <name>/README.md.")
    ] = Path("models"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a page would change.")
    ] = False,
) -> None:
    """Write RESULTS.md and the tables of README and model cards."""
    from phonemo.evaluation.report import stale, write_results

    if results != _RESULTS and not results.is_dir():
        raise ResultError(f"{results}: no such folder; expected a folder of <name>/metrics.json")
    cards = sorted(models.glob("*/README.md"))
    pages = ", ".join(str(page) for page in stale(results, output, readme, cards))
    if check and pages:
        raise ResultError(f"{pages}: out of date with {results}/; run: make report")
    if not check:
        write_results(results, output, readme, cards)
        typer.echo(f"written: {pages}" if pages else "no changes")


def compare(
    first: Annotated[Path, typer.Argument(help="A run folder.")],
    second: Annotated[Path, typer.Argument(help="Another run with the same protocol and seeds.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the comparison as JSON.")
    ] = None,
) -> None:
    """Test whether two runs differ significantly.

    Predictions are paired by utterance and seed; the sampling unit is the speaker.
    """
    from phonemo.evaluation.comparison_text import comparison_data, comparison_lines
    from phonemo.evaluation.significance import compare_runs
    from phonemo.files import atomic_write_text

    run_a, run_b, comparison = compare_runs(first, second)
    for line in comparison_lines(run_a.metrics, run_b.metrics, comparison):
        typer.echo(line)
    if output is not None:
        data = comparison_data(run_a.metrics, run_b.metrics, comparison)
        atomic_write_text(output, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def page(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the run folder.")
    ] = None,
    audio: Annotated[bool, typer.Option(help="Embed audio of the hardest clips.")] = True,
) -> None:
    """Write a run's results as a single HTML page."""
    from phonemo.evaluation.html.run_page import write_page

    if output is not None:
        check_writable(output)
    typer.echo(str(write_page(run, output, audio)))
