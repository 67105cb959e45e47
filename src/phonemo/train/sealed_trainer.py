"""transformers' Trainer with sealed checkpoints: no pickles, whole or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import ExportableState

from phonemo.train import checkpoint, ranks


class SealedTrainer(Trainer):
    """What every training here has in common: how its state is kept and found again.

    Attributes:
        network: what learns.
        learning: names of its parameters that learn; the others are not kept.
        folder: where the checkpoints lie.
        kept: how many of them stay, besides the best.
        below: how the names of the parameters begin that have a learning rate of their own.
        betas: of AdamW.
    """

    network: Any  # a module of whatever kind is trained
    learning: Sequence[str]
    folder: Path
    kept: int
    below: str
    betas = (0.9, 0.999)

    def rates(self) -> tuple[float, float]:
        """The learning rates above and ``below``."""
        raise NotImplementedError

    def decay(self) -> float:
        """AdamW's weight decay."""
        raise NotImplementedError

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with two rates, over all that learns at some time; norms and biases undecayed."""
        if self.optimizer is None:
            groups: dict[tuple[bool, bool], list[nn.Parameter]] = defaultdict(list)
            parameters = dict(self.network.named_parameters())
            for name in self.learning:
                if ranks.here().world > 1:  # torch sums the gradients of what can have one now,
                    parameters[name].requires_grad_(True)  # before the strategy freezes it again
                where = name.startswith(self.below), parameters[name].ndim > 1
                groups[where].append(parameters[name])
            self.optimizer = torch.optim.AdamW(
                [self._group(where, found) for where, found in sorted(groups.items())],
                betas=self.betas,
            )
        return self.optimizer

    def _group(self, where: tuple[bool, bool], found: list[nn.Parameter]) -> dict[str, Any]:
        below, decays = where
        decay = self.decay() if decays else 0.0
        return {"params": found, "lr": self.rates()[below], "weight_decay": decay}

    def _announce(self, scores: Mapping[str, float], prefix: str) -> dict[str, float]:
        """Log an evaluation and tell the callbacks, as Trainer.evaluate does."""
        metrics = {f"{prefix}_{name}": value for name, value in scores.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        target = self.folder / f"{checkpoint.PREFIX}{self.state.global_step}"
        best = self.state.best_global_step
        if best:
            self.state.best_model_checkpoint = str(self.folder / f"{checkpoint.PREFIX}{best}")
        self._keep_callback_states()
        draws = ranks.gathered(checkpoint.Draws.now())
        ranks.by_first(lambda: self._write(target, draws))

    def _write(self, target: Path, draws: Sequence[checkpoint.Draws]) -> None:
        checkpoint.save_checkpoint(
            target,
            self.network,
            self.learning,
            self.optimizer,
            self.lr_scheduler,
            self.state,
            self._scaler(),
            draws,
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
            checkpoint.load_random(Path(checkpoint_folder), ranks.here())

    def _load_scaler(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            checkpoint.load_scaler(Path(checkpoint_folder), self._scaler())

    def _scaler(self) -> Any:
        """The gradient scaler of fp16 training; None in any other precision."""
        return getattr(self.accelerator, "scaler", None)


def arguments(folder: Path, seed: int, clip: float, **settings: Any) -> TrainingArguments:
    """Trainer's settings: what no training here changes, and what this one does."""
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        seed=seed,
        max_grad_norm=clip,
        logging_nan_inf_filter=False,
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        # what learns changes from epoch to epoch, and LayerDrop from step to step
        ddp_find_unused_parameters=True,
        **settings,
    )
