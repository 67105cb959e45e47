"""Training states: what learns, the optimiser, the schedule and the random numbers; no pickles.

transformers' Trainer with sealed checkpoints: no pickles, whole or not at all.
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
    """Write a checkpoint, sealed.

    Args:
        target: the folder.
        model: its parameters ``names`` and all its buffers are kept; the rest is frozen and
            comes from the backbone.
        names: parameters that learn in some epoch.
        optimizer: with ``state_dict``.
        scheduler: with ``state_dict``.
        trainer_state: with ``save_to_json``.
        scaler: the gradient scaler of fp16 training, if there is one.
        draws: where the random numbers of every process stand; default: of this one.
    """
    first, *others = draws or [RngState.now()]
    kept = set(names) | {name for name, _ in model.named_buffers()}
    weights = {k: v.detach().contiguous() for k, v in model.state_dict().items() if k in kept}
    tensors, groups = _flat_optimizer(optimizer.state_dict())
    tensors |= first.tensors
    for number, one in enumerate(others, start=1):
        tensors |= {f"rank{number}.{name}": tensor for name, tensor in one.tensors.items()}
    state = {
        "groups": groups,
        "scheduler": scheduler.state_dict(),
        "random": first.state,
        "scaler": None if scaler is None else scaler.state_dict(),
    }
    if others:
        state["random_of_others"] = [one.state for one in others]
    with checksummed_folder(target, (OSError, SafetensorError)) as folder:
        save_file(weights, folder / WEIGHTS)
        save_file(tensors, folder / OPTIMISER)
        (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
        trainer_state.save_to_json(str(folder / TRAINER))


@contextmanager
def _of_this_version(folder: Path) -> Iterator[None]:
    """CheckpointError for content that is as it was sealed, and yet not what is wanted."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: not a checkpoint of this training ({str(error).partition(chr(10))[0]}); "
            "remove it, and the training goes on from the one before"
        ) from error


def load_weights(folder: Path, model: nn.Module) -> None:
    """Put a checkpoint's weights into the model it was made from."""
    with _of_this_version(folder):
        weights = load_file(folder / WEIGHTS)
    result = model.load_state_dict(weights, strict=False)
    if result.unexpected_keys:
        raise CheckpointError(
            f"{folder}: of another network; it has no {result.unexpected_keys[0]!r}"
        )


def load_optimizer(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """Put a checkpoint's optimiser and schedule back."""
    with _of_this_version(folder):
        tensors, state = load_file(folder / OPTIMISER), _state(folder)
        optimizer.load_state_dict(_deep_optimizer(tensors, state["groups"]))
        scheduler.load_state_dict(state["scheduler"])


def load_scaler(folder: Path, scaler: Any) -> None:
    """Put the gradient scaler of fp16 training back, where both sides have one."""
    with _of_this_version(folder):
        state = _state(folder)["scaler"]
        if scaler is not None and state is not None:
            scaler.load_state_dict(state)


def _state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = loads_json((folder / STATE).read_bytes())
    return found


def load_random(folder: Path, rank: Rank | None = None) -> None:
    """Put the random numbers of python, numpy and torch back.

    Args:
        folder: the checkpoint.
        rank: which process this is of how many; default: the only one. Where there were fewer,
            it goes on with the numbers that it has.
    """
    rank = rank or Rank()
    with _of_this_version(folder):
        tensors, state = load_file(folder / OPTIMISER), _state(folder)
        states = [state["random"], *state.get("random_of_others", ())]
    if len(states) != rank.world:
        log.warning(
            "%s was written by %d process(es) and goes on with %d: other random numbers are drawn "
            "from here on, so that the weights differ from those of an uninterrupted training",
            *(folder, len(states), rank.world),
        )
    if rank.number < len(states):
        start = "" if rank.first else f"rank{rank.number}."
        own = {name.removeprefix(start): tensors[name] for name in tensors if _is_of(name, start)}
        with _of_this_version(folder):
            RngState(own, states[rank.number]).restore()


@dataclass(frozen=True)
class RngState:
    """Where the random numbers of a process stand: torch's as tensors, the others' as JSON."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    @classmethod
    def now(cls) -> RngState:
        """Of this process."""
        return cls(_random_tensors(), _random_state())

    def restore(self) -> None:
        """Go on from there."""
        version, words, gauss = self.state["python"]
        random.setstate((version, tuple(words), gauss))
        name, keys, *rest = self.state["numpy"]
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
        torch.random.set_rng_state(self.tensors["random.cpu"])
        if torch.cuda.is_available() and "random.cuda.0" in self.tensors:
            for number, device in enumerate(_devices()):
                torch.cuda.random.set_rng_state(self.tensors[f"random.cuda.{number}"], device)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder; broken ones are named in the log and passed over."""
    for path in sorted(folder.glob(f"{PREFIX}*"), key=_step, reverse=True):
        if path.name.endswith(SCRATCH):
            continue
        try:
            verify_checksums(path)
        except CheckpointError as error:
            log.warning("passing over a broken checkpoint: %s", error)
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


def _is_of(name: str, start: str) -> bool:
    return name.startswith(f"{start}random.")


def _devices() -> list[int]:
    """The GPUs that this process draws on: its own, where each has one."""
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
                if (
                    distributed.current_rank().world > 1
                ):  # torch sums the gradients of what can have one now,
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
        target = self.folder / f"{PREFIX}{self.state.global_step}"
        best = self.state.best_global_step
        if best:
            self.state.best_model_checkpoint = str(self.folder / f"{PREFIX}{best}")
        self._keep_callback_states()
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

    def _keep_callback_states(self) -> None:
        kept: Any = self.state.stateful_callbacks
        for callback in [*self.callback_handler.callbacks, self.control]:
            if isinstance(callback, ExportableState):
                kept[type(callback).__name__] = callback.state()

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
