"""The config of an experiment: data, protocol, network, training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    field_validator,
    model_validator,
)

from phonemo.config.loading import BaseConfig, digest_of, load_section

Inventory = Literal["phonemes", "vowels", "broad", "phoneme_x_emotion", "characters"]
Alphabet = Literal["arpabet", "ipa"]


class LabelsConfig(BaseConfig):
    """Which emotions are told apart."""

    names: tuple[str, ...]
    """The emotions in the order of the network's outputs; others in the manifest are left out."""
    merge: dict[str, str] = Field(default_factory=dict)
    """Emotions counted as another one, such as excited: happiness."""


class ProtocolConfig(BaseConfig):
    """How utterances are divided into train, validation and test."""

    name: Literal[
        "speaker",
        "session",
        "sentence",
        "speaker-sentence",
        "published",
        "published-leaky",
        "random-leaky",
    ] = "speaker"
    """The unit that train, validation and test may not share; the leaky ones say so by name."""
    folds: int | None = Field(default=None, ge=2)
    """How many folds the units are grouped into; null makes one for each unit or pair."""
    folder: str | None = None
    """The folder of published fold files; for the published protocols only."""
    validation_units: int = Field(default=1, ge=1)
    """How many units of the training part become the validation part."""
    drop_near_duplicates: float | None = Field(default=None, gt=0, le=1)
    """Leave out train and validation utterances this near (word Jaccard) to a test transcript."""
    style: (
        Literal["scripted", "improvised", "plain-to-emotional", "emotional-to-emotional"] | None
    ) = Field(default=None, exclude_if=lambda style: style is None)
    """Use utterances of this style only, where the manifest says it; null uses all."""
    seed: int = 0
    """Seed for the order of the units and, in random-leaky, of the utterances."""


class AuxiliaryConfig(BaseConfig):
    """The task that is trained beside the emotion."""

    task: Literal["phonemes"] = "phonemes"
    """Which auxiliary head."""
    inventory: Inventory = "phonemes"
    """Which units the head recognises."""
    alphabet: Alphabet = "ipa"
    """Which closed phoneme inventory they come from; arpabet is for English alone."""
    alpha: float = Field(default=0.1, gt=0)
    """Weight of the CTC loss; for no auxiliary task set the section to null, not this to 0."""
    reduction: Literal["per_token", "per_frame", "per_utterance"] = "per_token"
    """What each utterance's CTC loss is divided by before the mean over the batch."""


class ModelConfig(BaseConfig):
    """The network, from backbone to heads."""

    backbone: str
    """A folder that transformers can open, a phonemo model, a hub id, or log-mel, a fresh CNN."""
    start: str | None = None
    """A phonemo model whose weights are taken over, outputs by name; null starts fresh heads."""
    layers: int | None = Field(default=None, ge=1)
    """How many Transformer layers of the backbone are used, from the bottom; null uses all."""
    acoustic: Literal["cnn", "lower_mix"] = "cnn"
    """Acoustic features: the CNN encoder's output, or a learned mix of the lower third."""
    semantic: Literal["last", "upper_mix", "all_mix"] = "last"
    """Semantic features: the last layer, or a learned mix of the upper or of all layers."""
    fusion: Literal[
        "cross_attention", "frame_attention", "gate", "concatenation", "acoustic", "semantic"
    ] = "cross_attention"
    """How the two streams become one; the last two use one stream alone."""
    pooling: Literal["structured", "attentive_statistics", "mean"] = "structured"
    """How a sequence becomes one vector."""
    width: int = Field(default=128, ge=4)
    """Features per frame after fusion."""
    attention_heads: int = Field(default=4, ge=1)
    """Heads of every attention in fusion and pooling; must divide width."""
    hops: int = Field(default=4, ge=1)
    """Rows of the structured self-attention (Lin et al. 2017)."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout in fusion, pooling and heads."""
    statistics: tuple[NonNegativeInt, ...] = ()
    """Hidden states whose mean and deviation over time the emotion head reads beside the fusion."""
    pooled: bool = True
    """Whether the emotion head reads the pooled fusion; false: the statistics alone."""
    frames: Literal["all", "speech"] = "all"
    """Which frames the emotion is read from; speech leaves out those 30 dB below its level."""
    moments: Literal["mean", "mean-deviation"] = "mean-deviation"
    """What of those statistics is read: both, or the mean alone."""
    head: Literal["hidden", "linear"] = "hidden"
    """The emotion head: one hidden layer, or a linear layer over standardised features."""
    auxiliary: AuxiliaryConfig | None = AuxiliaryConfig()
    """The auxiliary task; null is the single-task arm and builds no head."""


