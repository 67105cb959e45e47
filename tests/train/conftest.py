"""What the tests of training share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.train import pictures
from tests.train.forking import Launcher, launcher

#: Here trainings draw their pictures.
DRAWN = {"tests.train.test_last", "tests.train.test_rated_dimensions"}


@pytest.fixture(scope="module", autouse=True)
def no_plots(request: pytest.FixtureRequest):
    """Trainings draw no pictures; fixtures that train name it, so that it comes before them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__ not in DRAWN:
            pictures.leave_out(patch)
        yield


@pytest.fixture(scope="package")
def forked(tmp_path_factory) -> Iterator[Launcher]:
    """Launches trainings in processes of their own that import nothing."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork, which this system lacks")
    with launcher(tmp_path_factory.mktemp("launcher")) as one:
        yield one
