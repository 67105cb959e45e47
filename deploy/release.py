"""Prepare a release: one version in every file that names it, and a dated part of the changelog.

python deploy/release.py 0.2.0               writes version.py, CITATION.cff and CHANGELOG.md
python deploy/release.py --check             do they name one version?

The commit, the tag and the upload stay with a person: CONTRIBUTING.md has the steps.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
VERSION_FILE = "src/phonemo/version.py"
CITATION = "CITATION.cff"
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## [Unreleased]"
#: Versions that semver and pip understand alike.
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
_KINDS = {"a": 0, "b": 1, "rc": 2, None: 3}


class ReleaseError(Exception):
    """Why no release can be made of what lies here."""


def order(version: str) -> tuple[int, ...]:
    """Something that sorts as versions do.

    Raises:
        ReleaseError: it is no version.
    """
    match = VERSION.fullmatch(version)
    if match is None:
        raise ReleaseError(f"{version!r} is no version; 1.2.3, 1.2.3a1, 1.2.3b1 or 1.2.3rc1 is")
    major, minor, patch, kind, number = match.groups()
    return int(major), int(minor), int(patch), _KINDS[kind], int(number or 0)


def with_version(text: str, version: str) -> str:
    """The text of version.py with another version."""
    return _replaced(r'__version__ = "[^"]+"', f'__version__ = "{version}"', text, VERSION_FILE)


def with_citation(text: str, version: str, day: date) -> str:
    """The text of CITATION.cff with another version and the day of its release."""
    text = re.sub(r"^date-released:.*\n", "", text, flags=re.MULTILINE)
    line = f"version: {version}\ndate-released: {day.isoformat()}"
    return _replaced(r"^version: \S+$", line, text, CITATION)


def with_changes(text: str, version: str, day: date) -> str:
    """The text of CHANGELOG.md whose unreleased part has become that of a version.

    Raises:
        ReleaseError: there is nothing in that part, or the version is there already.
    """
    if re.search(rf"^## \[{re.escape(version)}\]", text, re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG} has {version} already; give the next version")
    _, found, rest = text.partition(UNRELEASED)
    if not found:
        raise ReleaseError(f"{CHANGELOG} has no {UNRELEASED}; put it above the newest version")
    if not re.search(r"^- ", rest.partition("\n## ")[0], re.MULTILINE):
        raise ReleaseError(f"nothing stands under {UNRELEASED} of {CHANGELOG}; nothing to release")
    return text.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {day.isoformat()}", 1)


def versions(root: Path) -> dict[str, str]:
    """File -> the version that it names; in the changelog the newest released one, if any."""
    patterns = {
        VERSION_FILE: r'__version__ = "([^"]+)"',
        CITATION: r"^version: (\S+)$",
        CHANGELOG: r"^## \[(\d[^\]]*)\]",
    }
    found = {
        name: re.search(one, _read(root, name), re.MULTILINE) for name, one in patterns.items()
    }
    return {name: match[1] for name, match in found.items() if match is not None}


def check(root: Path) -> str:
    """The one version that all files name.

    Raises:
        ReleaseError: they name several.
    """
    named = versions(root)
    if len(set(named.values())) != 1:
        told = ", ".join(f"{name} {version}" for name, version in named.items())
        raise ReleaseError(f"several versions: {told}; python deploy/release.py VERSION writes one")
    order(named[VERSION_FILE])
    return named[VERSION_FILE]


def release(root: Path, version: str, day: date) -> None:
    """Write the three files; none is touched where one cannot be.

    Raises:
        ReleaseError: the version is none, is older than the newest, or nothing has changed.
    """
    newest = versions(root).get(CHANGELOG)
    if newest is not None and order(version) <= order(newest):
        raise ReleaseError(f"{version} does not come after {newest}")
    order(version)
    changes: dict[str, Callable[[str], str]] = {
        VERSION_FILE: lambda text: with_version(text, version),
        CITATION: lambda text: with_citation(text, version, day),
        CHANGELOG: lambda text: with_changes(text, version, day),
    }
    texts = {name: change(_read(root, name)) for name, change in changes.items()}
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")


def _read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def _replaced(pattern: str, replacement: str, text: str, name: str) -> str:
    changed, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if count != 1:
        raise ReleaseError(f"{name} names a version {count} times; once is wanted")
    return changed


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", help="such as 0.2.0")
    chosen.add_argument("--check", action="store_true", help="only look")
    asked = parser.parse_args()
    try:
        if not asked.check:
            release(REPOSITORY, asked.version, date.today())
        print(check(REPOSITORY))
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
