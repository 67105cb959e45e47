"""The C++ programs, compiled once for a state of the sources into the ignored folder build/."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CPP = ROOT / "cpp"
COMPILER = os.environ.get("CXX") or next(
    (name for name in ("c++", "g++", "clang++") if shutil.which(name)), ""
)
#: No debug information and no optimization beyond -O1: the programs run for a second.
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", '-DPHONEMO_VERSION="tests"')
#: Program -> its sources, to which the library's single source is added.
PROGRAMS = {
    "phonemo-cpp": ("src/command.cpp",),
    "phonemo-golden": tuple(
        f"tests/{name}.cpp"
        for name in (
            *("golden", "golden_signals", "golden_scores", "golden_decoding"),
            "golden_predictions",
        )
    ),
}


def onnxruntime_library() -> Path | None:
    """The shared library in onnxruntime's wheel; None where there is none."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "capi").glob("libonnxruntime.*1*"))
    return found[0] if found else None


def program(name: str) -> Path:
    """The path of a program; the test is skipped without a compiler or onnxruntime's library."""
    if not COMPILER:
        pytest.skip("no C++ compiler")
    if onnxruntime_library() is None:
        pytest.skip("onnxruntime's wheel has no shared library on this system")
    return _built() / name


def run(
    name: str, *words: str | bytes | Path, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    environment = os.environ | {"PHONEMO_ONNXRUNTIME": str(onnxruntime_library())}
    return subprocess.run(
        [program(name), *words],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        **options,  # type: ignore[call-overload]
    )


@cache
def _built() -> Path:
    """Compile all programs, unless another process has done so."""
    sources = sorted(path for path in CPP.rglob("*") if path.suffix in (".cpp", ".h"))
    digest = hashlib.sha256(repr((COMPILER, FLAGS)).encode())
    for path in sources:
        digest.update(path.read_bytes())
    folder = ROOT / "build" / "cpp-tests" / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _compile(folder)
            (folder / "ready").touch()
    return folder


def _compile(folder: Path) -> None:
    objects = {
        CPP / source: folder / f"{Path(source).stem}.o"
        for source in ("phonemo.cpp", *(one for part in PROGRAMS.values() for one in part))
    }
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(partial(_compile_one), objects, objects.values()))
    for name, sources in PROGRAMS.items():
        parts = [str(objects[CPP / source]) for source in ("phonemo.cpp", *sources)]
        _call([COMPILER, *parts, "-o", str(folder / name), "-ldl", "-pthread"])


def _compile_one(source: Path, target: Path) -> None:
    _call([COMPILER, *FLAGS, f"-I{CPP / 'src'}", "-c", str(source), "-o", str(target)])


def _call(command: list[str]) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
