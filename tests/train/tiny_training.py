"""Networks, trainers and model folders of the tiny corpus, without a run folder around them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from phonemo.config import RunConfig
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.model.pretrained import build_network
from phonemo.train.dataset import AugmentationSeed, SpeechDataset
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.feature_cache import FeatureCache, build_cache
from phonemo.train.freezing import frozen_depth
from phonemo.train.model_folder import save_trained
from phonemo.train.trainer import PhonemoTrainer, objective_of

State = dict[str, torch.Tensor]

# Every training ends with a collection, which would look through all of torch and transformers
# again: a quarter of a second each time.
gc.freeze()


def make_network(experiment: Experiment, seed: int = 1) -> PhonemoForAudioClassification:
    """A fresh network, as a run with this seed begins."""
    config, inventory = experiment.config, experiment.targets.inventory
    torch.manual_seed(seed)
    rank = config.train.lora_rank if config.train.strategy == "lora" else None
    symbols = None if inventory is None else inventory.to_json()
    return build_network(config.model, experiment.targets.labels, symbols, rank)


def make_lively(experiment: Experiment, seed: int = 1) -> PhonemoForAudioClassification:
    """The same in evaluation mode, with heads whose scores differ from clip to clip."""
    model = make_network(experiment, seed)
    torch.manual_seed(seed + 100)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("backbone."):
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def make_cache(experiment: Experiment, folder: Path) -> FeatureCache:
    """The cache of all utterances for the config's strategy."""
    model = make_network(experiment)
    where = frozen_depth(model, experiment.config.train)
    assert where is not None
    utterances = list(experiment.utterances.values())
    return build_cache(folder, model, experiment.manifest, utterances, where)


def make_dataset(
    experiment: Experiment, ids: Sequence[str] = (), cache: FeatureCache | None = None
) -> SpeechDataset:
    """Some utterances, or all, without augmentation."""
    part = experiment.part(ids or tuple(experiment.utterances))
    return SpeechDataset(experiment.manifest, part, experiment.targets, cache)


def make_trainer(
    config: RunConfig,
    folder: Path,
    cached: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
) -> PhonemoTrainer:
    """A trainer of the first fold with seed 1."""
    experiment = prepare_experiment(config)
    cache = make_cache(experiment, folder / "cache") if cached else None
    fold, draws = experiment.split.folds[0], AugmentationSeed.of(config.train, 1)
    part = experiment.part(fold.train)
    training = SpeechDataset(experiment.manifest, part, experiment.targets, cache, draws)
    validation = make_dataset(experiment, fold.validation, cache)
    model = config.model
    objective = objective_of(config.train, model.auxiliary, training, model.dimensions)
    return PhonemoTrainer(
        make_network(experiment),
        config.train,
        objective,
        training,
        validation,
        folder / "checkpoints",
        1,
        callbacks,
    )


def save_untrained(
    config: RunConfig, target: Path, labels: LabelSet | None = None
) -> PhonemoForAudioClassification:
    """A model folder of a lively network that never learned; the network."""
    experiment = prepare_experiment(config)
    model = make_lively(experiment)
    save_trained(target, model, labels or experiment.targets.labels)
    return model


def copy_state(model: torch.nn.Module) -> State:
    """A copy of all weights."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def changed(before: State, after: State) -> set[str]:
    """Names of the tensors that are not the same to the last bit."""
    assert before.keys() == after.keys()
    return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}


class Watch(TrainerCallback):
    """Records a function of the model at the end of every step or epoch."""

    def __init__(self, measure: Callable[[Any], Any], every: str) -> None:
        self.measure, self.every = measure, every
        self.values: list[Any] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.every == "step":
            self.values.append(self.measure(kwargs["model"]))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.every == "epoch":
            self.values.append(self.measure(kwargs["model"]))
