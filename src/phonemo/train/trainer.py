"""One training: transformers' Trainer with our loss, sampler, validation and checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from phonemo.config import DimensionsConfig, TrainConfig
from phonemo.errors import ModelError
from phonemo.files import verify_checksums
from phonemo.model.losses import Loss, Term, combine, ctc_loss, emotion_loss, gradient_share
from phonemo.model.network import EmotionOutput, PhonemoForAudioClassification
from phonemo.model.rating_losses import DIMENSION_LOSSES, MomentTerm, vote_loss
from phonemo.train import checkpointing, distributed
from phonemo.train.checkpointing import ResumableTrainer, arguments
from phonemo.train.dataset import (
    PADDING_ROW,
    DistributedBatchSampler,
    LengthGroupedSampler,
    SpeechDataset,
    collate,
)
from phonemo.train.evaluate import validation_scores
from phonemo.train.freezing import freeze, frozen_depth, trainable_parameters

#: Distance between the seeds of two processes, larger than between a config's seeds.
_APART = 1_000_003


@dataclass(frozen=True)
class Objective:
    """The multi-task loss with its fixed settings."""

    alpha: float | None
    reduction: str
    class_weights: Tensor | None
    label_smoothing: float
    dimensions: DimensionsConfig | None = None

    def __call__(self, output: EmotionOutput, batch: Mapping[str, Tensor]) -> Loss:
        """Return the loss of a forward pass over its batch, with its parts.

        With several processes, this is the loss of the process' share of the batch.
        """
        terms = self._terms(output, batch)
        if distributed.current_rank().world == 1:
            return combine(terms)
        if PADDING_ROW in batch:
            terms = {name: (_uncounted(term), weight) for name, (term, weight) in terms.items()}
        return gradient_share(terms, distributed.summed)

    def _terms(
        self, output: EmotionOutput, batch: Mapping[str, Tensor]
    ) -> dict[str, tuple[Term, float]]:
        """Return the terms of the network's tasks, with their weights."""
        terms = {"emotion": (self._emotion(output, batch), 1.0)}
        if self.alpha is not None and output.phoneme_logits is not None:
            term = ctc_loss(
                output.phoneme_logits,
                output.frames,
                batch["phonemes"],
                batch["phoneme_lengths"],
                self.reduction,
            )
            terms["phonemes"] = term, self.alpha
        if self.dimensions is not None and output.dimensions is not None:
            given = DIMENSION_LOSSES[self.dimensions.loss](output.dimensions, batch["dimensions"])
            terms["dimensions"] = _over_processes(given), self.dimensions.weight
        return terms

    def _emotion(self, output: EmotionOutput, batch: Mapping[str, Tensor]) -> Term:
        weights = self.class_weights
        if weights is not None:
            weights = weights.to(output.logits.device)
        if "votes" in batch:
            return vote_loss(output.logits, batch["votes"], weights, self.label_smoothing)
        return emotion_loss(output.logits, batch["labels"], weights, self.label_smoothing)


def _over_processes(term: Term | MomentTerm) -> Term:
    """The loss of the whole batch, from the sums of all processes."""
    if isinstance(term, Term):
        return term
    world = distributed.current_rank().world
    total = term.moments.detach()
    if world > 1:
        total = distributed.summed(total.flatten()).reshape(total.shape)
    return term.of_sums(total, world)


def _uncounted(term: Term) -> Term:
    """Exclude a padding utterance from the counts."""
    return replace(term, counts=dict.fromkeys(term.counts, 0))


