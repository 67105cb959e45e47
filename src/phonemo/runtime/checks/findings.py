"""The result of an examination: sections of findings, with problems and next steps."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One line of a section."""

    value: Any
    """Plain data; shown as text."""
    problem: str | None = None
    """What is wrong and what to do next; None where all is well."""
    hint: str | None = None
    """What to do to get more, where nothing is wrong."""


@dataclass(frozen=True)
class Section:
    """Findings of one subject, by name."""

    name: str
    findings: Mapping[str, Finding]

    def plain(self) -> dict[str, Any]:
        """The values by name, as plain data."""
        return {name: finding.value for name, finding in self.findings.items()}


@dataclass(frozen=True)
class Examination:
    """All sections."""

    sections: tuple[Section, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, each with the next step, in the order of the sections."""
        return tuple(self._problems())

    @property
    def ok(self) -> bool:
        """Whether all that is needed works; a missing extra is no fault."""
        return not self.problems

    def plain(self) -> dict[str, Any]:
        """Plain data for a bug report, without the user's name and home folder."""
        content: dict[str, Any] = {"ok": self.ok, "problems": list(self.problems)}
        content |= {section.name: section.plain() for section in self.sections}
        cleaned: dict[str, Any] = without_user(content)
        return cleaned

    def _problems(self) -> Iterator[str]:
        for section in self.sections:
            for name, finding in section.findings.items():
                if finding.problem is not None:
                    yield f"{section.name}, {name}: {finding.problem}"


def without_user(data: Any) -> Any:
    """Replace the home folder by ~, and the user's name in other paths by USER, in plain data."""
    if isinstance(data, dict):
        return {without_user(key): without_user(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_user(value) for value in data]
    return _without_user(data) if isinstance(data, str) else data


def _without_user(text: str) -> str:
    home = os.path.expanduser("~")
    if len(home) > 1:  # "/" in some containers
        text = text.replace(home, "~")
    user = _user_name()
    for separator in {"/", os.sep}:
        parts = text.split(separator)
        if len(parts) > 1 and user:
            text = separator.join("USER" if part == user else part for part in parts)
    return text


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return ""
