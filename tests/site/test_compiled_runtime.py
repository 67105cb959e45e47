"""The page's runtime is what js/ compiles to."""

from __future__ import annotations

import pytest

from tests.site.compiled_runtime import TARGET, compiled, compiler


def test_the_pages_runtime_is_that_of_js():
    command = compiler()
    if command is None:
        pytest.skip("needs node and the packages of js/: make js")
    copy = {path.name: path.read_bytes() for path in TARGET.iterdir()}
    assert copy == compiled(command), "run make page-runtime"


def test_the_runtime_imports_its_own_modules_only():
    for path in TARGET.glob("*.js"):
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("import "):
                assert 'from "./' in line, (path.name, line)
