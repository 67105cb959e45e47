"""Makes the golden bundles anew: python -m tests.golden.make_tiny_bundle (needs torch).

Weights are random but lively: the scores differ from clip to clip, and phonemes are heard. Without
an argument all are made; "adaptable" makes tiny-adaptable alone, "shared" tiny-shared alone, which
has the network of tiny-adaptable and another head, "plain" tiny-bundle alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.train.export.export import export
from phonemo.train.heads.linear_head import keep_reference
from phonemo.train.model_folder import load_trained, save_trained
from phonemo.train.provenance import Provenance, TrainedOn
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.tiny_bundle import ADAPTABLE, ADAPTED, BUNDLE, CLIPS, EXPECTED, RATE, SHARED, make_clip

LABELS = ("anger", "neutral", "sadness")
OTHER = ("happiness", "neutral")
#: Some of the clips lie further out.
RADIUS = 3.0
SYMBOLS = ["<blank>", "a", "m", "s", "t"]
SHAPE = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": [4, 4],
    "conv_kernel": [400, 3],
    "conv_stride": [160, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embedding_groups": 2,
    "num_conv_pos_embeddings": 4,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}


def make_network(head: str = "hidden") -> PhonemoForAudioClassification:
    """A random network with both heads."""
    torch.manual_seed(11)
    backbone = AutoModel.from_config(AutoConfig.for_model("wav2vec2", **SHAPE))
    config = PhonemoConfig(
        backbone=backbone.config.to_diff_dict() | {"model_type": "wav2vec2"},
        id2label=dict(enumerate(LABELS)),
        auxiliary={"task": "phonemes", "name": "phonemes", "alphabet": "ipa", "symbols": SYMBOLS},
        fusion="semantic",
        pooling="mean",
        width=8,
        attention_heads=2,
        hops=1,
        head=head,
    )
    model = PhonemoForAudioClassification(config, backbone)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        model.auxiliary.output.bias.zero_()
    return model.eval()


def make_adaptable(folder: Path) -> Path:
    """A model folder whose head is linear and holds a reference, measured on buzzes."""
    save_trained(folder, make_network("linear"), LabelSet(LABELS))
    predictor = TorchRecognizer.load(folder)
    buzzes = [make_clip(8000 + 500 * number, 80.0 + 40 * number) for number in range(30)]
    vectors = np.stack([predictor.vector_of(one) for one in buzzes]).astype(np.float64)
    model = load_trained(folder).model
    with torch.no_grad():
        model.head.standardise.centre.copy_(torch.from_numpy(vectors.mean(axis=0)))
        model.head.standardise.spread.copy_(torch.from_numpy(vectors.std(axis=0)))
        classes = model.head(torch.from_numpy(vectors).float()).argmax(dim=1).numpy()
    standardised = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    means = [
        standardised[classes == number].mean(axis=0) if (classes == number).any() else np.zeros(8)
        for number in range(len(LABELS))
    ]
    keep_reference(model, means, RADIUS, k_mean=1.0, k_spread=4.0)
    target = folder.with_name(f"{folder.name}-adaptable")
    save_trained(target, model, LabelSet(LABELS))
    return target


def write_adaptable() -> None:
    """Write the bundle that takes a profile, and what torch says of the clips with theirs."""
    with tempfile.TemporaryDirectory() as home:
        folder = make_adaptable(Path(home) / "model")
        export(folder, ADAPTABLE, "int8", licence="MIT")
        predictor = TorchRecognizer.load(folder)
    _write_expected(predictor, ADAPTED)


def _write_expected(predictor: TorchRecognizer, path: Path) -> None:
    """What torch says of the clips, without and with the profile of all of them."""
    clips = [make_clip(*clip) for clip in CLIPS.values()]
    adapted = predictor.adapted(clips, RATE)
    rows = {
        name: {
            "plain": predictor.predict(clip, RATE).scores,
            "adapted": adapted.predict(clip, RATE).scores,
        }
        for name, clip in zip(CLIPS, clips, strict=True)
    }
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def make_other_head(folder: Path) -> Path:
    """The network of ``make_adaptable`` with a head of two emotions, as another corpus gives."""
    start = load_trained(make_adaptable(folder))
    facts = start.model.config.to_dict() | {
        "id2label": dict(enumerate(OTHER)),
        "label2id": {name: number for number, name in enumerate(OTHER)},
        "temperature": 1.5,
        "abstain_below": 0.6,
        "calibrated_on": 30,
    }
    model = PhonemoForAudioClassification(PhonemoConfig(**facts))
    below = {n: one for n, one in start.model.state_dict().items() if not n.startswith("head.")}
    own = {n: one for n, one in model.state_dict().items() if n.startswith("head.")}
    model.load_state_dict(below | own)
    draws, theirs, head = np.random.default_rng(5), start.model.head, model.head
    with torch.no_grad():
        head.standardise.centre.copy_(theirs.standardise.centre + 0.1)
        head.standardise.spread.copy_(theirs.standardise.spread * 1.2)
        head.linear.weight.copy_(torch.from_numpy(draws.normal(0, 0.5, (len(OTHER), 8))))
        head.linear.bias.copy_(torch.from_numpy(draws.normal(0, 0.1, len(OTHER))))
    means = draws.normal(0, 0.5, (len(OTHER), 8))
    keep_reference(model, means, RADIUS, k_mean=1.0, k_spread=4.0)
    target = folder.with_name(f"{folder.name}-other")
    lineage = Provenance(frozenset({"buzzes"}), {"buzzes": TrainedOn(frozenset({"b1"}))})
    save_trained(target, model.eval(), LabelSet(OTHER), lineage=lineage)
    return target


def write_shared() -> None:
    """Write the bundle that shares the network of tiny-adaptable, and what torch says."""
    with tempfile.TemporaryDirectory() as home:
        folder = make_other_head(Path(home) / "model")
        export(folder, SHARED, licence="MIT", share=ADAPTABLE.name)
        predictor = TorchRecognizer.load(folder)
    _write_expected(predictor, SHARED / "expected.json")


def write_plain() -> None:
    """Write the bundle without a reference, and what torch says of the clips."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "model"
        save_trained(folder, make_network(), LabelSet(LABELS))
        export(folder, BUNDLE, "int8", licence="MIT")
        predictor = TorchRecognizer.load(folder)
    answers = {name: predictor.predict(make_clip(*clip), RATE) for name, clip in CLIPS.items()}
    rows = {
        name: {"label": one.label, "scores": one.scores, "phonemes": one.phonemes}
        for name, one in answers.items()
    }
    EXPECTED.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    writers = {"plain": write_plain, "adaptable": write_adaptable, "shared": write_shared}
    for name in sys.argv[1:] or list(writers):
        writers[name]()
