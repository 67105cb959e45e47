"""The command doctor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli.options import Device
from phonemo.files import dumps_json

if TYPE_CHECKING:
    from rich.text import Text

    from phonemo.runtime.checks.findings import Examination, Finding, Section

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON for a bug report, without your name and home folder."),
]
WithTorch = Annotated[
    bool, typer.Option("--torch", help="Import torch too, which takes seconds, and find its cards.")
]
_NAME_WIDTH = 16


def doctor(as_json: AsJson = False, device: Device = "cpu", torch: WithTorch = False) -> None:
    """Examine the installation and test the models.

    Versions, devices, extras, formats, checksums, a self-test and a speed.
    Nothing is downloaded or sent. Exit status 0: all that is needed works; 1: there are problems,
    listed at the end, each with its next step; 2: wrong usage.
    """
    from phonemo.runtime.checks.examination import examine

    found = examine(device)
    if torch:
        found = _with_torch(found)
    if as_json:
        typer.echo(dumps_json(found.plain(), indent=1))
    else:
        _print(found)
    if not found.ok:
        raise typer.Exit(1)


def _with_torch(found: Examination) -> Examination:
    from phonemo.errors import PhonemoError
    from phonemo.loader import needs_torch
    from phonemo.runtime.checks.findings import Examination, Finding, Section

    try:
        needs_torch("examining torch")
        from phonemo.train.torch_recognizer import describe_torch

        findings = {name: Finding(value) for name, value in describe_torch().items()}
    except (PhonemoError, ImportError, OSError) as error:
        findings = {"torch": Finding("unusable", f"{error}; pip install 'phonemo[train]'")}
    return Examination((*found.sections, Section("torch", findings)))


def _print(found: Examination) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for section in found.sections:
        console.print(section.name, style="bold", markup=False)
        for line in _lines(section):
            console.print(line)
    for line in _summary(found.problems):
        console.print(line)


def _lines(section: Section) -> Iterator[Text]:
    return (_line(name, finding) for name, finding in section.findings.items())


def _line(name: str, finding: Finding) -> Text:
    """The name, the value and, where something is missing, the next step."""
    from rich.text import Text

    from phonemo.errors import safe_text
    from phonemo.runtime.checks.findings import without_user

    value = without_user(finding.value)
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    line = Text.assemble(f"  {safe_text(name):<{_NAME_WIDTH}}")
    line.append(safe_text(text), "red" if finding.problem else "")
    if finding.hint:
        line.append(f"; {safe_text(finding.hint)}", "dim")
    return line


def _summary(problems: Sequence[str]) -> Iterator[Text]:
    from rich.text import Text

    from phonemo.errors import safe_text
    from phonemo.runtime.checks.findings import without_user

    if not problems:
        yield Text("no problems", "green")
        return
    yield Text(f"{len(problems)} problem{'s' * (len(problems) > 1)}", "bold red")
    for problem in problems:
        yield Text(f"  {safe_text(without_user(problem))}")