class AugmentConfig(BaseConfig):
    """Random changes to training audio, drawn by (seed, epoch, utterance id)."""

    gain_db: float = Field(default=0.0, ge=0)
    """Largest change of level in decibels, either way."""
    noise_snr_db: float | None = None
    """Lowest signal-to-noise ratio of added white noise in decibels; null adds none."""
    speed: float = Field(default=0.0, ge=0, lt=0.5)
    """Largest change of speed as a fraction, either way."""
    tone_db: float = Field(default=0.0, ge=0)
    """Largest level of a random smooth equaliser in decibels, as another microphone or room."""
    time_masks: int = Field(default=0, ge=0)
    """SpecAugment: spans of frames set to zero."""
    time_mask_frames: int = Field(default=10, ge=1)
    """SpecAugment: longest such span in frames."""
    feature_masks: int = Field(default=0, ge=0)
    """SpecAugment: spans of features set to zero."""
    feature_mask_width: int = Field(default=32, ge=1)
    """SpecAugment: widest such span in features."""

    @property
    def changes_audio(self) -> bool:
        """Whether the waveform itself is changed, so that frozen features cannot be kept."""
        heard = (self.gain_db, self.speed, self.tone_db)
        return any(one > 0 for one in heard) or self.noise_snr_db is not None


class TrainConfig(BaseConfig):
    """How the network is trained."""

    strategy: Literal["frozen", "freeze_cnn", "full", "top_k", "gradual", "lora", "logistic"] = (
        "freeze_cnn"
    )
    """Which part of the backbone learns; logistic fits a linear emotion head and nothing else."""
    top_k: int = Field(default=2, ge=1)
    """Strategies top_k and gradual: how many of the upper Transformer layers learn."""
    lora_rank: int = Field(default=8, ge=1)
    """Strategy lora: the rank of the adapters on the attention's query and value."""
    inverse_penalty: float = Field(default=0.01, gt=0)
    """Strategy logistic: C of the logistic regression; the lower, the stronger its penalty."""
    prior: Literal["none", "start"] = Field(
        default="none", exclude_if=lambda prior: prior == "none"
    )
    """Strategy logistic: start draws the head towards that of model.start, not towards zero."""
    prior_strength: float | None = Field(
        default=None, ge=0, exclude_if=lambda strength: strength is None
    )
    """Prior start: precision of its weights; 0 is none; null picks it by speakers left out."""
    standardise_by: Literal["source", "speaker"] = Field(
        default="source", exclude_if=lambda unit: unit == "source"
    )
    """Prior start: whose unlabelled statistics each training vector is standardised by."""
    epochs: int = Field(default=30, ge=1)
    """Most passes over the training part."""
    batch_size: int = Field(default=16, ge=1)
    """Utterances in a step."""
    rate_heads: float = Field(default=1e-3, gt=0)
    """Peak learning rate of everything above the backbone."""
    rate_backbone: float = Field(default=2e-5, gt=0)
    """Peak learning rate of the backbone."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """How the learning rate falls after that."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's weight decay."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing of the emotion loss."""
    class_weights: Literal["none", "balanced", "square_root"] = "none"
    """Weights of the emotion loss from the training part's class counts."""
    patience: int = Field(default=8, ge=1)
    """Epochs without a better validation score before training stops."""
    select_by: Literal["ua", "wa", "loss", "last"] = "ua"
    """The validation score that picks the epoch, or last: none is picked, validation is learnt."""
    max_seconds: float = Field(default=15.0, gt=0)
    """Longer training utterances are cropped at random to this; never in evaluation."""
    augment: AugmentConfig = AugmentConfig()
    """Augmentation of training data."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic; fp16 is for GPUs, bf16 also for CPUs with AVX512-BF16 or AMX."""
    gradient_checkpointing: bool = False
    """Spend time to save memory in the backbone."""
    save_steps: int | None = Field(default=None, ge=1)
    """Steps between checkpoints inside an epoch; null saves at the end of each epoch."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """How many checkpoints besides the best are kept."""
    cache: bool = True
    """Keep the output of frozen lower layers on disk."""
    loggers: tuple[Literal["tensorboard", "mlflow", "trackio", "wandb"], ...] = Field(
        default=("tensorboard",), exclude_if=lambda names: names == ("tensorboard",)
    )
    """Who else is told of a training besides log.jsonl; they change nothing of it."""
    wait_minutes: float = Field(default=30.0, gt=0, exclude_if=lambda minutes: minutes == 30.0)
    """Several processes: how long one waits for another that does not answer, then all end."""

    @property
    def selects(self) -> bool:
        """Whether the validation part picks the epoch; else it is learnt from."""
        return self.select_by != "last"


class ExtraConfig(BaseConfig):
    """Another corpus that is learnt from besides; it is never tested for emotions."""

    manifest: str
    """A manifest written by: phonemo prepare; of another corpus than the run's own."""
    held_out_speakers: int = Field(default=0, ge=0)
    """Speakers never learnt from; every fold reports the phoneme error rate on them."""
    repeat: int = Field(default=1, ge=1)
    """How many times each of its utterances is learnt from in an epoch: for a small corpus."""


