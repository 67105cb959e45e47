"""Fixtures for batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from phonemo.batch import run
from tests.batch.batches import Place, inline


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder for commands in their own processes."""
    with closing(Place(tmp_path)) as folder:
        yield folder


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the local engine in this process."""
    monkeypatch.setitem(run.ENGINES, "local", inline)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
