"""Checkpoints of trainable weights, optimizer, schedule and random state, without pickles.

``ResumableTrainer`` is transformers' Trainer with these checkpoints: checksummed, written
atomically.
"""

from __future__ import annotations

import json
import logging
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import ExportableState

from phonemo.errors import CheckpointError
from phonemo.files import SCRATCH, checksummed_folder, loads_json, verify_checksums
from phonemo.train import distributed
from phonemo.train.distributed import Rank

log = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"
OPTIMISER = "optimizer.safetensors"
STATE = "state.json"
TRAINER = "trainer_state.json"
PREFIX = "checkpoint-"


def save_checkpoint(
    target: Path,
    model: nn.Module,
    names: Iterable[str],
    optimizer: Any,
    scheduler: Any,
    trainer_state: Any,
    scaler: Any = None,
    draws: Sequence[RngState] | None = None,
) -> None:
    """Write a checkpoint with checksums.

    Args:
        target: the folder.
        model: its parameters ``names`` and all its buffers are saved; the rest is frozen and
            comes from the backbone.
        names: parameters that are trained in some epoch.
        optimizer: with ``state_dict``.
        scheduler: with ``state_dict``.
        trainer_state: with ``save_to_json``.
        scaler: the gradient scaler of fp16 training, if any.
        draws: the random state of every process; default: that of this one.
    """
    first, *others = draws or [RngState.now()]
    kept = set(names) | {name for name, _ in model.named_buffers()}
    weights = {k: v.detach().contiguous() for k, v in model.state_dict().items() if k in kept}
    tensors, groups = _flat_optimizer(optimizer.state_dict())
    tensors |= first.tensors
    for number, other in enumerate(others, start=1):
        tensors |= {f"rank{number}.{name}": tensor for name, tensor in other.tensors.items()}
    state = {
        "groups": groups,
        "scheduler": scheduler.state_dict(),
        "random": first.state,
        "scaler": None if scaler is None else scaler.state_dict(),
    }
    if others:
        state["random_of_others"] = [other.state for other in others]
    with checksummed_folder(target, (OSError, SafetensorError)) as folder:
        save_file(weights, folder / WEIGHTS)
        save_file(tensors, folder / OPTIMISER)
        (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
        trainer_state.save_to_json(str(folder / TRAINER))


@contextmanager
def _checked_content(folder: Path) -> Iterator[None]:
    """Raise CheckpointError for content that matches its checksums but is of another kind."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: expected a checkpoint of this training, got another "
            f"({str(error).partition(chr(10))[0]}); remove it to resume from the one before"
        ) from error


def load_weights(folder: Path, model: nn.Module) -> None:
    """Load a checkpoint's weights into the model it was made from."""
    with _checked_content(folder):
        weights = load_file(folder / WEIGHTS)
    result = model.load_state_dict(weights, strict=False)
    if result.unexpected_keys:
        raise CheckpointError(
            f"{folder}: expected a checkpoint of this network, which has no "
            f"{result.unexpected_keys[0]!r}, got one of another; remove it"
        )


def load_optimizer(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """Restore a checkpoint's optimizer and schedule."""
    with _checked_content(folder):
        tensors, state = load_file(folder / OPTIMISER), _state(folder)
        optimizer.load_state_dict(_deep_optimizer(tensors, state["groups"]))
        scheduler.load_state_dict(state["scheduler"])


def load_scaler(folder: Path, scaler: Any) -> None:
    """Restore the gradient scaler of fp16 training, where both sides have one."""
    with _checked_content(folder):
        state = _state(folder)["scaler"]
        if scaler is not None and state is not None:
            scaler.load_state_dict(state)


def _state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = loads_json((folder / STATE).read_bytes())
    return state


def load_random(folder: Path, rank: Rank | None = None) -> None:
    """Restore the random state of python, numpy and torch.

    Args:
        folder: the checkpoint.
        rank: this process and the world size; default: a single process. A process that the
            checkpoint has no state for keeps its current one.
    """
    rank = rank or Rank()
    with _checked_content(folder):
        tensors, state = load_file(folder / OPTIMISER), _state(folder)
        states = [state["random"], *state.get("random_of_others", ())]
    if len(states) != rank.world:
        log.warning(
            "%s was written by %d process(es) and is resumed by %d: random numbers differ from "
            "here on, so the weights will not equal those of an uninterrupted training",
            *(folder, len(states), rank.world),
        )
    if rank.number < len(states):
        prefix = "" if rank.first else f"rank{rank.number}."
        own_tensors = {
            name.removeprefix(prefix): tensors[name]
            for name in tensors
            if _is_rng_state(name, prefix)
        }
        with _checked_content(folder):
            RngState(own_tensors, states[rank.number]).restore()


@dataclass(frozen=True)
class RngState:
    """The random state of a process: torch's as tensors, python's and numpy's as JSON."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    @classmethod
    def now(cls) -> RngState:
        """Return the state of this process."""
        return cls(_random_tensors(), _random_state())

    def restore(self) -> None:
        """Set this process' random state."""
        version, words, gauss = self.state["python"]
        random.setstate((version, tuple(words), gauss))
        name, keys, *rest = self.state["numpy"]
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
        torch.random.set_rng_state(self.tensors["random.cpu"])
        if torch.cuda.is_available() and "random.cuda.0" in self.tensors:
            for number, device in enumerate(_devices()):
                torch.cuda.random.set_rng_state(self.tensors[f"random.cuda.{number}"], device)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest intact checkpoint of a folder; broken ones are logged and skipped."""
    for path in sorted(folder.glob(f"{PREFIX}*"), key=_step, reverse=True):
        if path.name.endswith(SCRATCH):
            continue
        try:
            verify_checksums(path)
        except CheckpointError as error:
            log.warning("skipping a broken checkpoint: %s", error)
        else:
            return path
    return None


def rotate(folder: Path, keep: int, best: str | None) -> None:
    """Remove all but the ``keep`` newest checkpoints and the best one."""
    paths = sorted(folder.glob(f"{PREFIX}*"), key=_step)
    for path in paths[:-keep]:
        if best is None or path.name != Path(best).name:
            shutil.rmtree(path)


def _step(path: Path) -> int:
    digits = path.name.removeprefix(PREFIX).removesuffix(SCRATCH)
    return int(digits) if digits.isdigit() else -1


def _flat_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[Any]]:
    tensors = {
        f"{number}.{name}": torch.as_tensor(value).detach().contiguous()
        for number, entries in state["state"].items()
        for name, value in entries.items()
    }
    return tensors, list(state["param_groups"])


def _deep_optimizer(tensors: Mapping[str, Tensor], groups: list[Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        if number.isdigit():
            state.setdefault(int(number), {})[name] = value
    return {"state": state, "param_groups": groups}


def _is_rng_state(name: str, prefix: str) -> bool:
    return name.startswith(f"{prefix}random.")


def _devices() -> list[int]:
    """Return the GPUs this process uses: its own, where each process has one."""
    if distributed.current_rank().world > 1:
        return [torch.cuda.current_device()]
    return list(range(torch.cuda.device_count()))


def _random_tensors() -> dict[str, Tensor]:
    tensors = {"random.cpu": torch.random.get_rng_state()}
    if torch.cuda.is_available():
        states = map(torch.cuda.random.get_rng_state, _devices())
        tensors |= {f"random.cuda.{number}": state for number, state in enumerate(states)}
    return tensors


def _random_state() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state(legacy=True)
    return {"python": random.getstate(), "numpy": [name, np.asarray(keys).tolist(), *rest]}


class ResumableTrainer(Trainer):
    """Trainer whose state is saved to checkpoints and resumed from them.

    Attributes:
        network: the module that is trained.
        learning: names of the trained parameters; the others are not saved.
        folder: the checkpoints' folder.
        kept: number of checkpoints to keep, besides the best.
        below: name prefix of the parameters with a separate learning rate.
        betas: AdamW's betas.
    """

    network: Any  # any module
    learning: Sequence[str]
    folder: Path
    kept: int
    below: str
    betas = (0.9, 0.999)

    def rates(self) -> tuple[float, float]:
        """Return the learning rates of the parameters above and ``below``."""
        raise NotImplementedError

    def decay(self) -> float:
        """Return AdamW's weight decay."""
        raise NotImplementedError

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Create AdamW with two rates for all trained parameters; norms and biases undecayed."""
        if self.optimizer is None:
            groups: dict[tuple[bool, bool], list[nn.Parameter]] = defaultdict(list)
            parameters = dict(self.network.named_parameters())
            for name in self.learning:
                if distributed.current_rank().world > 1:
                    # DDP reduces the gradients of parameters that require one now, before the
                    # strategy freezes them again
                    parameters[name].requires_grad_(True)
                group = name.startswith(self.below), parameters[name].ndim > 1
                groups[group].append(parameters[name])
            self.optimizer = torch.optim.AdamW(
                [self._group(group, members) for group, members in sorted(groups.items())],
                betas=self.betas,
            )
        return self.optimizer

    def _group(self, group: tuple[bool, bool], members: list[nn.Parameter]) -> dict[str, Any]:
        below, decays = group
        decay = self.decay() if decays else 0.0
        return {"params": members, "lr": self.rates()[below], "weight_decay": decay}

    def _announce(self, scores: Mapping[str, float], prefix: str) -> dict[str, float]:
        """Log an evaluation and notify the callbacks, as Trainer.evaluate does."""
        metrics = {f"{prefix}_{name}": value for name, value in scores.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        target = self.folder / f"{PREFIX}{self.state.global_step}"
        best = self.state.best_global_step
        if best:
            self.state.best_model_checkpoint = str(self.folder / f"{PREFIX}{best}")
        self._collect_callback_states()
        draws = distributed.gathered(RngState.now())
        distributed.on_main_process(self._write, target, draws)

    def _write(self, target: Path, draws: Sequence[RngState]) -> None:
        save_checkpoint(
            target,
            self.network,
            self.learning,
            self.optimizer,
            self.lr_scheduler,
            self.state,
            self._scaler(),
            draws,
        )
        rotate(self.folder, self.kept, self.state.best_model_checkpoint)

    def _collect_callback_states(self) -> None:
        states: Any = self.state.stateful_callbacks
        for callback in [*self.callback_handler.callbacks, self.control]:
            if isinstance(callback, ExportableState):
                states[type(callback).__name__] = callback.state()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(Path(resume_from_checkpoint), self.network)

    def _load_optimizer_and_scheduler(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            load_optimizer(Path(checkpoint_folder), self.optimizer, self.lr_scheduler)

    def _load_rng_state(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            load_random(Path(checkpoint_folder), distributed.current_rank())

    def _load_scaler(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            load_scaler(Path(checkpoint_folder), self._scaler())

    def _scaler(self) -> Any:
        """Return the gradient scaler of fp16 training; None in any other precision."""
        return getattr(self.accelerator, "scaler", None)


def arguments(folder: Path, seed: int, clip: float, **settings: Any) -> TrainingArguments:
    """Return Trainer's settings: those that all trainings share, and ``settings``."""
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
        # trained parameters change from epoch to epoch, and LayerDrop from step to step
        ddp_find_unused_parameters=True,
        **settings,
    )
