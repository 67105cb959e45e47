"""Trainer for one pretraining stage, on random crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from phonemo.errors import ModelError
from phonemo.train import checkpointing
from phonemo.train.checkpointing import ResumableTrainer, arguments
from phonemo.train.pretrain.distil import Distillation
from phonemo.train.pretrain.pretrain_config import PretrainConfig, StageConfig
from phonemo.train.pretrain.speech import Crops


class StageTrainer(ResumableTrainer):
    """Trains the student for one stage.

    Args:
        distillation: student, teacher, and the loss between them.
        config: the pretraining's config.
        stage: this stage's config.
        crops: the training data.
        held_out: batches of crops (batch, sample) for evaluation only.
        folder: for checkpoints.
        callbacks: Trainer callbacks.
    """

    below = "network.encoder."
    betas = (0.9, 0.98)

    def __init__(
        self,
        distillation: Distillation,
        config: PretrainConfig,
        stage: StageConfig,
        crops: Crops,
        held_out: Sequence[Tensor],
        folder: Path,
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        self.distillation = distillation
        self.settings = config
        self.stage = stage
        self.crops = crops
        self.held_out = held_out
        self.folder = folder
        self.kept = 1
        self.network = distillation.student
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(distillation.whole or not name.startswith(self.below))
        self.learning = [name for name, p in self.network.named_parameters() if p.requires_grad]
        super().__init__(
            model=distillation,
            args=_arguments(config, stage, folder),
            data_collator=_collate,
            train_dataset=crops,
            eval_dataset=list(held_out),
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)

    def resume_or_start(self) -> None:
        """Train to the end, from the newest intact checkpoint if there is one."""
        newest = checkpointing.newest_checkpoint(self.folder)
        self.train(resume_from_checkpoint=None if newest is None else str(newest))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Compute the distillation loss."""
        output = model(inputs["waveform"])
        if not torch.isfinite(output["loss"]):
            raise ModelError(
                f"expected a finite loss, got {output['loss'].item()} at step "
                f"{self.state.global_step}; lower rate_front or rate_layers"
            )
        return (output["loss"], output) if return_outputs else output["loss"]

    @torch.no_grad()
    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Compute the loss on held-out crops, in total and for each layer."""
        losses = [self.distillation(batch.to(self.args.device)) for batch in self.held_out]
        scores = {
            name: sum(float(loss[name]) for loss in losses) / len(losses) for name in losses[0]
        }
        return self._announce(scores, metric_key_prefix)

    def rates(self) -> tuple[float, float]:
        """Return the learning rates of front end and Transformer."""
        return self.stage.rate_front, self.stage.rate_layers

    def decay(self) -> float:
        """Return AdamW's weight decay."""
        return self.settings.weight_decay

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.crops)  # crops are random already


def _collate(crops: Sequence[Tensor]) -> dict[str, Tensor]:
    return {"waveform": torch.stack(list(crops))}


def _arguments(config: PretrainConfig, stage: StageConfig, folder: Path) -> TrainingArguments:
    return arguments(
        folder,
        config.seed,
        config.gradient_clip,
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch_size,
        learning_rate=stage.rate_front,
        lr_scheduler_type="cosine",
        warmup_steps=stage.warmup,
        eval_strategy="steps",
        eval_steps=config.save_steps,
        save_strategy="steps",
        save_steps=config.save_steps,
        logging_steps=config.log_steps,
        bf16=stage.precision == "bf16",
    )
