"""The release: it builds, is small and well-formed, and works in an empty environment.

The wheel is built once, installed with its dependencies into an empty environment, and used there
without network access.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from datetime import date
from pathlib import Path

import pytest
import yaml

from tests.laws import REPOSITORY
from tests.privacy.cages import caged

MEGABYTE = 10**6
WHEEL_LIMIT = 60 * MEGABYTE
DAY = date(2031, 2, 3)


def run(*command: object, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Run a program that has to succeed."""
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=280, **keywords
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """The source distribution, and the wheel built from it."""
    pytest.importorskip("build.__main__")  # a folder build/ would pass for the package
    folder = tmp_path_factory.mktemp("dist")
    # without the user's caches, as on a release machine
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY)
    return folder


@pytest.fixture(scope="module")
def wheel(dist) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def empty(wheel, tmp_path_factory) -> Path:
    """The Python of a new environment with only the wheel and its dependencies."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    result = subprocess.run(
        [*pip, "install", "--dry-run", "--ignore-installed", "--no-deps", "typer"],
        capture_output=True,
        timeout=120,
    )
    if result.returncode:
        pytest.skip("needs a package registry, and none is in reach")
    folder = tmp_path_factory.mktemp("empty") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(*pip, "--python", python, "install", wheel)
    return python


def test_the_wheel_is_small_enough_and_has_the_model_inside(wheel):
    assert wheel.stat().st_size < WHEEL_LIMIT
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        cards = [json.loads(archive.read(name)) for name in names if name.endswith("bundle.json")]
    models = "phonemo/models/phonemo-small"
    assert {f"{models}/bundle.json", f"{models}/NOTICE.md"} <= names
    assert {f"{models}-weights/model.safetensors", f"{models}-weights/README.md"} <= names
    assert "phonemo/py.typed" in names
    networks = [name for name in names if name.endswith("/model.onnx")]
    assert len(networks) == len({card["sha256"] for card in cards}), "each network lies in it once"
    assert len(
        [name for name in names if name.endswith("/NOTICE.md") and "models/" in name]
    ) >= len(cards)


def test_the_wheel_has_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        names = archive.namelist()
    version = wheel.name.split("-")[1]
    assert tops == {"phonemo", f"phonemo-{version}.dist-info"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".part")]
    licences = [name for name in names if "/licenses/" in name]
    models = [name for name in names if name.endswith("bundle.json")]
    assert len(licences) == 1 + len(models), licences  # the code's, and that of each model


def test_the_source_distribution_has_what_builds_and_tests_it(dist):
    (source,) = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {"Makefile", "CHANGELOG.md", "CITATION.cff", "SECURITY.md", "tests/conftest.py"}
    assert expected | {"models/phonemo-small/model.safetensors", "mkdocs.yml"} <= names
    assert not [name for name in names if name.startswith(("work/", ".venv", "build/"))]


def test_both_distributions_pass_the_registry_checks(dist):
    pytest.importorskip("twine")
    output = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *dist.iterdir())
    assert output.stdout.count("PASSED") == 2, output.stdout


def test_an_empty_environment_predicts_offline(empty, tmp_path):
    code = (
        "import json, math, array, wave, importlib.util, phonemo\n"
        "assert importlib.util.find_spec('torch') is None\n"
        "with wave.open('tone.wav', 'wb') as out:\n"
        "    out.setparams((1, 2, 16000, 0, 'NONE', ''))\n"
        "    tone = [int(9000 * math.sin(n * n / 9e4)) for n in range(32000)]\n"
        "    out.writeframes(array.array('h', tone).tobytes())\n"
        "found = phonemo.predict('tone.wav')\n"
        "print(json.dumps([phonemo.__version__, found.label, sum(found.scores.values())]))\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = caged("none", home)
    result = run(empty, "-I", "-W", "error", "-c", code, cwd=tmp_path, env=environment)
    version, label, total = json.loads(result.stdout)
    assert label
    assert version == _version()
    assert total == pytest.approx(1)
    command = empty.with_name("phonemo")
    output = run(command, "predict", "tone.wav", cwd=tmp_path, env=environment)
    assert json.loads(output.stdout)["label"] == label
    assert list(home.iterdir()) == []


def test_an_empty_environment_names_the_missing_extra(empty, tmp_path):
    result = subprocess.run(
        [empty.with_name("phonemo"), "train", REPOSITORY / "configs" / "emodb.yaml"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert result.returncode == 1
    assert "pip install 'phonemo[train]'" in result.stderr
    assert result.stderr.count("\n") == 1


def _version() -> str:
    from phonemo.version import __version__

    return __version__


class TestReleasing:
    """deploy/release.py on copies of the files."""

    @pytest.fixture
    def root(self, tmp_path) -> Path:
        release = _release()
        names = (release.VERSION_FILE, release.CITATION, release.CHANGELOG)
        for name in (*names, release.PACKAGE, release.LOCK):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
        return tmp_path

    def test_one_version_is_named_everywhere(self, root):
        release = _release()
        release.release(root, "7.1.0", DAY)
        assert release.check(root) == "7.1.0"
        changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
        assert "## [Unreleased]\n\n## [7.1.0] - 2031-02-03\n\n### Added\n" in changes
        citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
        assert citation["version"] == "7.1.0"
        assert citation["date-released"] == DAY
        lock = json.loads((root / "js/package-lock.json").read_text(encoding="utf-8"))
        assert lock["version"] == lock["packages"][""]["version"] == "7.1.0"

    def test_a_second_release_contains_the_changes_after_the_first(self, root):
        release = _release()
        release.release(root, "7.1.0", DAY)
        with pytest.raises(release.ReleaseError, match="nothing to release"):
            release.release(root, "7.2.0", DAY)
        path = root / "CHANGELOG.md"
        text = path.read_text(encoding="utf-8")
        section = "## [Unreleased]\n\n### Fixed\n\n- One thing.\n"
        path.write_text(text.replace("## [Unreleased]\n", section, 1), encoding="utf-8")
        release.release(root, "7.2.0rc1", DAY)
        release_lines = [line for line in path.read_text().splitlines() if line.startswith("## [")]
        assert release_lines[:3] == [
            "## [Unreleased]",
            "## [7.2.0rc1] - 2031-02-03",
            "## [7.1.0] - 2031-02-03",
        ]
        citation = (root / "CITATION.cff").read_text(encoding="utf-8")
        assert citation.count("date-released") == 1

    @pytest.mark.parametrize("version", ["7", "v7.1.0", "7.1.0-rc1", "", "7.1.0\n"])
    def test_an_invalid_version_changes_nothing(self, root, version):
        release = _release()
        before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        with pytest.raises(release.ReleaseError, match="expected a version such as"):
            release.release(root, version, DAY)
        assert {path: path.read_bytes() for path in before} == before

    def test_an_older_version_is_refused(self, root):
        release = _release()
        release.release(root, "7.1.0", DAY)
        for older in ("7.1.0", "7.1.0rc1", "6.9.9"):
            with pytest.raises(release.ReleaseError, match="expected a version after"):
                release.release(root, older, DAY)

    def test_differing_versions_are_reported(self, root):
        release = _release()
        path = root / "CITATION.cff"
        path.write_text(path.read_text().replace("version: 0", "version: 9"), encoding="utf-8")
        with pytest.raises(
            release.ReleaseError, match="expected equal versions, got src/phonemo/version"
        ):
            release.check(root)

    def test_the_repository_names_one_version(self):
        assert _release().check(REPOSITORY) == _version()


def _release():
    import importlib.util

    path = REPOSITORY / "deploy" / "release.py"
    specification = importlib.util.spec_from_file_location("release", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_citation_names_the_paper():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()  # what the format demands
    (paper,) = citation["references"]
    assert paper["title"] == "Speech Emotion Recognition with Multi-task Learning"
    assert [author["family-names"] for author in paper["authors"]] == [
        "Li",
        "Yan",
        "Gao",
        "Fang",
        "Zou",
    ]


@pytest.mark.parametrize(
    "path",
    sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml")),
    ids=lambda path: path.stem,
)
def test_issue_forms_are_well_formed(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert form.keys() <= {"name", "description", "labels", "title", "body"}
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(set(ids)) == len(ids) > 0
    for field in form["body"]:
        assert field["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert field["attributes"].get("label") or field["attributes"].get("value")


def test_contributing_fits_a_screen():
    lines = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 160
