"""Exported networks say what torch says, for every kind of backbone; broken exports are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from phonemo.corpora.manifest import Header, write_manifest
from phonemo.errors import CheckpointError, ManifestError, MissingExtraError, ModelError
from phonemo.evaluation.calibration import softmax
from phonemo.labels import LabelSet
from phonemo.model.backbone import BACKBONES
from phonemo.model.encoders import convolutions as convolutions_module
from phonemo.model.fusion import FUSIONS
from phonemo.model.layer_mix import ACOUSTIC, SEMANTIC
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.model.pooling import POOLINGS
from phonemo.runtime.bundle import open_bundle, write_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.session import PHONEMES, Graph
from phonemo.train.export import export as export_module
from phonemo.train.export import parity as parity_module
from phonemo.train.export.export import export, fold, make_graph
from phonemo.train.export.parity import check_parity
from phonemo.train.export.quantize import FUSED, quantize
from phonemo.train.model_folder import save_trained
from phonemo.train.torch_recognizer import TorchRecognizer
from tests import tiny_nets
from tests.tiny_bundle import CLIPS, RATE, make_clip
from tests.train.tiny_run import EMOTIONS, make_corpus

SYMBOLS = ["<blank>", "a", "m", "s", "t"]
AUXILIARY = {"task": "phonemes", "name": "phonemes", "alphabet": "ipa", "symbols": SYMBOLS}
#: Frames of 40 ms that overlap, so that half a minute is not thousands of them.
FRAMES = {"conv_kernel": [200, 3, 3], "conv_stride": [160, 2, 2]}


pytestmark = pytest.mark.filterwarnings(  # torch's own, of wavlm
    "ignore:Support for mismatched key_padding_mask and attn_mask:UserWarning"
)


@pytest.fixture(autouse=True, scope="module")
def _coarse_frames():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_nets, "_SHAPE", tiny_nets._SHAPE | FRAMES)
        yield


def make_model(kind: str = "wav2vec2-layer", **settings: object) -> PhonemoForAudioClassification:
    """A random network with lively heads, in evaluation mode."""
    backbone = tiny_nets.make_network(kind)
    model_type = backbone.config.model_type
    config = PhonemoConfig(
        backbone=backbone.config.to_diff_dict() | {"model_type": model_type},
        id2label=dict(enumerate(EMOTIONS)),
        **{"auxiliary": AUXILIARY, "width": 8, "attention_heads": 2, "hops": 2} | settings,
    )
    torch.manual_seed(3)
    model = PhonemoForAudioClassification(config, backbone)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("backbone."):
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def model(_coarse_frames) -> PhonemoForAudioClassification:
    """The model that nothing is wrong with; not to be changed."""
    return make_model()


@pytest.fixture(scope="module")
def graph(model) -> bytes:
    return make_graph(model)


@pytest.fixture(scope="module")
def small(graph) -> bytes:
    return quantize(graph)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    model_folder = tmp_path_factory.mktemp("export") / "model"
    save_trained(model_folder, model, LabelSet(EMOTIONS))
    return model_folder


@pytest.fixture
def quick(graph, small, monkeypatch) -> None:
    """The same network is not traced and quantised again for every bundle."""
    monkeypatch.setattr(export_module, "make_graph", lambda model: graph)
    monkeypatch.setattr(export_module, "quantize", lambda made: small)


def test_every_kind_of_backbone_is_tried():
    assert {model_type for model_type, _ in tiny_nets.KINDS.values()} == set(BACKBONES)


@pytest.mark.parametrize("kind", tiny_nets.KINDS)
def test_the_graph_equals_torch(kind):
    model = make_model(kind)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    parity = check_parity(model, Graph(make_graph(model), threads=1))
    assert parity.difference < 1e-4
    assert parity.clips == 16
    after = model.state_dict()
    assert list(after) == list(before), "weight norm and adapters of the trained one stay"
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


#: Every fusion, pooling and stream is in one of these.
ARMS = [
    {"fusion": "cross_attention", "pooling": "structured", "lora_rank": 2},
    {"fusion": "frame_attention", "pooling": "attentive_statistics", "semantic": "upper_mix"},
    {"fusion": "gate", "pooling": "mean", "semantic": "all_mix", "acoustic": "lower_mix"},
    {"fusion": "acoustic", "acoustic": "cnn", "auxiliary": None},
    {"fusion": "concatenation", "normalise": False},
    {"fusion": "semantic", "semantic": "last"},
    {
        **{"fusion": "gate", "statistics": (0, 1), "pooled": False, "frames": "speech"},
        **{"moments": "mean", "head": "linear"},
    },
    {"auxiliary": AUXILIARY | {"layer": 1, "posteriors": "fusion"}},
    {"auxiliary": AUXILIARY | {"posteriors": "pooling", "vowels": [1, 2]}, "frames": "speech"},
]


@pytest.mark.parametrize(
    ("key", "known"),
    [("fusion", FUSIONS), ("pooling", POOLINGS), ("acoustic", ACOUSTIC), ("semantic", SEMANTIC)],
)
def test_every_arm_is_tried(key, known):
    assert {arm[key] for arm in ARMS if key in arm} == set(known)


@pytest.mark.parametrize("settings", ARMS, ids=range(len(ARMS)))
def test_the_graph_of_every_arm_equals_torch(settings):
    model = make_model(**settings)
    graph = Graph(make_graph(model), threads=1)
    assert graph.has_phonemes == (model.auxiliary is not None)
    assert graph.emotions == 3
    assert graph.symbols == (5 if graph.has_phonemes else None)
    assert check_parity(model, graph).difference < 1e-4


def test_folding_leaves_plain_weights():
    model = make_model(lora_rank=2)
    plain = fold(model)
    kinds = {type(module).__name__ for module in plain.modules()}
    assert "ParametrizedConv1d" in {type(module).__name__ for module in model.modules()}
    assert all(module.merged for module in plain.modules() if isinstance(module, BaseTunerLayer))
    assert not any(
        module.merged for module in model.modules() if isinstance(module, BaseTunerLayer)
    )
    assert not any("Parametri" in kind for kind in kinds)
    waveform = torch.from_numpy(make_clip(*CLIPS["odd"]))[None]
    with torch.inference_mode():
        assert torch.allclose(plain(waveform).logits, model(waveform).logits, atol=1e-5)


def test_a_clips_output_does_not_depend_on_the_batch():
    model = make_model("wav2vec2-group")
    graph = Graph(make_graph(model), threads=1)
    clips = [make_clip(*clip) for clip in CLIPS.values()]
    samples = np.array([len(clip) for clip in clips])
    waveform = np.full((3, max(samples)), np.nan, dtype=np.float32)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    together = graph.run(waveform, samples)
    for row, clip in enumerate(clips):
        alone = graph.recognize(clip, model.backbone.fewest_samples)
        np.testing.assert_allclose(together["emotion_logits"][row], alone.emotions, atol=1e-4)
        frames = together["frames"][row]
        assert alone.phonemes.shape == (frames, 5)
        np.testing.assert_allclose(together[PHONEMES][row, :frames], alone.phonemes, atol=1e-4)


# A broken export ----------------------------------------------------------------------------------


def _frozen_length(graph: onnx.ModelProto) -> None:
    """A trace that took the length of its example for a constant."""
    for node in graph.graph.node:
        if node.op_type == "Range":
            constant = onnx.helper.make_node("Constant", [], ["frozen"], value_int=RATE)
            node.input[1] = "frozen"
            graph.graph.node.insert(0, constant)
            return


def _wrong_weight(graph: onnx.ModelProto) -> None:
    """One weight of the last layer is off by a percent."""
    last = next(
        tensor for tensor in graph.graph.initializer if "head.layers.4.weight" in tensor.name
    )
    weight = onnx.numpy_helper.to_array(last).copy()
    weight[0] *= 1.01
    last.CopyFrom(onnx.numpy_helper.from_array(weight, last.name))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_wrong_weight, r"differs from torch by .*at most 0\.001"),
        (_frozen_length, r"differs from torch|onnxruntime fails"),
    ],
)
def test_a_broken_graph_is_refused(model, graph, spoil, words):
    broken = onnx.load_from_string(graph)
    spoil(broken)
    with pytest.raises(ModelError, match=words):
        check_parity(model, Graph(broken.SerializeToString(), threads=1))


def test_norms_over_padding_are_noticed(monkeypatch):
    """The mistake of transformers: group norm over the padding too."""
    model = make_model("wav2vec2-group")
    with monkeypatch.context() as patch:
        everything = lambda lengths, size: lengths[:, None] > torch.full((1, size), -1)  # noqa: E731
        patch.setattr(convolutions_module, "mask_of", everything)
        graph = Graph(make_graph(model), threads=1)
    with pytest.raises(ModelError, match="differs from torch"):
        check_parity(model, graph)


@pytest.mark.usefixtures("quick")
def test_nothing_is_written_when_the_export_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(parity_module, "MOST", 0.0)
    with pytest.raises(ModelError, match="differs from torch"):
        export(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


# int8 ---------------------------------------------------------------------------------------------


def initialisers(graph: bytes) -> dict[str, tuple[int, ...]]:
    model = onnx.load_from_string(graph)
    floats = [
        tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    ]
    return {float.name: tuple(float.dims) for float in floats}


def test_quantization_prints_nothing(graph, small, recwarn, caplog):
    assert quantize(graph) == small
    assert not recwarn.list
    assert not caplog.records, "onnxruntime's quantiser logs to the root logger"


def test_int8_leaves_few_weight_matrices_in_fp32(graph, small):
    operators = [node.op_type for node in onnx.load_from_string(small).graph.node]
    assert operators.count(FUSED) > 20
    matrices = [name for name, shape in initialisers(graph).items() if len(shape) == 2]
    assert len(matrices) > 20
    remaining = {name for name, shape in initialisers(small).items() if len(shape) == 2}
    assert len(remaining) == 3, "both layers of the emotion head, and what enters the Transformer"
    assert [name for name in remaining if not name.startswith("model.head.")] != []
    convolutions = [shape for shape in initialisers(small).values() if len(shape) == 3]
    assert len(convolutions) == 1, "the positions stay fp32; the CNN became products"


def test_int8_output_does_not_depend_on_the_batch():
    """A loud and long neighbour coarsens nobody: every frame has its own scale."""
    model = make_model("wav2vec2-group")
    graph = Graph(quantize(make_graph(model)), threads=1)
    clips = [make_clip(*clip) for clip in CLIPS.values()]
    clips = [0.01 * clips[0], clips[1], 20 * clips[2], clips[1][:9000]] * 2
    fewest = model.backbone.fewest_samples
    alone = [graph.recognize(clip, fewest).emotions for clip in clips]
    together = [output.emotions for output in graph.recognize_batch(clips, fewest)]
    for first, second in zip(alone, together, strict=True):
        np.testing.assert_allclose(softmax(first), softmax(second), atol=1e-3)


# Bundles ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("int8", 0.1)])
def test_a_bundle_predicts_like_its_model(folder, tmp_path, precision, tolerance):
    bundle = export(folder, tmp_path / "mine", precision, licence="MIT")
    assert open_bundle(tmp_path / "mine") == bundle
    card = bundle.card
    assert (card.name, card.precision, card.licence) == ("mine", precision, "MIT")
    assert card.labels == EMOTIONS
    assert card.inventory.symbols == tuple(SYMBOLS)
    assert card.fewest_samples == 1160
    assert card.window_seconds == 30.0
    assert card.grid.hop_samples == 640
    assert (card.drift is None) == (precision == "fp32")
    recognizer = OnnxRecognizer.load(tmp_path / "mine", threads=1)
    predictor = TorchRecognizer.load(folder)
    for clip in (*CLIPS.values(), (35 * RATE, 200.0)):
        prediction = recognizer.predict(make_clip(*clip), RATE)
        expected = predictor.predict(make_clip(*clip), RATE)
        assert prediction.seconds == expected.seconds
        assert prediction.warnings == expected.warnings
        for name, score in expected.scores.items():
            assert prediction.scores[name] == pytest.approx(score, abs=tolerance)
        if precision == "fp32":
            assert prediction.phonemes == expected.phonemes


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("int8", 3e-3)])
def test_the_phoneme_attribution_equals_that_of_torch(folder, tmp_path, precision, tolerance):
    export(folder, tmp_path / "mine", precision)
    clip = make_clip(*CLIPS["long"])
    expected = TorchRecognizer.load(folder).predict(clip, RATE, shares=True)
    prediction = OnnxRecognizer.load(tmp_path / "mine", threads=1).predict(clip, RATE, shares=True)
    assert len(expected.spans) > 5
    assert max(abs(span.share) for span in expected.spans) > 0.003
    theirs = {(span.symbol, round(span.start, 2)): span.share for span in expected.spans}
    both = [
        (span.share, theirs[span.symbol, round(span.start, 2)])
        for span in prediction.spans
        if (span.symbol, round(span.start, 2)) in theirs
    ]
    assert len(both) > 0.8 * len(theirs)
    for share, expected_share in both:
        assert share == pytest.approx(expected_share, abs=tolerance)
    plain = OnnxRecognizer.load(tmp_path / "mine", threads=1).predict(clip, RATE)
    assert all(span.share is None for span in plain.spans)


@pytest.mark.usefixtures("quick")
def test_a_bundle_without_a_head_cannot_attribute_phonemes(folder, tmp_path):
    bundle = export(folder, tmp_path / "mine")
    card = bundle.card.model_dump(exclude={"sha256", "head_sha256"})
    write_bundle(tmp_path / "mine", bundle.model, card)
    assert not (tmp_path / "mine" / "head.onnx").exists()
    model = OnnxRecognizer.load(tmp_path / "mine", threads=1)
    assert model.predict(make_clip(*CLIPS["long"]), RATE).spans
    with pytest.raises(CheckpointError, match=r"expected head\.onnx"):
        model.predict(make_clip(*CLIPS["long"]), RATE, shares=True)


@pytest.mark.usefixtures("quick")
def test_int8_is_measured_on_a_manifest(folder, tmp_path):
    manifest = make_corpus(tmp_path / "corpus")
    drift = export(folder, tmp_path / "mine", manifest=manifest).card.drift
    assert (drift.audio, drift.clips) == ("beeps", 24)
    assert 0 < drift.mean <= drift.largest < 0.5
    assert 0 <= drift.changed <= 1
    predictor = TorchRecognizer.load(folder)
    recognizer = OnnxRecognizer.load(tmp_path / "mine", threads=1)
    files = sorted((tmp_path / "corpus").glob("*.wav"))
    for opened, ua in ((predictor, drift.ua_fp32), (recognizer, drift.ua_int8)):
        right = [opened.predict(file).label in file.name for file in files]
        assert np.mean(right) == pytest.approx(ua), "every emotion has as many clips"


def test_an_empty_manifest_is_refused_and_unlabeled_clips_have_no_accuracy(folder, tmp_path):
    trained = export_module.load_trained(folder)
    write_manifest(tmp_path / "empty.jsonl", Header(corpus="e", root=".", phonemo="test"), [])
    with pytest.raises(ManifestError, match="expected recordings to compare on, got none"):
        parity_module.pick_clips(trained, tmp_path / "empty.jsonl")
    assert parity_module._accuracy(np.array([0, 1]), [None, None], trained.labels) is None
    assert parity_module._accuracy(np.array([0, 1]), ["anger", None], trained.labels) == 1.0


def test_a_long_manifest_is_sampled_evenly(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(parity_module, "CLIPS", 7)
    trained = export_module.load_trained(folder)
    clips = parity_module.pick_clips(trained, make_corpus(tmp_path / "corpus"))
    assert len(clips.samples) == 6  # every fourth of 24
    assert len(set(clips.truth)) > 1


def test_a_forbidden_target_is_refused_before_the_export(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "load_trained", None)
    with pytest.raises(CheckpointError, match="expected a bundle or an empty folder"):
        export(folder, folder)


def test_without_onnx_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"phonemo\[export\]"):
        export(folder, tmp_path / "mine")
