"""What the tests of transfer studies share."""

from __future__ import annotations

from functools import partial

import pytest

from tests.train.transfer.planted import network

__all__ = ["network"]


@pytest.fixture(scope="module", autouse=True)
def few_samples():
    """Intervals of a study from 100 samples: 1000 take most of its time (they have own tests)."""
    from phonemo.train.transfer import study_summary, system_comparison, testing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_summary, "interval", partial(testing.interval, samples=100))
        few = partial(testing.resampled_interval, samples=100)
        patch.setattr(system_comparison, "resampled_interval", few)
        yield
