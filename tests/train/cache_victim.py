"""Makes the cache of a tiny corpus, and kills itself while it writes the second shard."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phonemo.train import feature_cache
from phonemo.train.experiments.experiment_data import prepare_experiment
from tests.train.tiny_run import make_config
from tests.train.tiny_training import make_cache


def main(arguments: Sequence[str]) -> None:
    """Make it, and die: FOLDER CACHES."""
    save, saved = np.save, []

    def dying(path, array):
        saved.append(path)
        if len(saved) == 4:  # two tensors a shard
            os.kill(os.getpid(), signal.SIGKILL)
        save(path, array)

    np.save, feature_cache.SHARD_UTTERANCES = dying, 9
    make_cache(prepare_experiment(make_config(Path(arguments[0]))), Path(arguments[1]))
