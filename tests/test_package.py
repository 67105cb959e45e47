"""The installed package: light imports, a single version, type information."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib

import pytest

import phonemo
from phonemo.runtime.bundle import MODEL, PACKAGED, open_bundle, packaged, packaged_names
from tests.laws import REPOSITORY
from tests.tiny_bundle import RATE, make_clip

HEAVY = ("torch", "transformers", "peft", "sklearn", "matplotlib", "onnxruntime", "gruut")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Another Python, away from the repository, with warnings as errors."""
    command = [sys.executable, "-I", "-W", "error", *arguments]
    return subprocess.run(
        command, cwd=sys.prefix, capture_output=True, text=True, timeout=60, check=False
    )


def loaded_by(statement: str) -> set[str]:
    """The top-level modules in memory after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    result = run("-c", code)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_importing_phonemo_loads_nothing_heavy():
    assert loaded_by("import phonemo").isdisjoint({*HEAVY, "numpy", "pydantic", "typer"})


def test_importing_the_command_line_loads_nothing_heavy():
    assert loaded_by("import phonemo.cli.main").isdisjoint(HEAVY)


def test_help_is_answered_without_torch():
    code = (
        "import sys\nfrom phonemo.cli.main import main\nsys.argv = ['phonemo', '--help']\n"
        f"try:\n    main()\nfinally:\n    print([n for n in {HEAVY} if n in sys.modules])"
    )
    result = run("-c", code)
    assert "Usage" in result.stdout, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_command_is_installed():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="phonemo")
    assert entry.value == "phonemo.cli.main:main"
    assert callable(entry.load())


def test_the_package_runs_as_a_module():
    result = run("-m", "phonemo", "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


@pytest.mark.parametrize("code", ["import phonemo", "import phonemo.cli.main"])
def test_importing_has_no_effect(code):
    state = (
        "import os, random, signal, sys, threading, warnings\n"
        "def state():\n    return (dict(os.environ), random.getstate(), list(warnings.filters),\n"
        "        threading.active_count(), signal.getsignal(signal.SIGINT), os.getcwd(),\n"
        "        list(sys.path))\n"
        f"before = state()\n{code}\nassert state() == before"
    )
    result = run("-c", state)
    assert result.returncode == 0, result.stderr
    assert result.stdout + result.stderr == ""


def test_the_version_has_one_owner():
    import phonemo
    from phonemo import version

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    owner = REPOSITORY / project["tool"]["hatch"]["version"]["path"]
    assert "version" in project["project"]["dynamic"]
    assert re.findall(r'__version__ = "(.+)"', owner.read_text(encoding="utf-8")) == [
        version.__version__
    ]
    assert phonemo.__version__ == version.__version__
    assert importlib.metadata.version("phonemo") == version.__version__


def test_the_package_is_typed():
    specification = importlib.util.find_spec("phonemo")
    assert specification is not None
    (folder,) = specification.submodule_search_locations or ()
    assert (REPOSITORY.__class__(folder) / "py.typed").is_file()


OPEN = "phonemo-open"
#: Limits from the issue about a second model.
MOST_BYTES = 60_000_000
LICENCES = {PACKAGED: "CC BY-NC-SA 4.0", OPEN: "MIT"}


def test_every_packaged_model_has_a_licence_that_the_project_declares():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert packaged_names()[0] == PACKAGED
    for name in packaged_names():
        card = open_bundle(packaged(name)).card
        notice = (packaged(name) / "NOTICE.md").read_text(encoding="utf-8")
        assert card.name == name
        assert card.licence == LICENCES[name]
        assert card.licence.split()[0] in notice
        assert card.licence.replace(" BY", "-BY").replace(" 4", "-4") in project["license"]
    assert project["license-files"] == ["LICENSE", "src/phonemo/models/*/NOTICE.md"]


def test_what_goes_into_the_wheel_has_each_network_once():
    folders = [packaged(name) for name in packaged_names()]
    hashes = {json.loads((folder / "bundle.json").read_text())["sha256"] for folder in folders}
    networks = [folder for folder in folders if (folder / MODEL).is_file()]
    assert len(networks) == len(hashes)
    # onnx and safetensors files do not compress, so this is about the size of the wheel
    inside = [*folders, REPOSITORY / "models" / PACKAGED]
    size = sum(path.stat().st_size for folder in inside for path in folder.iterdir())
    assert size < MOST_BYTES


@pytest.mark.skipif(OPEN not in packaged_names(), reason="this copy ships no phonemo-open")
def test_both_packaged_models_share_one_network():
    models = [phonemo.load(name) for name in (PACKAGED, OPEN)]
    packaged_model, open_model = (open_bundle(packaged(name)) for name in (PACKAGED, OPEN))
    assert packaged_model.card.sha256 == open_model.card.sha256
    assert packaged_model.card.network_digest == open_model.card.network_digest is not None
    clip = make_clip(2 * RATE, 150.0)
    small, free = (model.predict(clip, RATE) for model in models)
    assert small.phonemes == free.phonemes
    assert small.scores != free.scores
    if (REPOSITORY / "models" / PACKAGED).is_dir():  # so that fine-tuning can start from it
        assert (packaged(OPEN) / "provenance.json").is_file()
        provenance = json.loads((packaged(OPEN) / "provenance.json").read_text(encoding="utf-8"))
        assert not {"ravdess", "nemo"} & {*provenance["heard"], *provenance["corpora"]}
