"""Run pytest again and again in forks of one process: python -m tests.mutants.forks ARGUMENTS.

Importing torch, scipy and transformers takes several times as long as the tests of a small module.
So this process imports, once, every package that its first fork has imported. It imports neither
phonemo nor modules of tests: each fork imports those anew, with what was changed in them.

The arguments are pytest's. Each line of standard input is a limit in seconds; each line of standard
output is JSON: the exit status of that run (null if the limit ended it), and the end of its output.
"""

from __future__ import annotations

import tests.environment  # noqa: F401

# isort: split
import contextlib
import gc
import importlib
import json
import math
import os
import resource
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Sequence
from typing import IO

import pytest

_OUTPUT_CHARACTERS = 3000
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Assertions in the packages imported here are not rewritten; those in tests are.
_NOT_REWRITTEN = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


def main(arguments: Sequence[str]) -> None:
    """Run the tests once for each line of standard input."""
    imported = False
    for line in sys.stdin:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as names:
            status = _run(arguments, float(line), output, names)
            answer = {"status": status, "output": _end_of(output)}
            if not imported and status == 0:
                _import(json.loads(_all_of(names)))
                imported = True
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run(
    arguments: Sequence[str], seconds: float, output: IO[bytes], names: IO[bytes]
) -> int | None:
    child = os.fork()
    if child == 0:
        _test(arguments, seconds, output, names)
    end, ended = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        return None
    finally:
        if not ended:  # at its limit, or by a signal, which does not reach its group
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _test(arguments: Sequence[str], seconds: float, output: IO[bytes], names: IO[bytes]) -> None:
    """Run pytest in this fork, in a process group of its own, and end without any clean-up."""
    status = 3
    try:
        os.setsid()
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        limit = 2 * math.ceil(seconds)  # of all threads; for a loop whose parent was killed
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        status = int(pytest.main([*_NOT_REWRITTEN, *arguments]))
        names.write(json.dumps(_installed_modules()).encode())
        names.flush()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


def _installed_modules() -> list[str]:
    """What is imported now and is neither phonemo's nor the tests', in the order of import."""
    return [
        name
        for name, module in list(sys.modules.items())
        if name != "__main__" and (getattr(module, "__file__", None) or "").startswith(_INSTALLED)
    ]


def _import(names: Sequence[str]) -> None:
    for name in names:
        # Some packages put modules into sys.modules under names that cannot be imported.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # no collection in a fork goes through all these objects, or copies their pages


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _end_of(file: IO[bytes]) -> str:
    return _all_of(file).decode("utf-8", "replace")[-_OUTPUT_CHARACTERS:]


if __name__ == "__main__":
    for one in _ENDING:
        signal.signal(one, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
