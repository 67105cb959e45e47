"""Trainings without their pictures, which take longer than a tiny training."""

from __future__ import annotations

import pytest


def leave_out(patch: pytest.MonkeyPatch) -> None:
    """Draw none of the pictures that a training draws by itself."""
    from phonemo.train.experiments import fold, run_folder, training_run

    patch.setattr(fold, "write_fold_plots", lambda *_: None)
    patch.setattr(training_run, "write_run_plots", lambda *_: None)
    patch.setattr(run_folder, "plot_phoneme_confusions", lambda *_: None)
