"""Copy the runtime in JavaScript, which js/ has in TypeScript, into the page: `make page-runtime`.

python -m tests.site.compiled_runtime
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.js.node import node
from tests.laws import REPOSITORY

SOURCE, TARGET = REPOSITORY / "js", REPOSITORY / "src" / "phonemo" / "web" / "phonemo"
#: Entry points that import onnxruntime by themselves.
_LEFT_OUT = {"node.js", "web.js"}


def compiler() -> list[str] | None:
    """The command of the TypeScript that `make js` installs; None where it is missing."""
    program, script = node() or shutil.which("node"), SOURCE / "node_modules" / ".bin" / "tsc"
    return [program, str(script)] if program and script.exists() else None


def compiled(command: list[str]) -> dict[str, bytes]:
    """Name -> content of the runtime's modules."""
    with tempfile.TemporaryDirectory() as folder:
        project = ["-p", str(SOURCE / "tsconfig.json"), "--declaration", "false"]
        subprocess.run([*command, *project, "--outDir", folder], check=True, capture_output=True)
        paths = sorted(Path(folder).glob("*.js"))
        return {path.name: path.read_bytes() for path in paths if path.name not in _LEFT_OUT}


def main() -> None:
    """Write the copy."""
    command = compiler()
    assert command is not None, "needs node and the packages of js/: make js"
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    for name, content in compiled(command).items():
        (TARGET / name).write_bytes(content)


if __name__ == "__main__":
    main()
