"""One stage of a pretraining: transformers' Trainer over random crops."""

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
    """Teaches the student for one stage.

    Args:
        distillation: student, teacher, and the loss between them.
        config: the whole pretraining.
        stage: this part of it.
        crops: what is heard.
        held_out: batches of crops (batch, sample) that are never learnt from.
        folder: for checkpoints.
        callbacks: told what happens.
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
        """Train to the end, from the newest whole checkpoint if there is one."""
        newest = checkpointing.newest_checkpoint(self.folder)
        self.train(resume_from_checkpoint=None if newest is None else str(newest))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The distillation loss."""
        output = model(inputs["waveform"])
        if not torch.isfinite(output["loss"]):
            raise ModelError(
                f"the loss is {output['loss'].item()} at step {self.state.global_step}; "
                "lower rate_front or rate_layers"
            )
        return (output["loss"], output) if return_outputs else output["loss"]

    @torch.no_grad()
    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """The loss on what is held out, with its part in every layer."""
        found = [self.distillation(batch.to(self.args.device)) for batch in self.held_out]
        scores = {name: sum(float(one[name]) for one in found) / len(found) for name in found[0]}
        return self._announce(scores, metric_key_prefix)

    def rates(self) -> tuple[float, float]:
        """Of the front end, and of the Transformer."""
        return self.stage.rate_front, self.stage.rate_layers

    def decay(self) -> float:
        """AdamW's weight decay."""
        return self.settings.weight_decay

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.crops)  # the crops are drawn at random already


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
