"""Experiment config: data, protocol, network, training."""

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

Inventory = Literal["phonemes", "vowels", "broad", "emotional", "phoneme_x_emotion", "characters"]
Alphabet = Literal["arpabet", "ipa"]


class LabelsConfig(BaseConfig):
    """Which emotions are classified."""

    names: tuple[str, ...]
    """Emotions in the order of the network's outputs; others are no target. Empty: no emotions."""
    merge: dict[str, str] = Field(default_factory=dict)
    """Emotions counted as another one, such as excited: happiness."""


class ProtocolConfig(BaseConfig):
    """How utterances are split into train, validation and test."""

    name: Literal[
        "speaker",
        "session",
        "sentence",
        "speaker-sentence",
        "published",
        "published-leaky",
        "given",
        "given-leaky",
        "random-leaky",
    ] = "speaker"
    """The unit that train, validation and test do not share; the leaky protocols share it."""
    folds: int | None = Field(default=None, ge=2)
    """Number of folds that the units are grouped into; null makes one per unit or pair."""
    folder: str | None = None
    """Folder of published fold files; for the published protocols only."""
    validation_units: int = Field(default=1, ge=1)
    """Number of units of the training part that become the validation part."""
    drop_near_duplicates: float | None = Field(default=None, gt=0, le=1)
    """Drop train and validation utterances this similar (word Jaccard) to a test transcript."""
    style: (
        Literal["scripted", "improvised", "plain-to-emotional", "emotional-to-emotional"] | None
    ) = Field(default=None, exclude_if=lambda style: style is None)
    """Use only utterances with this style in the manifest; null uses all."""
    seed: int = 0
    """Seed for the order of the units and, in random-leaky, of the utterances."""


class AuxiliaryConfig(BaseConfig):
    """The auxiliary task of joint training."""

    task: Literal["phonemes"] = "phonemes"
    """The auxiliary head."""
    inventory: Inventory = "phonemes"
    """The units that the head recognizes."""
    emotional_phonemes: int = Field(default=12, ge=1, exclude_if=lambda count: count == 12)
    """Inventory emotional: phonemes kept apart, measured on each fold's training part."""
    emotional_choice: Literal["highest", "lowest"] = Field(
        default="highest", exclude_if=lambda choice: choice == "highest"
    )
    """Inventory emotional: those with most information about the emotion, or with least."""
    alphabet: Alphabet = "ipa"
    """The closed phoneme inventory; arpabet is for English only."""
    alpha: float = Field(default=0.1, gt=0)
    """Weight of the CTC loss; to train without an auxiliary task, set the section to null."""
    reduction: Literal["per_token", "per_frame", "per_utterance"] = "per_token"
    """What each utterance's CTC loss is divided by before averaging over the batch."""
    layer: int | None = Field(default=None, ge=0, exclude_if=lambda layer: layer is None)
    """The hidden state that the head reads instead of the fusion; null reads the fusion."""
    gradient: Literal["all", "fusion", "none"] = Field(
        default="all", exclude_if=lambda gradient: gradient == "all"
    )
    """How far the head's gradient flows: to all layers below, to the fusion, or not at all."""
    posteriors: Literal["unused", "fusion", "pooling"] = Field(
        default="unused", exclude_if=lambda use: use == "unused"
    )
    """Further use of the phonemes: in the semantic stream (needs layer), or to pool from vowels."""


class DimensionsConfig(BaseConfig):
    """The regression of rated dimensions, beside the emotions."""

    names: tuple[Literal["arousal", "valence", "dominance"], ...] = Field(
        default=("arousal", "valence", "dominance"), min_length=1
    )
    """The dimensions, in the order of the network's outputs."""
    loss: Literal["ccc", "mse"] = "ccc"
    """One minus the concordance correlation over a batch, or the mean squared error."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of this loss beside the emotion loss."""

    @field_validator("names")
    @classmethod
    def _check_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("expected distinct dimensions; remove the repeated one")
        return names


