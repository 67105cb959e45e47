"""One server for the abuse that needs no limits of its own; its parts are imported when wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.abuse.processes import Process


@pytest.fixture(scope="session")
def shipped() -> Iterator[Process]:
    """The command with the limits as they ship; one process takes the abuse of all tests."""
    from tests.abuse.processes import server

    with server() as found:
        yield found


@pytest.fixture
def abused(shipped: Process) -> Iterator[Process]:
    """The same; after the test it answers the next ordinary request and has said nothing."""
    from tests.abuse.processes import family, heard

    before, said = sorted(family(shipped.process.pid)), shipped.said
    yield shipped
    heard(shipped)
    assert sorted(family(shipped.process.pid)) == before, "a decoder was lost"
    assert shipped.said == said
