"""What can be trained on a cell, by the name that a config gives it."""

from __future__ import annotations

from collections.abc import Callable

from phonemo.train.callbacks import Progress
from phonemo.train.cells import Network, System
from phonemo.train.egemaps import EgemapsSvm
from phonemo.train.experiment import Experiment

SYSTEMS: dict[str, Callable[[Experiment, Progress], System]] = {
    "network": Network,
    "egemaps-svm": EgemapsSvm,
}