class ModelConfig(BaseConfig):
    """The network, from backbone to heads."""

    backbone: str
    """A transformers folder, a phonemo model, a hub id, or log-mel (a CNN trained from scratch)."""
    start: str | None = None
    """A phonemo model to copy weights from, outputs by name; null initializes new heads."""
    layers: int | None = Field(default=None, ge=1)
    """Number of Transformer layers of the backbone, from the bottom; null uses all."""
    acoustic: Literal["cnn", "lower_mix"] = "cnn"
    """Acoustic features: the CNN encoder's output, or a learned mix of the lower third."""
    semantic: Literal["last", "upper_mix", "all_mix"] = "last"
    """Semantic features: the last layer, or a learned mix of the upper or of all layers."""
    fusion: Literal[
        "cross_attention", "frame_attention", "gate", "concatenation", "acoustic", "semantic"
    ] = "cross_attention"
    """How the two streams are combined; acoustic and semantic use a single stream."""
    pooling: Literal["structured", "attentive_statistics", "mean"] = "structured"
    """How a sequence is reduced to one vector."""
    width: int = Field(default=128, ge=4)
    """Features per frame after fusion."""
    attention_heads: int = Field(default=4, ge=1)
    """Attention heads in fusion and pooling; must divide width."""
    hops: int = Field(default=4, ge=1)
    """Rows of the structured self-attention (Lin et al. 2017)."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout in fusion, pooling and heads."""
    statistics: tuple[NonNegativeInt, ...] = ()
    """Hidden states whose mean and deviation over time are further inputs of the emotion head."""
    pooled: bool = True
    """Whether the pooled fusion is an input of the emotion head; false uses the statistics only."""
    frames: Literal["all", "speech"] = "all"
    """Frames used for the emotion; speech drops those 30 dB below the speech level."""
    moments: Literal["mean", "mean-deviation"] = "mean-deviation"
    """Which of those statistics are used: both, or the mean only."""
    head: Literal["hidden", "linear"] = "hidden"
    """The emotion head: one hidden layer, or a linear layer on standardized features."""
    auxiliary: AuxiliaryConfig | None = AuxiliaryConfig()
    """The auxiliary task; null trains the emotion only, without a phoneme head."""
    dimensions: DimensionsConfig | None = Field(
        default=None, exclude_if=lambda section: section is None
    )
    """Rated dimensions that the network gives too; null gives emotions only."""


class AugmentConfig(BaseConfig):
    """Random augmentation of training audio, drawn by (seed, epoch, utterance id)."""

    gain_db: float = Field(default=0.0, ge=0)
    """Largest change of level in decibels, up or down."""
    noise_snr_db: float | None = None
    """Lowest signal-to-noise ratio of added white noise in decibels; null adds none."""
    speed: float = Field(default=0.0, ge=0, lt=0.5)
    """Largest change of speed as a fraction, up or down."""
    tone_db: float = Field(default=0.0, ge=0)
    """Largest gain of a random smooth equalizer in decibels, to imitate other microphones."""
    time_masks: int = Field(default=0, ge=0)
    """SpecAugment: number of time masks (spans of frames set to zero)."""
    time_mask_frames: int = Field(default=10, ge=1)
    """SpecAugment: longest time mask in frames."""
    feature_masks: int = Field(default=0, ge=0)
    """SpecAugment: number of feature masks (spans of features set to zero)."""
    feature_mask_width: int = Field(default=32, ge=1)
    """SpecAugment: widest feature mask in features."""

    @property
    def changes_audio(self) -> bool:
        """Whether the waveform changes, so that frozen features cannot be cached."""
        amounts = (self.gain_db, self.speed, self.tone_db)
        return any(amount > 0 for amount in amounts) or self.noise_snr_db is not None


