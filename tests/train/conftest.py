"""What the tests of training share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def no_plots():
    """Runs without their pictures, which take longer than a tiny training."""
    from phonemo.train.experiments import fold, training_run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold, "write_fold_plots", lambda *_: None)
        patch.setattr(training_run, "write_run_plots", lambda *_: None)
        yield
