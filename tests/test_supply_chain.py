"""The app's deployment: all requirements pinned by hash, nothing unpinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]
DEPLOY = REPOSITORY / "deploy"
LOCKS = ("requirements.txt", "build-requirements.txt")
_PIN = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[\w.]+)( ; (?P<marker>[^\\]+?))? \\\n(?P<hashes>.*)", re.DOTALL
)
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")


def pins(lock: str) -> list[re.Match[str]]:
    """The packages of a lock; any other content is an error."""
    text = (DEPLOY / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.removesuffix("\n"))
    matches = [_PIN.fullmatch(entry) for entry in entries]
    strange = [entry for entry, match in zip(entries, matches, strict=True) if match is None]
    assert not strange, f"no pin by hash: {strange[0]!r}"
    return [match for match in matches if match is not None]


def wanted() -> list[Requirement]:
    """The app's requirements: the base install, the server and the speech detector."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [
        Requirement(requirement)
        for requirement in (*project["dependencies"], *extras["serve"], *extras["vad"])
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_the_hashes_of_its_files(lock):
    for pin in pins(lock):
        lines = pin["hashes"].split(" \\\n")
        assert lines, pin["name"]
        assert all(_HASH.fullmatch(line) for line in lines), pin["name"]


def test_the_lock_has_all_requirements_of_the_app():
    versions: dict[str, list[Version]] = {}
    for pin in pins("requirements.txt"):
        versions.setdefault(canonicalize_name(pin["name"]), []).append(Version(pin["version"]))
    for requirement in wanted():
        pinned = versions.get(canonicalize_name(requirement.name))
        assert pinned, f"{requirement} is not in the lock; make lock"
        assert all(version in requirement.specifier for version in pinned), (
            f"{requirement}: {pinned}; make lock"
        )


def test_the_build_is_pinned_too():
    (requirement,) = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"][
        "requires"
    ]
    versions = {pin["name"]: Version(pin["version"]) for pin in pins("build-requirements.txt")}
    assert versions["hatchling"] in Requirement(requirement).specifier


def test_training_is_not_part_of_the_app():
    names = {canonicalize_name(pin["name"]) for pin in pins("requirements.txt")}
    assert not names & {"torch", "transformers", "ray", "scikit-learn", "pandas", "onnx"}


def test_the_image_installs_only_pinned_packages():
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip (?:install|wheel)[^\n]*(?:\\\n[^\n]*)*?(?=\n|&&)", text)
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-deps" in line, line