class RunConfig(BaseConfig):
    """One experiment: data, protocol, network, training."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """A short name, used for folders and tables."""
    manifest: str
    """A manifest written by: phonemo prepare."""
    output: str
    """The run folder."""
    system: Literal["network", "egemaps-svm"] = "network"
    """What is trained: the network of section model, or a classical baseline without one."""
    extra: tuple[ExtraConfig, ...] = ()
    """Other corpora whose utterances join the training part of every fold."""
    labels: LabelsConfig
    """Which emotions are told apart."""
    protocol: ProtocolConfig = ProtocolConfig()
    """How the data is divided."""
    model: ModelConfig
    """The network."""
    train: TrainConfig = TrainConfig()
    """How it is trained."""
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    """Every fold is trained once for each seed."""
    threads: int = Field(default=2, ge=1)
    """CPU threads for torch."""

    @field_validator("seeds")
    @classmethod
    def _once_each(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed is there twice; one seed twice is one run")
        return seeds

    @model_validator(mode="after")
    def _a_linear_head_is_fitted(self) -> RunConfig:
        if self.train.strategy == "logistic" and self.model.head != "linear":
            raise ValueError("train.strategy logistic fits a linear head: set model.head=linear")
        return self

    @model_validator(mode="after")
    def _the_head_reads_something(self) -> RunConfig:
        if not self.model.pooled and not self.model.statistics:
            raise ValueError("model.pooled=false leaves the head nothing: set model.statistics=[3]")
        return self

    @model_validator(mode="after")
    def _a_prior_has_a_start(self) -> RunConfig:
        train = self.train
        if train.prior == "none":
            if train.prior_strength is not None or train.standardise_by != "source":
                raise ValueError(
                    "train.prior_strength and standardise_by are of prior start: set "
                    "train.prior=start, or leave them out"
                )
        elif train.strategy != "logistic" or self.model.start is None:
            raise ValueError(
                "train.prior start is a fitted head's: set train.strategy=logistic and model.start"
            )
        return self

    @model_validator(mode="after")
    def _what_is_not_pretrained_learns(self) -> RunConfig:
        if self.model.backbone == "log-mel" and self.train.strategy != "full":
            raise ValueError("model.backbone log-mel is not pretrained: set train.strategy=full")
        return self

    @model_validator(mode="after")
    def _a_baseline_is_selected(self) -> RunConfig:
        if self.system != "network" and self.train.select_by != "ua":
            raise ValueError(
                f"system {self.system} picks its settings by the UA of the validation part: set "
                "train.select_by=ua"
            )
        return self

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name this config; what changes no result is left out."""
        neutral = ("keep_checkpoints", "save_steps", "wait_minutes", "loggers")
        without: dict[str, Any] = {
            "output": True,
            "threads": True,
            "train": dict.fromkeys(neutral, True),
        }
        # Fields that came later leave the names of earlier configs as they were.
        if not self.train.augment.tone_db:
            without["train"]["augment"] = {"tone_db"}
        if not self.extra:
            without["extra"] = True
        if self.system == "network":
            without["system"] = True
        later = {"start", "statistics", "pooled", "frames", "moments", "head"}
        usual = {name: ModelConfig.model_fields[name].default for name in later}
        without["model"] = {name for name in later if getattr(self.model, name) == usual[name]}
        if self.train.inverse_penalty == 0.01:
            without["train"]["inverse_penalty"] = True
        return digest_of(self, without)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read the config of an experiment; see ``load_section``."""
    return load_section(path, overrides, RunConfig)
