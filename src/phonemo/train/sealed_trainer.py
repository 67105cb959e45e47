"""transformers' Trainer with sealed checkpoints: no pickles, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer
from transformers.trainer_callback import ExportableState

from phonemo.train import checkpoint


class SealedTrainer(Trainer):
    """What every training here has in common: how its state is kept and found again.

    Attributes:
        network: what learns.
        learning: names of its parameters that learn; the others are not kept.
        folder: where the checkpoints lie.
        kept: how many of them stay, besides the best.
    """

    network: Any  # a module of whatever kind is trained
    learning: Sequence[str]
    folder: Path
    kept: int

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        target = self.folder / f"{checkpoint.PREFIX}{self.state.global_step}"
        best = self.state.best_global_step
        if best:
            self.state.best_model_checkpoint = str(self.folder / f"{checkpoint.PREFIX}{best}")
        self._keep_callback_states()
        checkpoint.save_checkpoint(
            target,
            self.network,
            self.learning,
            self.optimizer,
            self.lr_scheduler,
            self.state,
            self._scaler(),
        )
        checkpoint.rotate(self.folder, self.kept, self.state.best_model_checkpoint)

    def _keep_callback_states(self) -> None:
        kept: Any = self.state.stateful_callbacks
        for callback in [*self.callback_handler.callbacks, self.control]:
            if isinstance(callback, ExportableState):
                kept[type(callback).__name__] = callback.state()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        checkpoint.load_weights(Path(resume_from_checkpoint), self.network)

    def _load_optimizer_and_scheduler(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            checkpoint.load_optimizer(Path(checkpoint_folder), self.optimizer, self.lr_scheduler)

    def _load_rng_state(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            checkpoint.load_random(Path(checkpoint_folder))

    def _load_scaler(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            checkpoint.load_scaler(Path(checkpoint_folder), self._scaler())

    def _scaler(self) -> Any:
        """The gradient scaler of fp16 training; None in any other precision."""
        return getattr(self.accelerator, "scaler", None)
