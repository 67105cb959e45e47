"""What must work with the base install alone: run here, and again where torch is absent."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

from tests.conftest import LIGHT
from tests.laws import REPOSITORY
from tests.source import read_package

HEAVY_FOLDERS = ("model", "train", "integrations", "server")
SOURCES = read_package(REPOSITORY / "src" / "phonemo")
MODULES = [
    one.name for one in SOURCES if one.folder not in HEAVY_FOLDERS and "__main__" not in one.name
]
TORCH = ("torch", "transformers", "peft", "accelerate", "safetensors")
LAZY = ("sklearn", "matplotlib", "scipy", "gruut", "pypinyin", "onnx", "fastapi", "uvicorn")

only_light = pytest.mark.skipif(not LIGHT, reason="for the light job, which lacks torch")


def test_every_light_module_imports_and_brings_no_torch():
    code = (
        "import importlib, sys\n"
        f"for name in {MODULES}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [one for one in {TORCH + LAZY} if one in sys.modules]\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
        "print('all')"
    )
    command = [sys.executable, "-I", "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, "all\n"), result.stderr


@only_light
@pytest.mark.parametrize("name", TORCH + LAZY)
def test_the_light_environment_lacks(name):
    assert importlib.util.find_spec(name) is None


@only_light
def test_the_wheel_holds_the_whole_package():
    files = {str(one) for one in importlib.metadata.files("phonemo") or ()}
    package = REPOSITORY / "src" / "phonemo"
    wanted = {
        f"phonemo/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "phonemo/py.typed" in wanted
    assert wanted <= files
    assert any(one.endswith("licenses/LICENSE") for one in files)


@only_light
@pytest.mark.parametrize("room", ["model", "train"])
def test_rooms_with_torch_say_that_it_is_missing(room):
    with pytest.raises(ImportError, match=r"torch|transformers|phonemo\[train\]"):
        importlib.import_module(f"phonemo.{room}.{'network' if room == 'model' else 'trainer'}")


@only_light
def test_the_server_says_that_its_part_is_missing():
    command = [sys.executable, "-m", "phonemo", "serve"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    wanted = "phonemo: phonemo serve needs an optional part: pip install 'phonemo[serve]'\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", wanted)
