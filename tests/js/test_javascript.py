"""The package for JavaScript: its own tests, its types, and what is published."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from phonemo.version import __version__
from tests.js.make_spellings import TARGET, spellings_text
from tests.js.node import MODULES, PACKAGE, needs_node, needs_package, node, npm, run_node

pytestmark = needs_package

#: Limits of the published package, in bytes: packed, unpacked.
MOST_PACKED, MOST_UNPACKED = 100_000, 350_000
ENGLISH = PACKAGE.parent / "src" / "phonemo" / "runtime" / "phonemes" / "english.json"
TSC = MODULES / ".bin" / "tsc"


@needs_node
@pytest.mark.parametrize(
    ("name", "runtime"),
    [("algorithms", ""), ("recognizer", "node"), ("predictions", "node"), ("predictions", "web")],
)
def test_its_own_tests_pass(name: str, runtime: str) -> None:
    done = run_node("--test", f"test/{name}.test.ts", PHONEMO_RUNTIME=runtime)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert re.search(r"^. pass [1-9]", done.stdout, re.MULTILINE), done.stdout[-500:]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled package; compiling checks the types of the sources and of the tests."""
    folder = tmp_path_factory.mktemp("js") / "dist"
    _compile("--outDir", str(folder))
    return folder


def _compile(*options: str, project: str = "tsconfig.json") -> None:
    done = subprocess.run(
        [str(TSC), "-p", project, *options],
        cwd=PACKAGE,
        env=os.environ | {"PATH": f"{Path(str(node())).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@needs_node
def test_the_types_of_its_tests_are_right() -> None:
    _compile(project="test/tsconfig.json")


@needs_node
def test_compiling_twice_gives_the_same_files(compiled: Path, tmp_path: Path) -> None:
    _compile("--outDir", str(tmp_path))
    first = {path.name: path.read_bytes() for path in compiled.iterdir()}
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"index.js", "index.d.ts", "node.js", "web.js"} <= set(first)


@needs_node
def test_a_browser_can_import_the_compiled_folder(compiled: Path) -> None:
    entries = {"node.js", "web.js"}  # those import onnxruntime by its name
    for path in compiled.glob("*.js"):
        names = re.findall(
            r"(?:from|import)\s*\(?\s*[\"']([^\"']+)", path.read_text(encoding="utf-8")
        )
        relative = {name for name in names if re.fullmatch(r"\./\w+\.js", name)}
        assert path.name in entries or set(names) == relative, path.name
        assert all((compiled / name).is_file() for name in relative)


@needs_node
def test_the_compiled_package_predicts(compiled: Path) -> None:
    script = f"""
      import * as ort from {json.dumps((MODULES / "onnxruntime-node/dist/index.js").as_uri())}
      import {{ load }} from {json.dumps((compiled / "index.js").as_uri())}
      const recognizer = await load("../tests/golden/tiny-bundle", {{ ort: ort.default ?? ort }})
      const samples = Float32Array.from({{ length: 16000 }}, (_, n) => Math.sin(n / 20) / 4)
      console.log(JSON.stringify(await recognizer.predict(samples, 16000)))
    """
    done = run_node("--input-type=module", "--eval", script)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["scores"]) == {"anger", "neutral", "sadness"}


def _npm(cache: Path, *words: str) -> str:
    """Run npm in the package's folder; return what it prints."""
    variables = os.environ | {
        "npm_config_cache": str(cache),
        "PATH": f"{Path(str(node())).parent}:{os.environ['PATH']}",
    }
    command = [*(npm() or []), *words]
    done = subprocess.run(
        command, cwd=PACKAGE, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_node
def test_the_language_that_it_exports_decodes(compiled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "node_modules" / "phonemo"
    shutil.copytree(compiled, folder / "dist")
    shutil.copy(PACKAGE / "package.json", folder)
    shutil.copy(ENGLISH, folder / "dist")
    script = tmp_path / "main.mjs"
    script.write_text(
        'import english from "phonemo/english.json" with { type: "json" }\n'
        'import { PhonemoError } from "phonemo"\n'
        "console.log(Object.keys(english).join(), typeof PhonemoError)\n"
    )
    done = run_node(str(script))
    assert (done.stdout, done.returncode) == ("source,settings,ngrams function\n", 0), done.stderr


def test_its_spellings_of_emotions_are_those_of_python() -> None:
    assert TARGET.read_text(encoding="utf-8") == spellings_text()


def test_it_has_the_version_of_the_python_package() -> None:
    package = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((PACKAGE / "package-lock.json").read_text(encoding="utf-8"))
    assert package["version"] == lock["version"] == __version__


def test_it_has_no_dependency_at_run_time_and_its_lock_names_no_host() -> None:
    package = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))
    assert "dependencies" not in package
    assert all(entry["optional"] for entry in package["peerDependenciesMeta"].values())
    assert all(version[0].isdigit() for version in package["devDependencies"].values())
    lock = json.loads((PACKAGE / "package-lock.json").read_text(encoding="utf-8"))
    others = {path: entry for path, entry in lock["packages"].items() if path}
    assert all("integrity" in entry for entry in others.values())
    assert not [path for path, entry in others.items() if "resolved" in entry]


@needs_node
@pytest.mark.skipif(npm() is None, reason="needs npm beside node: make js")
def test_the_published_package_is_small_and_complete(tmp_path: Path) -> None:
    _npm(tmp_path, "run", "build")
    text = _npm(tmp_path, "pack", "--dry-run", "--json", "--offline", "--ignore-scripts")
    data = json.loads(text)
    packed = data[0] if isinstance(data, list) else next(iter(data.values()))
    names = {file["path"] for file in packed["files"]}
    assert packed["size"] <= MOST_PACKED
    assert packed["unpackedSize"] <= MOST_UNPACKED
    assert {"package.json", "README.md", "LICENSE", "dist/index.js", "dist/web.d.ts"} <= names
    assert "dist/english.json" in names
    assert all(
        name.startswith("dist/") for name in names - {"package.json", "README.md", "LICENSE"}
    )
