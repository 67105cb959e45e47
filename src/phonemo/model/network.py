"""The network: wires backbone, layer selection, fusion, pooling and heads; no arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForAudioClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils.generic import ModelOutput

from phonemo.errors import ModelError
from phonemo.model.backbone import Backbone
from phonemo.model.frozen_features import FrozenFeatures
from phonemo.model.fusion import FUSIONS
from phonemo.model.heads import AUXILIARIES, DIMENSION_HEADS, HEADS, LinearHead
from phonemo.model.layer_mix import ACOUSTIC, SEMANTIC, LayerSelector
from phonemo.model.masks import lengths_of, mask_of, mask_spans
from phonemo.model.phoneme_route import PhonemeRoute, posteriors_of, with_vowels
from phonemo.model.pooling import POOLINGS, Pooled, VowelStatistics, statistics

CNN = "cnn"
SPEECH = "speech"
_LATER = cast(Tensor, None)


class PhonemoConfig(PreTrainedConfig):
    """The fields of a model folder that rebuild the network; see phonemo.config.ModelConfig."""

    model_type = "phonemo"

    backbone: dict[str, Any] | None = None
    normalise: bool = True
    acoustic: str = "cnn"
    semantic: str = "last"
    fusion: str = "cross_attention"
    pooling: str = "structured"
    width: int = 128
    attention_heads: int = 4
    hops: int = 4
    dropout: float = 0.2
    statistics: tuple[int, ...] = ()
    pooled: bool = True
    frames: str = "all"
    moments: str = "mean-deviation"
    head: str = "hidden"
    auxiliary: dict[str, Any] | None = None
    #: Names of the rated dimensions, in the order of the outputs; none without that task.
    dimensions: tuple[str, ...] = ()
    lora_rank: int | None = None
    #: From phonemo.evaluation.calibration.TemperatureScaling: the network's logits are not scaled,
    #: the code that turns them into scores divides by the temperature.
    temperature: float = 1.0
    abstain_below: float = 0.0
    calibrated_on: int = 0
    #: k_mean, k_spread, em_iterations and radius of
    #: phonemo.runtime.adaptation.statistics.Reference (a radius of None is infinity), where the
    #: head has class means; None for a network that takes no profile.
    adaptation: dict[str, float | None] | None = None


@dataclass
class EmotionOutput(ModelOutput):
    """The output of a forward pass."""

    loss: Tensor | None = None
    #: (batch, emotion); never None, but ModelOutput needs a default
    logits: Tensor = _LATER
    #: (batch, frame, phoneme); None in the single-task arm
    phoneme_logits: Tensor | None = None
    #: valid frames, (batch,); never None either
    frames: Tensor = _LATER
    #: the emotion head's input, (batch, feature); never None either
    vector: Tensor = _LATER
    #: what pooling reads, (batch, frame, feature); ``classify_frames`` takes it; never None either
    features: Tensor = _LATER
    #: weight of each frame in the pooled vector, (batch, frame); None where pooling has none
    frame_weights: Tensor | None = None
    #: rated dimensions from 0 to 1, (batch, dimension); None without that task
    dimensions: Tensor | None = None


class PhonemoForAudioClassification(PreTrainedModel):
    """Classifies emotions, and phonemes as an auxiliary task (Li et al. 2024).

    Args:
        config: the shape of the network.
        network: a loaded backbone; by default one is created from the config, without weights.
    """

    config_class = PhonemoConfig
    main_input_name = "input_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: PhonemoConfig, network: nn.Module | None = None) -> None:
        super().__init__(config)
        if network is None:
            network = AutoModel.from_config(AutoConfig.for_model(**dict(config.backbone or {})))
        self.backbone = Backbone(network, config.normalise)
        fusion = FUSIONS[config.fusion]
        depth = self.backbone.depth
        self.acoustic = LayerSelector(
            ACOUSTIC[config.acoustic](depth) if "acoustic" in fusion.needs else ()
        )
        self.semantic = LayerSelector(
            SEMANTIC[config.semantic](depth) if "semantic" in fusion.needs else ()
        )
        self.reads_cnn = "acoustic" in fusion.needs and config.acoustic == CNN
        self.phonemes = PhonemeRoute.of(config.auxiliary or {}, config.fusion, depth)
        self.fusion = fusion(
            self._acoustic_features(),
            self.backbone.semantic_features + self.phonemes.semantic_symbols,
            config.width,
            config.attention_heads,
            config.dropout,
        )
        #: Without pooling for the emotion head the frames have equal weights.
        pooling = POOLINGS[config.pooling if config.pooled else "mean"]
        self.pooling = (VowelStatistics if self.phonemes.vowels else pooling)(
            config.width, config.attention_heads, config.hops, config.dropout
        )
        emotions = len(config.id2label or {})
        self.statistics = _check_states(config.statistics, depth)
        #: Whether the emotion is pooled from speech frames only.
        self.speech_only = config.frames == SPEECH
        features = self.pooling.features if config.pooled else 0
        #: The mean is the first half of a state's statistics.
        self.halves = 1 if config.moments == "mean" else 2
        features += self.halves * self.backbone.semantic_features * len(self.statistics)
        #: width of the emotion head's input vector
        self.vector_features: int = features
        if not features:
            raise ModelError("the emotion head has no input; set model.statistics or model.pooled")
        self.head = HEADS[config.head](features, emotions, config.dropout)
        if config.adaptation is not None and isinstance(self.head, LinearHead):
            self.head.class_means = torch.zeros(emotions, features)
            self.head.radius = config.adaptation.get("radius")
        self.auxiliary = _auxiliary_head(config, self.backbone.semantic_features)
        self.dimensions = _dimension_head(config, features)
        #: SpecAugment masks the semantic stream, for training with frozen lower layers; False masks
        #: the Transformer's input instead, as in wav2vec 2.0 fine-tuning.
        self.mask_streams = False
        self.post_init()
        # after post_init, in which the backbone's class would initialize them to nonzero values
        if config.lora_rank is not None:
            _add_adapters(self.backbone, config.lora_rank)

    def _init_weights(self, module: nn.Module) -> None:
        """Keep each layer's initialization: a missing weight is an error, not initialized anew."""

    @property
    def frame_features(self) -> int:
        """Features per frame of ``EmotionOutput.features``."""
        passed = len(self.statistics) * self.backbone.semantic_features
        return int(self.config.width) + passed + bool(self.phonemes.vowels) + self.speech_only

    @property
    def required_states(self) -> frozenset[int]:
        """The numbers of the hidden states that the streams and the emotion head use."""
        phonemes = () if self.phonemes.layer is None else (self.phonemes.layer,)
        numbers = (*self.acoustic.numbers, *self.semantic.numbers, *self.statistics)
        return frozenset((*numbers, *phonemes))

    def train(self, mode: bool = True) -> PhonemoForAudioClassification:
        """Set the mode as in torch, but keep frozen parts of the backbone in evaluation mode."""
        super().train(mode)
        for part in self.backbone.parts():
            if not any(p.requires_grad for module in part for p in module.parameters()):
                for module in part:
                    module.eval()
        return self

    def forward_frozen(
        self, waveform: Tensor, samples: Tensor, layers: int | None
    ) -> FrozenFeatures:
        """Run the part below a boundary.

        Args:
            waveform: (batch, sample) at 16 kHz.
            samples: length of each, (batch,).
            layers: how many Transformer layers are below; None stops after the CNN.
        """
        cnn = self.backbone.convolve(waveform, samples)
        output = FrozenFeatures(self.backbone.frames(samples))
        mask = mask_of(output.frames, cnn.shape[1])
        if self.speech_only:
            speech = self.backbone.speech(waveform, samples, mask)
            output.speech = speech[:, :, None].to(cnn.dtype)
        if layers is None:
            output.cnn = cnn
            return output
        if self.reads_cnn:
            output.acoustic = self.backbone.acoustic(cnn)
        if self.required_states:
            output.layers = self._states_below(cnn, mask, layers)
        return output

    def _states_below(self, cnn: Tensor, mask: Tensor, layers: int) -> dict[int, Tensor]:
        """The states that are read up to a layer, and that layer's where others follow from it."""
        below = {number for number in self.required_states if number <= layers}
        if below != self.required_states:
            below.add(layers)
        hidden = self.backbone.embed(self.backbone.project(cnn), mask)
        return self.backbone.run(hidden, mask, 0, below)

    def forward_from(
        self, frozen: FrozenFeatures, spans: dict[str, Tensor] | None = None
    ) -> EmotionOutput:
        """Run the part above the boundary, heads included.

        Args:
            frozen: the output of :meth:`forward_frozen`, or the same from a cache.
            spans: SpecAugment spans as made by phonemo.train.dataset; None masks nothing.
        """
        mask = mask_of(frozen.frames, frozen.padded_frames)
        acoustic, states = self._states(frozen, mask, None if self.mask_streams else spans)
        acoustic_stream = acoustic if self.reads_cnn else self._stream(self.acoustic, states)
        semantic_stream = self._stream(self.semantic, states)
        acoustic_stream = _masked(acoustic_stream, spans)
        if self.mask_streams:
            semantic_stream = _masked(semantic_stream, spans)
        passed = [states[number] for number in self.statistics]
        if self.speech_only:
            assert frozen.speech is not None
            passed.append(frozen.speech)
        early = None
        if self.auxiliary is not None and self.phonemes.layer is not None:
            early = self.auxiliary(self.phonemes.stopped(states[self.phonemes.layer]))
            if self.phonemes.semantic_symbols and semantic_stream is not None:
                semantic_stream = torch.cat([semantic_stream, posteriors_of(early)], dim=2)
        return self._heads(acoustic_stream, semantic_stream, passed, mask, frozen.frames, early)

    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        frozen: FrozenFeatures | None = None,
        spans: dict[str, Tensor] | None = None,
        calibrated: bool = True,
        **ignored: Any,
    ) -> EmotionOutput:
        """Compute scores from audio, or from the cached output of frozen layers.

        Outside of training, a softmax over the logits gives phonemo's scores, so that transformers'
        pipeline gives them too.

        Args:
            input_values: waveforms (batch, sample) at 16 kHz; padding values do not matter.
            attention_mask: (batch, sample), ones where there is audio; None means everywhere.
            labels: emotions (batch,); with them the plain cross-entropy is in ``loss``.
            frozen: instead of audio, the result of :meth:`forward_frozen`.
            spans: SpecAugment spans (training).
            calibrated: divide the logits by the config's temperature, unless in training; phonemo
                itself requests them without that.
        """
        if frozen is None:
            assert input_values is not None
            samples = _samples(input_values, attention_mask)
            frozen = self.forward_frozen(input_values, samples, None)
        output = self.forward_from(frozen, spans)
        if calibrated and not self.training:
            output.logits = output.logits / self.config.temperature
        if labels is not None:
            output.loss = nn.functional.cross_entropy(output.logits, labels)
        return output

    def classify_frames(
        self, features: Tensor, mask: Tensor, keep: Tensor | None = None
    ) -> tuple[Tensor, Pooled]:
        """Classify frames, optionally with some left out.

        Args:
            features: of an :class:`EmotionOutput`, (batch, frame, feature).
            mask: (batch, frame), True where valid.
            keep: (batch, frame), False where a frame is left out; None keeps all.

        Returns:
            Logits (batch, emotion), and the vector and weights that they are computed from.
        """
        pooled = self._pooled(features, mask, keep)
        return self.head(pooled.vector), pooled

    def _pooled(self, features: Tensor, mask: Tensor, keep: Tensor | None = None) -> Pooled:
        if self.speech_only:
            features, speech = features[:, :, :-1], features[:, :, -1] > 0
            # a clip without (kept) speech frames uses all its frames; by boolean logic only, as
            # onnxruntime has no Where for booleans
            spoken = speech & mask if keep is None else speech & mask & keep
            mask = mask & (speech | ~spoken.any(dim=1, keepdim=True))
        given = []
        if self.phonemes.vowels:
            features, given = features[:, :, :-1], [features[:, :, -1]]
        width = int(self.config.width)
        fused, *passed = features.split(
            [width, *[self.backbone.semantic_features] * len(self.statistics)], dim=2
        )
        pooled = self.pooling(fused, mask, keep, *given)
        width = self.halves * self.backbone.semantic_features
        moments = [statistics(states, mask, keep)[:, :width] for states in passed]
        vectors = [pooled.vector] if self.config.pooled else []
        return Pooled(torch.cat([*vectors, *moments], dim=1), pooled.weights)

    def _states(
        self, frozen: FrozenFeatures, mask: Tensor, spans: dict[str, Tensor] | None
    ) -> tuple[Tensor | None, dict[int, Tensor]]:
        """The convolutions' output for the acoustic stream, and the hidden states that are read."""
        if frozen.cnn is not None:
            acoustic = self.backbone.acoustic(frozen.cnn) if self.reads_cnn else None
            if not self.required_states:
                return acoustic, {}
            hidden = mask_spans(self.backbone.project(frozen.cnn), spans)
            hidden = self.backbone.embed(hidden, mask)
            return acoustic, self.backbone.run(hidden, mask, 0, self.required_states)
        missing = self.required_states - frozen.layers.keys()
        if not missing:
            return frozen.acoustic, frozen.layers
        top = max(frozen.layers)
        above = self.backbone.run(frozen.layers[top], mask, top, missing)
        return frozen.acoustic, frozen.layers | above

    def _stream(self, stream: LayerSelector, states: dict[int, Tensor]) -> Tensor | None:
        return stream(states) if stream.numbers else None

    def _heads(
        self,
        acoustic: Tensor | None,
        semantic: Tensor | None,
        passed: list[Tensor],
        mask: Tensor,
        frames: Tensor,
        phoneme_logits: Tensor | None = None,
    ) -> EmotionOutput:
        fused = self.fusion(acoustic, semantic, mask)
        if self.phonemes.vowels:
            phoneme_logits = self._phonemes(fused, acoustic, semantic, mask, phoneme_logits)
            passed = with_vowels(passed, phoneme_logits, self.phonemes.vowels, self.speech_only)
        features = torch.cat([fused, *passed], dim=2)
        pooled = self._pooled(features, mask)
        # in this order, as both heads draw their dropout: a seed must keep giving the same network
        phoneme_logits = self._phonemes(fused, acoustic, semantic, mask, phoneme_logits)
        return EmotionOutput(
            logits=self.head(pooled.vector),
            phoneme_logits=phoneme_logits,
            frames=frames,
            vector=pooled.vector,
            features=features,
            frame_weights=pooled.weights,
            dimensions=None if self.dimensions is None else self.dimensions(pooled.vector),
        )

    def _phonemes(
        self,
        fused: Tensor,
        acoustic: Tensor | None,
        semantic: Tensor | None,
        mask: Tensor,
        computed: Tensor | None,
    ) -> Tensor | None:
        """The phoneme logits, unless they are computed already."""
        if self.auxiliary is None or computed is not None:
            return computed
        if self.phonemes.gradient == "fusion":
            streams = (None if x is None else x.detach() for x in (acoustic, semantic))
            fused = self.fusion(*streams, mask)
        logits: Tensor = self.auxiliary(self.phonemes.stopped(fused))
        return logits

    def _acoustic_features(self) -> int:
        cnn = self.config.acoustic == CNN
        return self.backbone.acoustic_features if cnn else self.backbone.semantic_features


