"""Export a trained network as a bundle for onnxruntime, and compare it with torch.

torch 2.13 has two exporters. The tracing one is used: both give the same scores for every kind of
backbone, but the newer one takes 16 to 27 times as long for a small network, requires onnxscript,
and rounds the sinusoidal positions of long clips worse (1e-4 instead of 1e-6 after 8,000 frames).
A trace cannot capture data-dependent behavior, so every export is compared with torch on other
lengths and rejected if it differs.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from phonemo.audio import RATE
from phonemo.config import DecoderConfig, load_section
from phonemo.errors import MissingExtraError, ModelError
from phonemo.model.encoders.convolutions import by_products
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation.profile import packed
from phonemo.runtime.bundle import Bundle, Precision, check_target, write_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.language_model import packed_model
from phonemo.runtime.session import (
    DIMENSIONS_OUTPUT,
    FEATURES,
    HEAD_INPUTS,
    HEAD_OUTPUT,
    INPUTS,
    MAP,
    OUTPUTS,
    PHONEMES,
    VECTOR,
    Graph,
    Head,
    SharedGraph,
)
from phonemo.runtime.windows import WHOLE_SECONDS
from phonemo.train.export.attention_blocks import attend_in_blocks
from phonemo.train.export.fusing import fuse
from phonemo.train.export.parity import check_head, check_parity, measure_drift, pick_clips
from phonemo.train.export.phoneme_decoder import fit_decoder
from phonemo.train.export.quantize import quantize
from phonemo.train.export.shared_network import copy_lineage, network_digest, sibling_of
from phonemo.train.export.simplify import simplify
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import LoadedModel, load_trained
from phonemo.train.provenance import provenance_of
from phonemo.version import __version__

#: The first operator set with GELU.
_OPSET = 20
_AXES = {
    "waveform": {0: "batch", 1: "sample"},
    "samples": {0: "batch"},
    "emotion_logits": {0: "batch"},
    "frames": {0: "batch"},
    "frame_weights": {0: "batch", 1: "frame"},
    FEATURES: {0: "batch", 1: "frame"},
    PHONEMES: {0: "batch", 1: "frame"},
    VECTOR: {0: "batch"},
    DIMENSIONS_OUTPUT: {0: "batch"},
    "kept": {0: "batch", 1: "frame"},
}


def export(
    model_folder: str | Path,
    output: str | Path,
    precision: Precision = "int8",
    *,
    name: str | None = None,
    licence: str = "not stated",
    manifest: str | Path | None = None,
    share: str | None = None,
    lineage: bool = False,
    decoder: str | Path | None = None,
) -> Bundle:
    """Write a model folder as a bundle.

    Args:
        model_folder: a folder of ``phonemo train``.
        output: the folder to write; an older bundle there is replaced.
        precision: fp32, or int8 for the matrix products' weights; ``share`` overrides it.
        name: the bundle's name; default: that of the output folder.
        licence: the weights' license.
        manifest: recordings on which int8 is compared with fp32; default: noise, which is less
            representative.
        share: the name of a bundle beside the output with the same network; the new bundle then
            stores none.
        lineage: copy provenance.json, with names of speakers, into the bundle, so that fine-tuning
            can start from it; a bundle with ``share`` always has it.
        decoder: a YAML file of DecoderConfig; the bundle gets a phoneme language model.

    Raises:
        CheckpointError: no model folder, or the output cannot be written.
        ModelError: the graph differs from torch, cannot be made, or is not that of ``share``.
        MissingExtraError: onnx is not installed.
    """
    needs_onnx()
    check_target(Path(output))
    settings = None if decoder is None else load_section(decoder, (), DecoderConfig)
    trained = load_trained(model_folder)
    _check_outputs(trained, share)
    sibling, reference = None, reference_of(trained.model)
    open_as: Callable[[bytes], Graph] = Graph
    if share is not None:
        sibling, reference = sibling_of(output, share, trained)
        open_as = partial(SharedGraph, reference=reference)
    graph, head = make_graph(trained.model), make_head(trained.model)
    exported = open_as(graph)
    parity = check_parity(trained.model, exported)
    check_head(trained.model, exported, Head(head))
    if sibling is not None:
        precision, model = sibling.card.precision, sibling.model
    else:
        model = fuse(attend_in_blocks(quantize(graph) if precision == "int8" else graph))
    drift = None
    if precision == "int8":
        drift = measure_drift(exported, open_as(model), trained, pick_clips(trained, manifest))
    elif sibling is not None:
        parity = check_parity(trained.model, open_as(model))
    card = _card_facts(trained) | {"precision": precision, "licence": licence, "network": share}
    card |= {"name": name or Path(output).absolute().name, "parity": parity, "drift": drift}
    adaptation = None if reference is None else packed(reference)
    bundle = write_bundle(output, model, card, head, adaptation)
    if settings is not None:
        fitted = fit_decoder(OnnxRecognizer(bundle), settings, provenance_of(trained.folder))
        bundle = write_bundle(output, model, card, head, adaptation, packed_model(fitted))
    if lineage or share is not None:
        copy_lineage(trained.folder, bundle.folder)
    return bundle


def _check_outputs(trained: LoadedModel, share: str | None) -> None:
    if not trained.labels.names:
        raise ModelError(
            f"{trained.folder}: expected a network with emotions, which every bundle gives, got "
            "one of dimensions only; name emotions in labels.names, or train with model.start"
        )
    if share is not None and trained.model.dimensions is not None:
        raise ModelError(
            f"{trained.folder}: a model of rated dimensions cannot share a network; export it "
            "without --share"
        )


def make_graph(model: PhonemoForAudioClassification) -> bytes:
    """Export the network as ONNX in fp32, for any batch size and length; it is not changed.

    Raises:
        ModelError: torch cannot export it.
    """
    plain = fold(model)
    plain.backbone.convolutions = by_products
    outputs = [*OUTPUTS, FEATURES, VECTOR, *([] if model.auxiliary is None else [PHONEMES])]
    outputs += [] if model.dimensions is None else [DIMENSIONS_OUTPUT]
    longest = max(RATE, 2 * model.backbone.fewest_samples)
    example = (
        torch.zeros(2, longest),
        torch.tensor([longest, longest * 3 // 4]),
        *_identity_map(model),
    )
    return simplify(_trace(_Exported(plain), example, (*INPUTS, *MAP), outputs))


def make_head(model: PhonemoForAudioClassification) -> bytes:
    """Export the part from frames to emotions as ONNX in fp32, with a mask of frames.

    Raises:
        ModelError: torch cannot export it.
    """
    width = model.frame_features
    example = (
        torch.zeros(1, 50, width),
        torch.ones(3, 50, dtype=torch.bool),
        *_identity_map(model),
    )
    return _trace(_Head(fold(model)), example, (*HEAD_INPUTS, *MAP), [HEAD_OUTPUT])


def _trace(
    network: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # a deprecated exporter, whose traces are checked later
        path = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(
                network.eval(),
                example,
                path,
                dynamo=False,
                opset_version=_OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: _AXES.get(name, {}) for name in (*inputs, *outputs)},
            )
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"torch {torch.__version__} cannot export the network ({reason}); try another"
            ) from error
        return path.read_bytes()


def fold(model: PhonemoForAudioClassification) -> PhonemoForAudioClassification:
    """Return a copy with plain weights: weight norm multiplied out, adapters merged."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain: PhonemoForAudioClassification = copy.deepcopy(model).eval()
    for module in list(plain.modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
        if parametrize.is_parametrized(module):
            _make_plain(module)
    return plain


def needs_onnx() -> None:
    """Raise MissingExtraError if onnx is not installed."""
    from importlib.util import find_spec

    if find_spec("onnx") is None:
        raise MissingExtraError("exporting", "export")


def _identity_map(model: PhonemoForAudioClassification) -> tuple[Tensor, Tensor]:
    """Return the identity map of a vector, (feature,) each."""
    return torch.ones(model.vector_features), torch.zeros(model.vector_features)


class _Exported(nn.Module):
    """The network with the bundle's inputs and outputs."""

    def __init__(self, model: PhonemoForAudioClassification) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, waveform: Tensor, samples: Tensor, scale: Tensor, shift: Tensor
    ) -> tuple[Tensor, ...]:
        """Map waveforms (batch, sample) of lengths (batch,) to the bundle's outputs.

        These are OUTPUTS, FEATURES, VECTOR, then PHONEMES and DIMENSIONS_OUTPUT, where the network
        has them. ``scale`` and ``shift``, (feature,), are a profile's map of the vector, which the
        dimensions do not use.
        """
        output = self.model.forward_from(self.model.forward_frozen(waveform, samples, None))
        assert output.frame_weights is not None
        logits = self.model.head(output.vector * scale + shift)
        outputs = (logits, output.frames, output.frame_weights, output.features, output.vector)
        optional = (output.phoneme_logits, output.dimensions)
        return *outputs, *(part for part in optional if part is not None)


