"""Starts the process of tests.mutants.forks, and gets runs of the tests from it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run of the tests."""

    status: int | None
    """pytest's exit status, minus a signal that ended it, or None if it was ended at its limit."""
    output: str


class ForkedTests:
    """Runs the same tests again and again, until it is closed.

    Args:
        python: an interpreter of the tests' environment.
        root: the repository.
        source: the folder to import phonemo from.
        arguments: pytest's.
    """

    def __init__(self, python: str, root: Path, source: Path, arguments: Sequence[str]) -> None:
        # A mutant is in place for less than the resolution of some time stamps: no bytecode.
        environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [python, "-m", "tests.mutants.forks", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=environment,
        )

    def close(self) -> None:
        """End the process, once the present run has ended."""
        self._process.communicate()

    def run(self, seconds: float) -> Run:
        """Run the tests, at most so long.

        Raises:
            SystemExit: the process has ended.
        """
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        try:
            requests.write(f"{seconds}\n")
            requests.flush()
        except BrokenPipeError as error:
            raise SystemExit("tests.mutants.forks has ended; its error stands above") from error
        line = answers.readline()
        if not line:
            raise SystemExit("tests.mutants.forks has ended; its error stands above")
        return Run(**json.loads(line))