def _masked(stream: Tensor | None, spans: dict[str, Tensor] | None) -> Tensor | None:
    return None if stream is None else mask_spans(stream, spans)


def _check_states(numbers: Iterable[int], depth: int) -> tuple[int, ...]:
    states = tuple(sorted(set(numbers)))
    if states and states[-1] > depth:
        raise ModelError(
            f"expected model.statistics from 0 to {depth}, got hidden state {states[-1]}"
        )
    return states


def _samples(input_values: Tensor, attention_mask: Tensor | None) -> Tensor:
    if attention_mask is not None:
        return lengths_of(attention_mask)
    batch, size = input_values.shape
    return torch.full((batch,), size, dtype=torch.long, device=input_values.device)


def _auxiliary_head(config: PhonemoConfig, semantic_features: int) -> nn.Module | None:
    if config.auxiliary is None:
        return None
    head = AUXILIARIES[config.auxiliary["task"]]
    features = config.width if config.auxiliary.get("layer") is None else semantic_features
    return head(features, len(config.auxiliary["symbols"]), config.dropout)


def _dimension_head(config: PhonemoConfig, features: int) -> nn.Module | None:
    if not config.dimensions:
        return None
    return DIMENSION_HEADS[config.head](features, len(config.dimensions), config.dropout)


def _add_adapters(backbone: Backbone, rank: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    # WavLM uses its projections' weights without calling them, so adapters there would be ignored
    targets = ["intermediate_dense", "output_dense"] if backbone.biased else ["q_proj", "v_proj"]
    adapters = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=targets)
    inject_adapter_in_model(adapters, backbone.network)


AutoConfig.register("phonemo", PhonemoConfig)
AutoModelForAudioClassification.register(PhonemoConfig, PhonemoForAudioClassification)