class _Head(nn.Module):
    """The part above the frames, for one clip with a different mask of frames in each row."""

    def __init__(self, model: PhonemoForAudioClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, kept: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Map frames (1, frame, feature) and masks (batch, frame) to logits (batch, emotion)."""
        features = features.expand(kept.shape[0], -1, -1)
        _, pooled = self.model.classify_frames(features, torch.ones_like(kept), kept)
        logits: Tensor = self.model.head(pooled.vector * scale + shift)
        return logits


def _make_plain(module: Any) -> None:
    # remove_parametrizations deletes the weight from the class, which a copy shares with the
    # module it was copied from
    weights = {name: getattr(module, name).detach() for name in module.parametrizations}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, weight in weights.items():
        module.register_parameter(name, nn.Parameter(weight, requires_grad=False))


def _card_facts(trained: LoadedModel) -> dict[str, Any]:
    backbone = trained.model.backbone
    inventory = trained.inventory
    names = tuple(trained.model.config.dimensions)
    dimensions = {"names": names, "derived": False} if names else None
    return {
        "phonemo": __version__,
        "labels": trained.labels.names,
        "inventory": None if inventory is None else inventory.to_json(),
        "normalise": backbone.normalise,
        "fewest_samples": backbone.fewest_samples,
        "conv_kernel": list(backbone.network.config.conv_kernel),
        "conv_stride": list(backbone.network.config.conv_stride),
        "window_seconds": WHOLE_SECONDS,
        "temperature": trained.model.config.temperature,
        "abstain_below": trained.model.config.abstain_below,
        "calibrated_on": trained.model.config.calibrated_on,
        "network_digest": network_digest(trained.model),
        "dimensions": dimensions,
    }
