"""A shared server for tests that only send requests; optional packages are imported lazily."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.tiny_bundle import BUNDLE

if TYPE_CHECKING:
    from tests.server.serving import Served


@pytest.fixture(scope="session")
def recognizer() -> OnnxRecognizer:
    """The golden bundle, as the servers open it."""
    return OnnxRecognizer.load(BUNDLE, threads=1)


@pytest.fixture(scope="session")
def server() -> Iterator[Served]:
    """The golden bundle, served with the limits as they ship."""
    from tests.server.serving import served

    with served() as found:
        yield found


@pytest.fixture
def port(server: Served) -> int:
    """Where it listens."""
    return server.port