class TrainConfig(BaseConfig):
    """How the network is trained."""

    strategy: Literal["frozen", "freeze_cnn", "full", "top_k", "gradual", "lora", "logistic"] = (
        "freeze_cnn"
    )
    """Which part of the backbone is trained; logistic fits only a linear emotion head."""
    top_k: int = Field(default=2, ge=1)
    """Strategies top_k and gradual: number of upper Transformer layers that are trained."""
    lora_rank: int = Field(default=8, ge=1)
    """Strategy lora: the rank of the adapters on the attention's query and value."""
    inverse_penalty: float = Field(default=0.01, gt=0)
    """Strategy logistic: C of the logistic regression; the lower, the stronger its penalty."""
    prior: Literal["none", "start"] = Field(
        default="none", exclude_if=lambda prior: prior == "none"
    )
    """Strategy logistic: start regularizes the head towards that of model.start, none to zero."""
    prior_strength: float | None = Field(
        default=None, ge=0, exclude_if=lambda strength: strength is None
    )
    """Prior start: precision of the prior; 0 is none; null selects it by held-out speakers."""
    standardise_by: Literal["source", "speaker"] = Field(
        default="source", exclude_if=lambda unit: unit == "source"
    )
    """Prior start: statistics that standardize a training vector, of all sources or its speaker."""
    epochs: int = Field(default=30, ge=1)
    """Maximum number of epochs."""
    batch_size: int = Field(default=16, ge=1)
    """Utterances per step."""
    rate_heads: float = Field(default=1e-3, gt=0)
    """Peak learning rate of all modules above the backbone."""
    rate_backbone: float = Field(default=2e-5, gt=0)
    """Peak learning rate of the backbone."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps used for learning-rate warmup."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """Learning-rate schedule after warmup."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's weight decay."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Maximum gradient norm."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing of the emotion loss."""
    class_weights: Literal["none", "balanced", "square_root"] = "none"
    """Weights of the emotion loss from the training part's class counts."""
    patience: int = Field(default=8, ge=1)
    """Epochs without a better validation score before training stops."""
    targets: Literal["labels", "votes"] = Field(
        default="labels", exclude_if=lambda targets: targets == "labels"
    )
    """Emotion targets: labels, or the raters' votes as shares (labels where there are none)."""
    ridge_penalty: float | None = Field(
        default=None, gt=0, exclude_if=lambda penalty: penalty is None
    )
    """Strategy logistic, rated dimensions: ridge penalty; null selects it by held-out speakers."""
    select_by: Literal["ua", "wa", "ccc", "loss", "last"] = "ua"
    """Validation score that selects the epoch; last keeps the last and trains on validation too."""
    max_seconds: float = Field(default=15.0, gt=0)
    """Longer training utterances are randomly cropped to this; evaluation never crops."""
    augment: AugmentConfig = AugmentConfig()
    """Augmentation of training data."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Numeric precision; fp16 is for GPUs, bf16 also for CPUs with AVX512-BF16 or AMX."""
    gradient_checkpointing: bool = False
    """Save memory in the backbone at the cost of time."""
    save_steps: int | None = Field(default=None, ge=1)
    """Steps between checkpoints within an epoch; null saves at the end of each epoch."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Number of checkpoints to keep besides the best."""
    cache: bool = True
    """Cache the output of frozen lower layers on disk."""
    loggers: tuple[Literal["tensorboard", "mlflow", "trackio", "wandb"], ...] = Field(
        default=("tensorboard",), exclude_if=lambda names: names == ("tensorboard",)
    )
    """Experiment trackers in addition to log.jsonl; they do not affect training."""
    wait_minutes: float = Field(default=30.0, gt=0, exclude_if=lambda minutes: minutes == 30.0)
    """Distributed training: minutes to wait for an unresponsive process before all stop."""

    @property
    def selects(self) -> bool:
        """Whether the validation part selects the epoch; otherwise it is trained on."""
        return self.select_by != "last"


class ExtraConfig(BaseConfig):
    """An additional training corpus; its emotions are never tested."""

    manifest: str
    """A manifest written by ``phonemo prepare``, of a corpus other than the run's."""
    held_out_speakers: int = Field(default=0, ge=0)
    """Speakers excluded from training; every fold reports the phoneme error rate on them."""
    held_out_split: Literal["train", "validation", "test"] | None = Field(
        default=None, exclude_if=lambda split: split is None
    )
    """The manifest's part that they belong to; null chooses among all speakers."""
    decoder_speakers: int = Field(default=0, ge=0, exclude_if=lambda count: count == 0)
    """Further speakers, not of that part, excluded to tune the phoneme decoder."""
    repeat: int = Field(default=1, ge=1)
    """Times that each utterance is used per epoch; for a small corpus."""


