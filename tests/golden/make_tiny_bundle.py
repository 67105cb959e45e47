"""Makes tests/golden/tiny-bundle anew: python -m tests.golden.make_tiny_bundle (needs torch).

Weights are random but lively: the scores differ from clip to clip, and phonemes are heard.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel

from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.train.export import export
from phonemo.train.folder import save_trained
from phonemo.train.predictor import Predictor
from tests.tiny_bundle import BUNDLE, CLIPS, EXPECTED, RATE, make_clip

LABELS = ("anger", "neutral", "sadness")
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


def make_network() -> PhonemoForAudioClassification:
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
    )
    model = PhonemoForAudioClassification(config, backbone)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        model.auxiliary.output.bias.zero_()
    return model.eval()


def main() -> None:
    """Write the bundle, and what torch says of the clips."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "model"
        save_trained(folder, make_network(), LabelSet(LABELS))
        export(folder, BUNDLE, "int8", licence="MIT")
        predictor = Predictor.load(folder)
    answers = {name: predictor.predict(make_clip(*clip), RATE) for name, clip in CLIPS.items()}
    rows = {
        name: {"label": one.label, "scores": one.scores, "phonemes": one.phonemes}
        for name, one in answers.items()
    }
    EXPECTED.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
