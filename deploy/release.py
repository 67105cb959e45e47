"""Prepare a release: write the version to every file that has it, and date the changelog.

python deploy/release.py 0.2.0               writes version.py, CITATION.cff, CHANGELOG.md and js/
python deploy/release.py --check             checks that their versions are equal

Commit, tag and upload are manual steps, listed in CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
VERSION_FILE = "src/phonemo/version.py"
CITATION = "CITATION.cff"
CHANGELOG = "CHANGELOG.md"
#: Of npm; the lock names the version a second time, for the package itself.
PACKAGE, LOCK = "js/package.json", "js/package-lock.json"
UNRELEASED = "## [Unreleased]"
#: Versions with the same meaning in semver and pip.
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
_KINDS = {"a": 0, "b": 1, "rc": 2, None: 3}


class ReleaseError(Exception):
    """A release cannot be made from the current files."""


def order(version: str) -> tuple[int, ...]:
    """Build a sort key for a version.

    Raises:
        ReleaseError: the version is invalid.
    """
    match = VERSION.fullmatch(version)
    if match is None:
        raise ReleaseError(
            f"expected a version such as 1.2.3, 1.2.3a1, 1.2.3b1 or 1.2.3rc1, got {version!r}"
        )
    major, minor, patch, kind, number = match.groups()
    return int(major), int(minor), int(patch), _KINDS[kind], int(number or 0)


def with_version(text: str, version: str) -> str:
    """Replace the version in the text of version.py."""
    return _replace(r'__version__ = "[^"]+"', f'__version__ = "{version}"', text, VERSION_FILE)


def with_citation(text: str, version: str, day: date) -> str:
    """Replace the version and release date in the text of CITATION.cff."""
    text = re.sub(r"^date-released:.*\n", "", text, flags=re.MULTILINE)
    line = f"version: {version}\ndate-released: {day.isoformat()}"
    return _replace(r"^version: \S+$", line, text, CITATION)


def with_package(text: str, version: str) -> str:
    """Replace the version in the text of a file of npm."""
    content = json.loads(text)
    content["version"] = version
    if "packages" in content:
        content["packages"][""]["version"] = version
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def with_changes(text: str, version: str, day: date) -> str:
    """Turn the unreleased section of CHANGELOG.md into that of a version.

    Raises:
        ReleaseError: the section is empty, or the version exists already.
    """
    if re.search(rf"^## \[{re.escape(version)}\]", text, re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG} already has {version}; use the next version")
    _, marker, rest = text.partition(UNRELEASED)
    if not marker:
        raise ReleaseError(f"{CHANGELOG} has no {UNRELEASED}; add it above the newest version")
    if not re.search(r"^- ", rest.partition("\n## ")[0], re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG}: {UNRELEASED} is empty; there is nothing to release")
    return text.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {day.isoformat()}", 1)


def versions(root: Path) -> dict[str, str]:
    """Read each file's version; for the changelog, the newest release, if any."""
    patterns = {
        VERSION_FILE: r'__version__ = "([^"]+)"',
        CITATION: r"^version: (\S+)$",
        CHANGELOG: r"^## \[(\d[^\]]*)\]",
        PACKAGE: r'^  "version": "([^"]+)"',
        LOCK: r'^  "version": "([^"]+)"',
    }
    matches = {
        name: re.search(pattern, _read(root, name), re.MULTILINE)
        for name, pattern in patterns.items()
    }
    return {name: match[1] for name, match in matches.items() if match is not None}


def check(root: Path) -> str:
    """Return the version that all files have.

    Raises:
        ReleaseError: the versions differ.
    """
    by_file = versions(root)
    if len(set(by_file.values())) != 1:
        text = ", ".join(f"{name} {version}" for name, version in by_file.items())
        raise ReleaseError(
            f"expected equal versions, got {text}; run: python deploy/release.py VERSION"
        )
    order(by_file[VERSION_FILE])
    return by_file[VERSION_FILE]


def release(root: Path, version: str, day: date) -> None:
    """Write all files, or none.

    Raises:
        ReleaseError: the version is invalid or not newer, or nothing has changed.
    """
    newest = versions(root).get(CHANGELOG)
    if newest is not None and order(version) <= order(newest):
        raise ReleaseError(f"expected a version after {newest}, got {version}")
    order(version)
    changes: dict[str, Callable[[str], str]] = {
        VERSION_FILE: lambda text: with_version(text, version),
        CITATION: lambda text: with_citation(text, version, day),
        CHANGELOG: lambda text: with_changes(text, version, day),
        PACKAGE: lambda text: with_package(text, version),
        LOCK: lambda text: with_package(text, version),
    }
    texts = {name: change(_read(root, name)) for name, change in changes.items()}
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")


def _read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def _replace(pattern: str, replacement: str, text: str, name: str) -> str:
    changed, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if count != 1:
        raise ReleaseError(f"{name}: expected one version, got {count}")
    return changed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", help="such as 0.2.0")
    chosen.add_argument("--check", action="store_true", help="only check")
    args = parser.parse_args()
    try:
        if not args.check:
            release(REPOSITORY, args.version, date.today())
        print(check(REPOSITORY))
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