class PhonemoTrainer(ResumableTrainer):
    """Trains one network on one fold with one seed.

    The validation part picks the epoch; there is no argument for a test part.
    """

    below = "backbone."

    def __init__(
        self,
        model: PhonemoForAudioClassification,
        config: TrainConfig,
        objective: Objective,
        training: SpeechDataset,
        validation: SpeechDataset,
        folder: Path,
        seed: int,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.settings = config
        self.objective: Objective = objective
        self.network = model
        self.training = training
        self.validation = validation
        self.learning = trainable_parameters(model, config)
        self.kept = config.keep_checkpoints
        below = frozen_depth(model, config)
        model.mask_streams = below is not None and below.layers is not None
        self.folder = folder
        self.sums: dict[str, list[float]] = defaultdict(list)
        super().__init__(
            model=model,
            args=_arguments(config, folder, seed),
            data_collator=collate,
            train_dataset=training,
            eval_dataset=validation,
            callbacks=[_Epochs(self), *_early_stopping(config), *callbacks],
        )
        self.remove_callback(PrinterCallback)
        self.order: DistributedBatchSampler | None = None
        # dropout differs between processes; the first keeps the seed of a single process
        if not distributed.current_rank().first:
            set_seed(seed + _APART * distributed.current_rank().number)

    @property
    def steps_in_epoch(self) -> int:
        """Optimizer steps in one pass over the training part."""
        return -(-len(self.training) // self.settings.batch_size)

    def resume_or_start(self) -> None:
        """Train to the end, from the newest complete checkpoint if there is one."""
        newest = distributed.on_main_process(checkpointing.newest_checkpoint, self.folder)
        if newest is None or not self._has_ended(newest):
            self.train(resume_from_checkpoint=None if newest is None else str(newest))
        else:  # tests are computed in the precision of training, as after train()
            self.accelerator.prepare_model(self.model, evaluation_mode=True)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the multi-task loss; its parts are summed up for the log."""
        names = ("input_values", "attention_mask", "frozen", "spans")
        arguments = {name: inputs[name] for name in names if name in inputs}
        if "frozen" in arguments:  # Trainer cannot move it
            arguments["frozen"] = arguments["frozen"].to(self.args.device)
        output = model(**arguments)
        loss = self.objective(output, inputs)
        if not torch.isfinite(loss.value):  # summed over all processes: all end here, or none
            raise ModelError(
                f"the loss is {loss.value.item()} at step {self.state.global_step}; "
                "lower train.rate_heads or train.rate_backbone"
            )
        for name, value in loss.parts.items():
            self.sums[f"loss_{name}"].append(float(value))
        for name in ("phonemes_absent", "phonemes_too_long", "dimensions_absent"):
            if name in loss.counts:
                self.sums[name].append(loss.counts[name])
        # torch averages gradients over the processes, and Trainer its logged values
        total = (
            loss.total
            if distributed.current_rank().world == 1
            else loss.total * distributed.current_rank().world
        )
        return (total, output) if return_outputs else total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the parts of the loss to the log line that has the loss."""
        if "loss" in logs:
            for name, values in self.sums.items():
                is_mean = name.startswith("loss_")
                logs[name] = sum(values) / len(values) if is_mean else sum(values)
            self.sums.clear()
        super().log(logs, start_time)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return UA, WA, loss and phoneme error rate of the validation part."""
        scores = validation_scores(self.network, self.validation, self.settings.batch_size)
        return self._announce(scores, metric_key_prefix)

    def rates(self) -> tuple[float, float]:
        """Return the learning rates of the heads and of the backbone."""
        return self.settings.rate_heads, self.settings.rate_backbone

    def decay(self) -> float:
        """Return AdamW's weight decay."""
        return self.settings.weight_decay

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return Trainer's loader; with several processes, each gets its share of its batches.

        Trainer's own loader would fill the last batch with repeated utterances.
        """
        here = distributed.current_rank()
        if here.world == 1:
            return super().get_train_dataloader()
        self.order = DistributedBatchSampler(self._get_train_sampler(), here.number, here.world)
        return DataLoader(
            self.training,
            batch_sampler=self.order,
            collate_fn=collate,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        lengths = self.training.lengths()
        if self.training.cache is None:  # in frames as with a cache, so that the order is the same
            lengths = self.network.backbone.frames(torch.tensor(lengths)).tolist()
        return LengthGroupedSampler(lengths, self.settings.batch_size, self.args.seed)

    def _load_best_model(self) -> None:
        self._load_best(self.state, self.folder)

    def _has_ended(self, newest: Path) -> bool:
        """Check whether training ended at this checkpoint; if so, load the best weights.

        Trainer would otherwise train one epoch more than an uninterrupted run.
        """
        state = TrainerState.load_from_json(str(newest / checkpointing.TRAINER))
        stopped = state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
        ended = state.global_step >= state.max_steps > 0
        if not (ended or stopped.get("should_training_stop")):
            return False
        self.state = state
        self._load_best(state, newest)
        return True

    def _load_best(self, state: TrainerState, newest: Path) -> None:
        best = self.folder / Path(state.best_model_checkpoint or newest).name
        distributed.on_main_process(verify_checksums, best)
        checkpointing.load_weights(best, self.network)


class _Epochs(TrainerCallback):
    """Sets the epoch of dataset, sampler and strategy, and saves within epochs."""

    def __init__(self, trainer: PhonemoTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        epoch = state.global_step // self.trainer.steps_in_epoch
        self.trainer.training.set_epoch(epoch)
        if self.trainer.order is not None:
            self.trainer.order.sampler.set_epoch(epoch)
        freeze(self.trainer.network, self.trainer.settings, epoch)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = self.trainer.settings.save_steps
        # the last step is saved after the epoch's evaluation, or resuming would skip that
        inside = state.global_step % self.trainer.steps_in_epoch != 0
        if every is not None and inside and state.global_step % every == 0:
            control.should_save = True


def _early_stopping(config: TrainConfig) -> list[TrainerCallback]:
    return [EarlyStoppingCallback(config.patience)] if config.selects else []


def objective_of(
    config: TrainConfig,
    auxiliary: Any,
    training: SpeechDataset,
    dimensions: DimensionsConfig | None = None,
) -> Objective:
    """Return a config's loss; class weights are computed from the training part."""
    return Objective(
        alpha=None if auxiliary is None else auxiliary.alpha,
        reduction="per_token" if auxiliary is None else auxiliary.reduction,
        class_weights=_class_weights(config, training),
        label_smoothing=config.label_smoothing,
        dimensions=dimensions,
    )


_WEIGHTS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "none": None,
    "balanced": lambda counts: counts.reciprocal(),
    "square_root": lambda counts: counts.rsqrt(),
}


def _class_weights(config: TrainConfig, training: SpeechDataset) -> Tensor | None:
    weigh = _WEIGHTS[config.class_weights]
    if weigh is None:
        return None
    counts = _target_counts(training)
    if not len(counts):
        return None
    weights = weigh(counts.clamp(min=1))
    return weights / weights.mean()


def _target_counts(training: SpeechDataset) -> Tensor:
    """How much of the emotion targets each emotion has, (emotion,): utterances, or their shares."""
    targets = training.targets
    if targets.votes:
        shares = [torch.from_numpy(targets.distribution(row)) for row in training.utterances]
        return torch.stack(shares).sum(dim=0)
    labels = [targets.label(utterance) for utterance in training.utterances]
    known = torch.tensor([label for label in labels if label >= 0], dtype=torch.long)
    return torch.bincount(known, minlength=len(targets.labels)).float()


def _arguments(config: TrainConfig, folder: Path, seed: int) -> TrainingArguments:
    return arguments(
        folder,
        seed,
        config.gradient_clip,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        learning_rate=config.rate_heads,
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup,
        eval_strategy="epoch" if config.selects else "no",
        save_strategy="epoch",
        logging_strategy="epoch",
        load_best_model_at_end=config.selects,
        metric_for_best_model=f"eval_{config.select_by}" if config.selects else None,
        greater_is_better=config.select_by != "loss",
        restore_callback_states_from_checkpoint=True,
        activation_checkpointing=config.gradient_checkpointing,
        bf16=config.precision == "bf16",
        fp16=config.precision == "fp16",
    )