class RunConfig(BaseConfig):
    """One experiment: data, protocol, network, training."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """A short name, used for folders and tables."""
    manifest: str
    """A manifest written by ``phonemo prepare``."""
    output: str
    """The run folder."""
    system: Literal["network", "egemaps-svm"] = "network"
    """What is trained: the network of section model, or a classical baseline without one."""
    extra: tuple[ExtraConfig, ...] = ()
    """Other corpora whose utterances are added to the training part of every fold."""
    labels: LabelsConfig
    """Which emotions are classified."""
    protocol: ProtocolConfig = ProtocolConfig()
    """How the data is split."""
    model: ModelConfig
    """The network."""
    train: TrainConfig = TrainConfig()
    """How it is trained."""
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    """Every fold is trained once per seed."""
    threads: int = Field(default=2, ge=1)
    """CPU threads for torch."""

    @field_validator("seeds")
    @classmethod
    def _check_seeds_distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("expected distinct seeds; remove the repeated one")
        return seeds

    @model_validator(mode="after")
    def _check_logistic_head(self) -> RunConfig:
        if self.train.strategy == "logistic" and self.model.head != "linear":
            raise ValueError("train.strategy logistic needs a linear head; set model.head=linear")
        return self

    @model_validator(mode="after")
    def _check_tasks(self) -> RunConfig:
        rates = self.model.dimensions is not None
        if not self.labels.names and not rates:
            raise ValueError("labels.names is empty; name two emotions, or set model.dimensions")
        if self.train.select_by == "ccc" and not rates:
            raise ValueError("train.select_by ccc needs rated dimensions; set model.dimensions")
        if not self.labels.names and self.train.select_by in ("ua", "wa"):
            raise ValueError(
                f"train.select_by {self.train.select_by} needs emotions, and labels.names is "
                "empty; set train.select_by=ccc"
            )
        if rates and self.system != "network":
            raise ValueError(f"system {self.system} gives emotions only; remove model.dimensions")
        return self

    @model_validator(mode="after")
    def _check_head_has_input(self) -> RunConfig:
        if not self.model.pooled and not self.model.statistics:
            raise ValueError(
                "model.pooled=false without statistics leaves the head no input; set "
                "model.statistics=[3]"
            )
        return self

    @model_validator(mode="after")
    def _check_prior(self) -> RunConfig:
        train = self.train
        if train.prior == "none":
            if train.prior_strength is not None or train.standardise_by != "source":
                raise ValueError(
                    "train.prior_strength and standardise_by need prior start; set "
                    "train.prior=start or remove them"
                )
        elif train.strategy != "logistic" or self.model.start is None:
            raise ValueError(
                "train.prior start needs a fitted head; set train.strategy=logistic and model.start"
            )
        return self

    @model_validator(mode="after")
    def _check_log_mel_is_trained(self) -> RunConfig:
        if self.model.backbone == "log-mel" and self.train.strategy != "full":
            raise ValueError("model.backbone log-mel is not pretrained; set train.strategy=full")
        return self

    @model_validator(mode="after")
    def _check_baseline_selection(self) -> RunConfig:
        if self.system != "network" and self.train.select_by != "ua":
            raise ValueError(
                f"system {self.system} selects its settings by validation UA; set "
                "train.select_by=ua"
            )
        return self

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify this config by the keys that affect results."""
        neutral = ("keep_checkpoints", "save_steps", "wait_minutes", "loggers")
        without: dict[str, Any] = {
            "output": True,
            "threads": True,
            "train": dict.fromkeys(neutral, True),
        }
        # Fields added later must not change the digests of earlier configs.
        if not self.train.augment.tone_db:
            without["train"]["augment"] = {"tone_db"}
        if not self.extra:
            without["extra"] = True
        if self.system == "network":
            without["system"] = True
        later = {"start", "statistics", "pooled", "frames", "moments", "head"}
        defaults = {name: ModelConfig.model_fields[name].default for name in later}
        without["model"] = {name for name in later if getattr(self.model, name) == defaults[name]}
        if self.train.inverse_penalty == 0.01:
            without["train"]["inverse_penalty"] = True
        return digest_of(self, without)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read an experiment config; see ``load_section``."""
    return load_section(path, overrides, RunConfig)
