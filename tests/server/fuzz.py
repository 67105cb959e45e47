"""schemathesis against a real server: `make fuzz-http`.

    python -m tests.server.fuzz .venv-fuzz/bin/schemathesis

Every check but two: a file that fits the description, which knows no more than "bytes", may still
be no audio, and is then rightly refused; "0" or "no" for false is more than described, and
understood.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.page.serving import serving

SEED, EXAMPLES = "1", "300"


def main(program: str) -> int:
    """Its exit status."""
    with serving("--set", "limits.queue=64") as server:
        command = [program, "run", f"{server.address}openapi.json"]
        command += ["--exclude-checks", "positive_data_acceptance,negative_data_rejection"]
        command += ["--max-examples", EXAMPLES]
        command += ["--seed", SEED, "--generation-database", "none"]
        hooks = {"SCHEMATHESIS_HOOKS": "tests.server.fuzz_hooks"}
        return subprocess.run(command, env=os.environ | hooks, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
